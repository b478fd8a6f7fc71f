import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from intarsia.core import ClassSpace, DataError, InstanceMasks, Instances, LabelMap, MultiLabel, Panoptic, Sample, Segment
from intarsia.data.datasets.camvid import CamVid
from intarsia.data.stats import (
    auto_class_weights,
    count_classes,
    count_labels,
    fingerprint,
    image_statistics,
    log_class_weights,
    median_frequency_weights,
)

CLASSES = ClassSpace.from_names(["sky", "road", "car"], things=["car"])


class InMemory:
    """A data set of the samples it is given."""

    name, task, classes, notes = "memory", "semantic", CLASSES, ()

    def __init__(self, *samples: Sample) -> None:
        self.samples = {sample.key: sample for sample in samples}
        self.splits = {"train": tuple(self.samples)}

    def read(self, key: str) -> Sample:
        return self.samples[key]


def sample(key: str, ids: list[list[int]], image: np.ndarray | None = None) -> Sample:
    label = np.array(ids, np.uint8)
    return Sample(np.zeros((*label.shape, 3), np.uint8) if image is None else image, (LabelMap(label, CLASSES),), key)


TWO = InMemory(sample("a", [[0, 0, 1, 255]]), sample("b", [[0, 1], [1, 1], [1, 1]]))


def test_counts_by_hand() -> None:
    counts = count_classes(TWO, ["a", "b"])
    assert counts.pixels.tolist() == [3, 6, 0]
    assert counts.images.tolist() == [2, 2, 0]
    assert counts.host_pixels.tolist() == [10, 10, 0]
    assert counts.total == 10
    alone = count_classes(TWO, ["b"])
    assert (alone.pixels.tolist(), alone.images.tolist()) == ([1, 5, 0], [1, 1, 0])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_labels_are_counted_as_their_files_are(dtype: type) -> None:
    labels = [TWO.read(key).truth.ids.astype(dtype) for key in ("a", "b")]
    pixels = count_labels(labels, CLASSES)
    assert (pixels.tolist(), pixels.dtype) == ([3, 6, 0], np.int64)
    rng = np.random.default_rng(0)
    labels = [rng.choice([0, 1, 2, 255], (2, 5, w)).astype(dtype)[:, ::2] for w in (3, 7)]
    assert count_labels(iter(labels), CLASSES).tolist() == [sum(int((label == k).sum()) for label in labels) for k in range(3)]
    assert count_labels([], CLASSES).tolist() == [0, 0, 0]


def test_median_frequency_weights_by_hand() -> None:
    # f = 3/10 and 6/10, their median 9/20: weights 1.5 and 0.75; a class that does not occur has 0
    np.testing.assert_allclose(median_frequency_weights(count_classes(TWO, ["a", "b"])), [1.5, 0.75, 0])


def test_auto_weights_by_hand() -> None:
    # shares 0.9 and 0.1, median 0.5: sqrt(5/9) and sqrt(5); mean over pixels 0.9 * 0.745356 + 0.1 * 2.236068 = 0.894427
    np.testing.assert_allclose(auto_class_weights(np.array([900, 100, 0])), [5 / 6, 2.5, 1])


def test_auto_weights_are_bounded_and_keep_the_size_of_the_loss() -> None:
    pixels = np.array([10_000_000, 500_000, 30, 0, 200_000])
    weights = auto_class_weights(pixels)
    assert (pixels * weights).sum() / pixels.sum() == pytest.approx(1)
    assert weights[pixels > 0].max() / weights[pixels > 0].min() <= 16
    assert list(np.argsort(weights[[2, 4, 1, 0]])) == [3, 2, 1, 0]
    np.testing.assert_allclose(auto_class_weights(np.array([7, 7, 7])), [1, 1, 1])
    with pytest.raises(DataError, match="No pixel of these masks has a class"):
        auto_class_weights(np.zeros(3, int))


def test_camvid_weights_are_those_of_its_readme(shared_data: Callable[[str], Path]) -> None:
    root = shared_data("camvid")
    rows = [line.split("|") for line in (root / "README.md").read_text().splitlines() if line[:3].rstrip("0123456789") == "| "]
    table = [row for row in rows if row[1].strip().isdigit()][:11]
    data = CamVid(root)
    counts = count_classes(data, data.splits["train"])
    assert counts.pixels.tolist() == [int(row[4]) for row in table]
    assert counts.images.tolist() == [int(row[6]) for row in table]
    np.testing.assert_allclose(median_frequency_weights(counts), [float(row[7]) for row in table], atol=5e-5)
    assert counts.total == 63_417_600


