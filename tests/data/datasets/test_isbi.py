import numpy as np
import pytest
from tifffile import imwrite

from intarsia.core import DataError, Instances, LabelMap, SettingsError
from intarsia.data.datasets import open_dataset
from intarsia.data.datasets.isbi import ISBI


def test_slices_are_samples(small_stack):
    dataset = open_dataset(small_stack)
    assert dataset.name == "isbi", "recognised by its files"
    assert {split: len(keys) for split, keys in dataset.splits.items()} == {"train": 4, "val": 1, "test": 1}
    sample = dataset.read("val/0004")
    assert sample.image.tolist() == np.arange(96, 120).reshape(4, 6, 1).tolist(), "the last slice"
    assert isinstance(sample.truth, LabelMap)
    assert sample.truth.areas() == {"membrane": 3, "cell": 21}
    assert dataset.read("test/0000").truth.areas() == {"membrane": 4, "cell": 20}


def test_cells_are_the_pieces_between_membranes(small_stack):
    dataset = ISBI(small_stack, view="instance")
    truth = dataset.read("train/0003").truth
    assert isinstance(truth, Instances)
    assert truth.masks.areas().tolist() == [8, 12]
    assert dataset.read("val/0004").truth.masks.areas().tolist() == [21], "through the gap they are one"


def test_numbered_cells(small_stack):
    numbers = np.zeros((5, 4, 6), np.uint16)
    numbers[:, 0], numbers[:, 2:, :3] = 300, 7
    imwrite(small_stack / "train-labels.tif", numbers, photometric="minisblack")
    (small_stack / "test-labels.tif").unlink()
    dataset = ISBI(small_stack, view="instance")
    assert set(dataset.splits) == {"train", "val"}
    assert dataset.classes.names == ("background", "cell")
    assert dataset.read("train/0000").truth.masks.areas().tolist() == [6, 6]


def test_real_slices_come_back(small_stack, shared_data):
    """Pictures of nuclei as the slices of a stack, with 16 bits."""
    from intarsia.data.formats import read_image, read_object_ids

    pack = shared_data("nuclei")
    paths = [path for path in sorted((pack / "images/val").iterdir()) if read_image(path).shape == (256, 256, 1)][:3]
    images = np.stack([read_image(path)[..., 0] for path in paths])
    ids = np.stack([read_object_ids(pack / "instances/val" / path.name) for path in paths])
    imwrite(small_stack / "train-volume.tif", images, photometric="minisblack")
    imwrite(small_stack / "train-labels.tif", ids.astype(np.uint16), photometric="minisblack", compression="zlib")
    sample = ISBI(small_stack, view="instance", val_fraction=0).read("train/0001")
    np.testing.assert_array_equal(sample.image[..., 0], images[1])
    assert len(sample.truth) == len(np.unique(ids[1])) - 1


def test_errors(small_stack):
    with pytest.raises(SettingsError, match="no panoptic truth"):
        ISBI(small_stack, view="panoptic")
    with pytest.raises(DataError, match=r"no sample 'train/0004'. Nearest: "):
        ISBI(small_stack).read("train/0004")
    with pytest.raises(DataError, match=r"holds no stack with labels. Expected is\nROOT/train-volume.tif"):
        ISBI(small_stack.parent)
    labels = small_stack / "train-labels.tif"
    imwrite(labels, np.zeros((4, 4, 6), np.uint8), photometric="minisblack")
    with pytest.raises(DataError, match=r"train-volume.tif has 5 slices and .*train-labels.tif 4"):
        ISBI(small_stack)
    odd = np.zeros((40, 4, 6), np.uint8)
    odd[:, 0], odd[1, 1] = 255, 128
    for name, values in (("labels", odd), ("volume", odd)):
        imwrite(small_stack / f"train-{name}.tif", values, photometric="minisblack")
    with pytest.raises(DataError, match=r"train-labels.tif holds \[128\] in slice 0001, beside 0 and 255"):
        ISBI(small_stack).read("train/0001")
    labels.write_bytes(b"II*\0 and no more")
    with pytest.raises(DataError, match=r"train-labels.tif cannot be read as TIFF"):
        ISBI(small_stack)
