import numpy as np
import pytest
from scipy.io import savemat

from intarsia.core import DataError, Instances, LabelMap, SettingsError
from intarsia.data.datasets import open_dataset


@pytest.mark.parametrize("inner", ["benchmark_RELEASE", "benchmark_RELEASE/dataset"])
def test_classes_and_objects(small_voc, inner):
    dataset = open_dataset(small_voc / inner)
    assert dataset.name == "sbd"
    assert dataset.splits == {"train": ("train/2007_000033", "train/2008_000002"), "val": ("val/2007_000032",)}
    truth = dataset.read("val/2007_000032").truth
    assert isinstance(truth, LabelMap)
    assert truth.areas()["cat"] == 6
    objects = open_dataset(small_voc / inner, view="instance").read("val/2007_000032").truth
    assert isinstance(objects, Instances)
    assert (objects.class_id.tolist(), objects.masks.areas().tolist()) == ([8, 12], [6, 2])


def test_errors(small_voc):
    root = small_voc / "benchmark_RELEASE/dataset"
    with pytest.raises(SettingsError, match="SBD has no panoptic truth"):
        open_dataset(root, view="panoptic")
    path = root / "inst/2007_000032.mat"
    dataset = open_dataset(root, view="instance")
    savemat(path, {"GTinst": {"Segmentation": np.array([[1, 3]], np.uint8), "Categories": np.array([[8]])}})
    with pytest.raises(DataError, match=r"2007_000032\.mat holds the object 3, whose class is not said"):
        dataset.read("val/2007_000032")
    savemat(path, {"GTinst": {"Segmentation": np.array([[0.5, 3]]), "Categories": np.array([[8]])}})
    with pytest.raises(DataError, match=r"holds a Segmentation of float64 with shape \(1, 2\)"):
        dataset.read("val/2007_000032")
    savemat(path, {"GTcls": 1})
    with pytest.raises(DataError, match=r"is no file of SBD with GTinst \(KeyError"):
        dataset.read("val/2007_000032")
    path.unlink()
    with pytest.raises(DataError, match=r"(?s)lacks the image or the truth of 1 listed names: 2007_000032.*ROOT/inst/NAME\.mat"):
        open_dataset(root, view="instance")