@pytest.mark.parametrize(("dtype", "scale"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
@pytest.mark.parametrize("channels", [1, 3, 7])
def test_image_statistics_agree_with_numpy(dtype: type, scale: int, channels: int) -> None:
    rng = np.random.default_rng(0)
    images = [(rng.random((h, w, channels)) * min(scale, 60_000)).astype(dtype) for h, w in ((5, 7), (11, 3))]
    data = InMemory(*(Sample(image, (), str(i)) for i, image in enumerate(images)))
    found = image_statistics(data, ["0", "1"])
    pixels = np.concatenate([image.reshape(-1, channels) for image in images]) / scale
    np.testing.assert_allclose(found.mean, pixels.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found.std, pixels.std(0), rtol=1e-5)
    assert found.channels == channels
    assert found.sizes_hw == ((5, 7), (11, 3))


def test_image_statistics_look_at_a_spread_of_images() -> None:
    data = InMemory(*(sample(str(i), [[0] * (i + 1)]) for i in range(9)))
    assert [w for _, w in image_statistics(data, data.splits["train"], limit=3).sizes_hw] == [1, 5, 9]


def test_grey_color_and_alpha_together_are_color() -> None:
    """Black grey and a white picture with alpha: half of all pixels are 0, half 1, in each of three channels."""
    grey = sample("grey", [[0]], np.zeros((1, 1, 1), np.uint8))
    alpha = sample("alpha", [[0]], np.full((1, 1, 4), 255, np.uint8))
    found = image_statistics(InMemory(grey, alpha), ["grey", "alpha"])
    assert found.channels == 3
    assert found.mean == (0.5, 0.5, 0.5)
    assert found.std == (0.5, 0.5, 0.5)


def test_image_statistics_errors() -> None:
    many = sample("many", [[0]], np.zeros((1, 1, 6), np.uint8))
    with pytest.raises(DataError, match="a has 3, many has 6"):
        image_statistics(InMemory(sample("a", [[0]]), many), ["a", "many"])
    with pytest.raises(DataError, match="The image of nan holds values that are not finite"):
        image_statistics(InMemory(sample("nan", [[0]], np.full((1, 1, 1), np.nan, np.float32))), ["nan"])
    with pytest.raises(DataError, match="memory has no image to look at"):
        image_statistics(TWO, [])


def test_counts_take_every_kind_of_truth() -> None:
    ids = np.array([[0, 2, 2, 1]], np.uint8)
    masks = np.stack([ids == k for k in range(3)])
    truths = [
        LabelMap(ids, CLASSES),
        MultiLabel(masks, CLASSES),
        Instances(InstanceMasks.pack(masks, ids.shape), np.arange(3), CLASSES),
        Panoptic(ids.astype(np.int32) + 1, tuple(Segment(k + 1, k) for k in range(3)), CLASSES),
    ]
    prints = set()
    for truth in truths:
        data = InMemory(Sample(np.zeros((1, 4, 1), np.uint8), (truth,), "a"))
        assert count_classes(data, ["a"]).pixels.tolist() == [1, 1, 2]
        prints.add(fingerprint(data))
    assert len(prints) == 4


def test_fingerprints_change_with_what_they_cover() -> None:
    base = fingerprint(TWO)
    assert base == fingerprint(InMemory(*TWO.samples.values()))
    assert len(base) == 16
    changed = [
        InMemory(sample("a", [[0, 0, 1, 1]]), TWO.samples["b"]),
        InMemory(sample("a", [[0, 0, 1, 255]], np.ones((1, 4, 3), np.uint8)), TWO.samples["b"]),
        InMemory(TWO.samples["a"]),
        InMemory(sample("c", [[0, 0, 1, 255]]), TWO.samples["b"]),
    ]
    other_classes = InMemory(*TWO.samples.values())
    other_classes.classes = ClassSpace.from_names(["sky", "road", "bus"])
    assert len({base, *map(fingerprint, changed), fingerprint(other_classes)}) == 6


def test_log_weights_by_hand():
    weights = log_class_weights(np.array([75, 25, 0]))
    assert weights == pytest.approx([1 / math.log(1.77), 1 / math.log(1.27), 1 / math.log(1.02)])
    assert 1.4 < log_class_weights(np.array([1, 0])).min() < log_class_weights(np.array([1, 0])).max() < 50.6
