import pytest

from intarsia.core import DataError, Instances, LabelMap, Panoptic, SettingsError
from intarsia.data.datasets import open_dataset


def test_three_views(city):
    key = "val/lindau/lindau_000000_000019"
    assert open_dataset(city).name == "cityscapes", "recognised by its folders"
    semantic = open_dataset(city, view="semantic").read(key).truth
    assert isinstance(semantic, LabelMap)
    assert semantic.areas()["car"] == 3
    objects = open_dataset(city, view="instance").read(key).truth
    assert isinstance(objects, Instances)
    assert objects.is_crowd.tolist() == [False, False, True]
    panoptic = open_dataset(city, view="panoptic").read(key).truth
    assert isinstance(panoptic, Panoptic)
    assert len(panoptic.segments) == 5


def test_errors(city):
    with pytest.raises(SettingsError, match="no depth truth"):
        open_dataset(f"cityscapes:{city}", view="depth")
    dataset = open_dataset(city)
    with pytest.raises(DataError, match=r"no sample 'val/lindau/x'. Nearest: "):
        dataset.read("val/lindau/x")
    next((city / "gtFine/val/lindau").iterdir()).unlink()
    with pytest.raises(DataError, match="alone for val/lindau/lindau_000000_000019"):
        open_dataset(city)
    with pytest.raises(DataError, match="holds no images of train or val"):
        open_dataset(f"cityscapes:{city / 'gtFine'}")
