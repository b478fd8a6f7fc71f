import shutil

import numpy as np
import pytest

from intarsia.core import DataError, Instances, LabelMap, SettingsError
from intarsia.data.datasets import open_dataset
from intarsia.data.datasets.dsb2018 import DSB2018
from intarsia.data.formats import read_image, read_object_ids, write_image


def test_nuclei_are_objects_and_their_union(small_dsb):
    dataset = open_dataset(small_dsb, view="instance")
    assert dataset.name == "dsb2018", "recognised by its folders"
    assert {split: len(keys) for split, keys in dataset.splits.items()} == {"train": 2, "val": 1, "test": 1}
    for key in (*dataset.splits["train"], "test/dd"):
        sample = dataset.read(key)
        assert sample.image.shape == (4, 5, 3), "without the alpha channel"
        assert isinstance(sample.truth, Instances)
        assert sample.truth.masks.areas().tolist() == [4, 8, 1], "a pixel of two nuclei is in both"
        assert sample.truth.masks.mask(1).nonzero()[0].tolist() == [1] * 4 + [2] * 4
        labels = open_dataset(small_dsb).read(key).truth
        assert isinstance(labels, LabelMap)
        assert labels.ids.tolist() == [[1, 1, 0, 0, 0], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1], [1, 0, 0, 0, 0]]


def test_run_lengths_serve_where_there_are_no_masks(small_dsb):
    drawn = DSB2018(small_dsb, view="instance").read("train/bb").truth
    for name in ("aa", "bb", "cc"):
        shutil.rmtree(small_dsb / f"stage1_train/{name}/masks")
    with pytest.raises(DataError, match=r"alone for aa, bb, cc \(3 in all\). Expected is\nROOT/stage1_train"):
        DSB2018(small_dsb)
    rows = [f"{name},{runs}" for name in ("aa", "bb", "cc") for runs in ("1 2 5 2", "6 2 10 2 14 2 18 2", "4 1")]
    table = small_dsb / "stage1_train_labels.csv"
    table.write_text("\n".join(["ImageId,EncodedPixels", *rows]))
    truth = DSB2018(small_dsb, view="instance").read("train/bb").truth
    np.testing.assert_array_equal(truth.masks.bits, drawn.masks.bits)
    for runs, said in (("1 2 5", "no file of run lengths"), ("x 2", "no file of run lengths"), ("20 2", "the run '20 2' of bb")):
        table.write_text("\n".join(["ImageId,EncodedPixels", *rows, f"bb,{runs}"]))
        with pytest.raises(DataError, match=said):
            DSB2018(small_dsb).read("train/bb")


def test_the_test_may_be_without_truth(small_dsb):
    (small_dsb / "stage1_solution.csv").unlink()
    assert set(DSB2018(small_dsb).splits) == {"train", "val"}


def test_real_nuclei_in_the_official_layout(shared_data, tmp_path):
    """Of the pack, whose nuclei do not overlap, as a file for each."""
    pack = shared_data("nuclei")
    path = sorted((pack / "instances/val").iterdir())[0]
    ids = read_object_ids(path)
    folder = tmp_path / "stage1_train" / path.stem
    write_image(folder / f"images/{path.name}", read_image(pack / "images/val" / path.name))
    for number in np.unique(ids[ids > 0]).tolist():
        write_image(folder / f"masks/{number:05}.png", (ids == number).astype(np.uint8) * np.uint8(255))
    truth = DSB2018(tmp_path, view="instance").read(f"train/{path.stem}").truth
    assert len(truth) > 5
    np.testing.assert_array_equal(truth.to_ids(), ids)


def test_errors(small_dsb):
    with pytest.raises(SettingsError, match="no panoptic truth"):
        DSB2018(small_dsb, view="panoptic")
    with pytest.raises(DataError, match="no sample 'train/zz'"):
        DSB2018(small_dsb).read("train/zz")
    with pytest.raises(DataError, match="holds no images of stage1_train"):
        DSB2018(small_dsb / "stage1_train")
    write_image(small_dsb / "stage1_train/bb/masks/bb0.png", np.zeros((3, 3), np.uint8))
    with pytest.raises(DataError, match=r"bb0.png is \(3, 3\) and its image \(4, 5\)"):
        DSB2018(small_dsb, val_fraction=0).read("train/bb")
