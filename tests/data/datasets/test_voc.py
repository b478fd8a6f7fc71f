import shutil

import numpy as np
import pytest
from PIL import Image

from intarsia.core import DataError, Instances, LabelMap, SettingsError
from intarsia.data.datasets import open_dataset
from intarsia.data.datasets.voc import VOC
from intarsia.data.formats.voc import VOC_CLASSES


def test_classes_are_those_of_voc():
    assert (len(VOC_CLASSES), VOC_CLASSES.ignore_id, VOC_CLASSES.thing_ids) == (21, 255, tuple(range(1, 21)))
    assert [VOC_CLASSES.index(name) for name in ("aeroplane", "cat", "dog", "person", "tvmonitor")] == [1, 8, 12, 15, 20]
    assert [VOC_CLASSES.classes[i].color for i in (1, 8, 15, 20)] == [(128, 0, 0), (64, 0, 0), (192, 128, 128), (0, 64, 128)]


@pytest.mark.parametrize("inner", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_masks_and_objects(small_voc, inner):
    semantic = open_dataset(small_voc / inner)
    assert semantic.name == "voc"
    truth = semantic.read("val/2007_000033").truth
    assert isinstance(truth, LabelMap)
    assert truth.ids.tolist() == [[0, 0, 255, 8], [0, 255, 8, 8], [0, 255, 12, 12]]
    objects = open_dataset(small_voc / inner, view="instance").read("val/2007_000033").truth
    assert isinstance(objects, Instances)
    assert objects.class_id.tolist() == [8, 12]
    assert objects.masks.areas().tolist() == [3, 2], "borders are of no object"


def test_sbd_beside_voc_makes_trainaug(small_voc):
    dataset = open_dataset(small_voc)
    assert dataset.splits == {"train": ("train/2007_000032", "train/2008_000002"), "val": ("val/2007_000033",)}
    assert "1 of train are of SBD" in dataset.notes[0]
    assert 255 in dataset.read("train/2007_000032").truth.ids, "VOC's own mask comes first"
    assert dataset.read("train/2008_000002").truth.ids.tolist() == [[0, 0, 8, 8], [0, 8, 8, 8], [0, 8, 12, 12]]
    assert dataset.image_path("train/2008_000002").is_file()
    objects = open_dataset(small_voc, view="instance").read("train/2008_000002").truth
    assert (objects.class_id.tolist(), objects.masks.areas().tolist()) == ([8, 12], [6, 2])
    shutil.rmtree(small_voc / "benchmark_RELEASE")
    assert open_dataset(small_voc).splits["train"] == ("train/2007_000032",)


def test_errors(small_voc):
    with pytest.raises(SettingsError, match="VOC has no panoptic truth; its views are semantic, instance"):
        open_dataset(small_voc, view="panoptic")
    dataset, root = open_dataset(small_voc, view="instance"), small_voc / "VOCdevkit/VOC2012"
    with pytest.raises(DataError, match=r"no sample 'val/2007_000034'\. Nearest: val/2007_000033"):
        dataset.read("val/2007_000034")
    Image.fromarray(np.full((3, 4), 3, np.uint8)).save(root / "SegmentationObject/2007_000033.png")
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(root / "SegmentationClass/2007_000033.png")
    with pytest.raises(DataError, match=r"2007_000033\.png holds the object 3, and SegmentationClass says no class"):
        dataset.read("val/2007_000033")
    (root / "SegmentationClass/2007_000033.png").unlink()
    with pytest.raises(DataError, match=r"(?s)lacks 1 of 2 listed files: 2007_000033.*ROOT/JPEGImages/NAME\.jpg"):
        open_dataset(root)
    (root / "ImageSets/Segmentation/val.txt").write_text("../secret")
    with pytest.raises(DataError, match=r"val\.txt holds '\.\./secret', which is no name"):
        VOC(root)
    (root / "ImageSets/Segmentation/val.txt").unlink()
    with pytest.raises(DataError, match=r"(?s)There is no .*val\.txt\. Expected is.*SegmentationClass"):
        VOC(root)


def test_other_data_in_the_same_arrangement_is_left_to_the_format(small_voc):
    root = small_voc / "VOCdevkit/VOC2012"
    for path in [path for path in root.rglob("2007*") if path.is_file()]:
        path.rename(path.with_name(path.name.replace("2007_", "garden_")))
    for split, name in (("train", "garden_000032"), ("val", "garden_000033")):
        (root / f"ImageSets/Segmentation/{split}.txt").write_text(f"{name}\n")
        (root / "Annotations").mkdir(exist_ok=True)
        (root / f"Annotations/{name}.xml").write_text(
            f"<annotation><filename>{name}.jpg</filename><size><width>4</width><height>3</height></size></annotation>"
        )
    for source in (root, f"voc:{root}"):
        dataset = open_dataset(source)
        assert type(dataset).__name__ == "Annotations"
        assert dataset.read(next(key for key in dataset.splits["val"])).truth.areas()["cat"] == 3
