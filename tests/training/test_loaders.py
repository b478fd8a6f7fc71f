from types import MappingProxyType

import numpy as np
import pytest
import torch

from intarsia.core import ClassSpace, Instances, LabelMap, Sample, SettingsError
from intarsia.data.preprocessing import Preprocessing
from intarsia.data.transforms import Augmentation
from intarsia.training.interrupt import TrainingInterrupted
from intarsia.training.loaders import EpochSampler, FittedSamples, SegmentationData, TrainingSamples

SPACE = ClassSpace.from_names(["dark", "bright"])


class Squares:
    """A bright square on a dark ground, in pictures of two sizes; the label is where it is bright."""

    name, task, classes, notes = "squares", "semantic", SPACE, ()

    def __init__(self, count: int = 10) -> None:
        self.splits = MappingProxyType({"train": [f"train/{i}" for i in range(count)], "val": ["val/0", "val/1"]})
        self.reads = 0

    def read(self, key: str) -> Sample:
        self.reads += 1
        number = int(key.split("/")[1])
        label = np.zeros((24, 32 if number % 2 else 40), np.uint8)
        label[4:12, 3 + number : 11 + number] = 1
        return Sample((label * 200)[..., None].repeat(3, 2), (LabelMap(label, SPACE),), key)


PLAIN = Preprocessing((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_order_is_new_each_epoch_and_the_same_again_for_the_same_epoch():
    sampler = EpochSampler(20, seed=3)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert [epoch for epoch, _ in second] == [1] * 20
    assert sorted(i for _, i in first) == sorted(i for _, i in second) == list(range(20))
    assert [i for _, i in first] != [i for _, i in second]
    again = EpochSampler(20, seed=3)
    again.set_epoch(1)
    assert list(again) == second


def test_processes_share_an_epoch_without_an_image_twice():
    parts = [list(EpochSampler(11, seed=0, rank=rank, world=2)) for rank in range(2)]
    indices = [i for part in parts for _, i in part]
    assert [len(part) for part in parts] == [5, 5]
    assert len(set(indices)) == 10


def test_an_epoch_is_made_of_whole_steps_unless_there_is_none():
    """Of 11 samples each of two processes has 5: two steps of two batches of one, and one step that takes all there is."""
    assert [len(EpochSampler(11, seed=0, world=2, step=step)) for step in (1, 2, 4, 5, 6)] == [5, 4, 4, 5, 5]
    parts = [list(EpochSampler(11, seed=0, rank=rank, world=2, step=2)) for rank in range(2)]
    alone = list(EpochSampler(11, seed=0, step=4))
    assert sorted(parts[0][:2] + parts[1][:2]) == sorted(alone[:4]), "a step of two processes sees what a step of one would"


@pytest.mark.parametrize("world", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("batch", [1, 3, 4, 16])
def test_validation_images_are_dealt_to_all_processes_each_once(world, batch):
    data = Squares()
    fitted = FittedSamples(data, data.splits["train"], PLAIN)
    dealt = []
    for rank in range(world):
        loaders = SegmentationData(fitted, fitted, Augmentation((16, 16)), batch=batch, seed=0)
        loaders._process = lambda rank=rank: (rank, world)
        mine = [key for batch in loaders.val_dataloader() for key in batch.keys]
        assert mine, "a process without a batch would not come to where the others wait for it"
        dealt += mine
    assert sorted(dealt) == sorted(data.splits["train"])


def test_a_sample_depends_on_seed_epoch_and_index_alone():
    samples = TrainingSamples(FittedSamples(Squares(), Squares().splits["train"], PLAIN), Augmentation((16, 16)), seed=5)
    alone = samples[2, 7]
    _ = [samples[0, i] for i in range(10)]
    assert np.array_equal(samples[2, 7].image, alone.image)
    assert np.array_equal(samples[2, 7].label, alone.label)
    assert not np.array_equal(samples[3, 7].image, alone.image)


def test_padding_is_the_mean_color_and_ignored():
    preprocessing = Preprocessing((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    fitted = FittedSamples(Squares(), ["train/0"], preprocessing)
    image, label, *_ = TrainingSamples(fitted, Augmentation((64, 64), scale=(1.0, 1.0), color=0.0), seed=0)[0, 0]
    outside = label == SPACE.ignore_id
    assert outside.sum() == 64 * 64 - 24 * 40
    assert (image[:, outside] == 0).all()
    assert (image[:, ~outside] != 0).all()


def test_samples_are_decoded_once_while_memory_lasts():
    data = Squares()
    fitted = FittedSamples(data, data.splits["train"], PLAIN)
    for _ in range(3):
        assert len(list(fitted.labels())) == 10
    assert data.reads == 10
    one_sample = 24 * 40 * 4
    fitted = FittedSamples(data, data.splits["train"], PLAIN, cache_bytes=one_sample)
    data.reads = 0
    for _ in range(2):
        _ = [fitted[i] for i in range(10)]
    assert data.reads == 19


def test_validation_batches_hold_one_size_each_and_every_image_once():
    data = Squares()
    loaders = SegmentationData(
        FittedSamples(data, data.splits["train"], PLAIN),
        FittedSamples(data, data.splits["train"], PLAIN),
        Augmentation((16, 16)),
        batch=4,
        seed=0,
    )
    keys = [key for batch in loaders.val_dataloader() for key in batch.keys]
    assert sorted(keys) == sorted(data.splits["train"])
    batch = next(iter(loaders.train_dataloader()))
    assert batch.image.shape == (4, 3, 16, 16)
    assert batch.label.dtype == torch.int64
    assert len(loaders.train_dataloader()) == 2


def test_a_truth_that_is_no_label_map_is_refused():
    class Objects(Squares):
        def read(self, key: str) -> Sample:
            sample = super().read(key)
            return Sample(sample.image, (Instances.from_ids(sample.truth.ids, SPACE, 1),), key)

    with pytest.raises(SettingsError, match="train/0 has Instances as truth; semantic networks learn from label maps"):
        FittedSamples(Objects(), ["train/0"], PLAIN)[0]


def test_ctrl_c_while_a_sample_is_read_is_no_fault_of_the_sample():
    class Stopped(Squares):
        def read(self, key: str) -> Sample:
            raise TrainingInterrupted("interrupted")

    fitted = FittedSamples(Stopped(), ["train/0", "train/1"], PLAIN)
    with pytest.raises(TrainingInterrupted):
        next(iter(SegmentationData(fitted, fitted, Augmentation((16, 16)), batch=2, seed=0).train_dataloader()))
