import pytest

from intarsia.core import DataError, Instances, LabelMap, Panoptic, SettingsError
from intarsia.data.datasets import open_dataset
from intarsia.data.datasets.kitti import KITTI
from intarsia.data.formats.cityscapes import CITYSCAPES_CLASSES


def test_three_views(small_kitti):
    assert open_dataset(small_kitti).name == "kitti", "recognised by its folders"
    dataset = open_dataset(small_kitti.parent / "data_semantics/training")
    assert {split: len(keys) for split, keys in dataset.splits.items()} == {"train": 2, "val": 1}
    key = dataset.splits["val"][0]
    semantic = dataset.read(key).truth
    assert isinstance(semantic, LabelMap)
    assert semantic.classes == CITYSCAPES_CLASSES
    assert semantic.ids.tolist() == [[0, 0, 13, 13], [10, 13, 13, 255], [10, 255, 13, 255]]
    objects = open_dataset(small_kitti, view="instance").read(key).truth
    assert isinstance(objects, Instances)
    found = sorted(zip(objects.masks.areas().tolist(), objects.is_crowd.tolist(), strict=True))
    assert found == [(1, True), (2, False), (2, False)]
    panoptic = open_dataset(small_kitti, view="panoptic").read(key).truth
    assert isinstance(panoptic, Panoptic)
    assert (panoptic.to_label_map().ids == semantic.ids).all()
    assert len(panoptic.segments) == 5, "road, sky, two cars and a group"


def test_the_split_does_not_depend_on_the_view(small_kitti):
    splits = [KITTI(small_kitti, view=view).splits for view in ("semantic", "instance", "panoptic")]
    assert splits[0] == splits[1] == splits[2]
    assert set(KITTI(small_kitti, val_fraction=0).splits) == {"train"}


def test_errors(small_kitti):
    with pytest.raises(SettingsError, match="no depth truth"):
        KITTI(small_kitti, view="depth")
    with pytest.raises(DataError, match=r"no sample 'val/x'. Nearest: "):
        KITTI(small_kitti).read("val/x")
    with pytest.raises(DataError, match=r"holds no images of training. KITTI is expected as\nROOT/training"):
        KITTI(small_kitti / "testing/nothing")
    (small_kitti / "training/semantic/000001_10.png").unlink()
    with pytest.raises(DataError, match=r"alone for 000001_10 \(1 in all\)"):
        KITTI(small_kitti)
