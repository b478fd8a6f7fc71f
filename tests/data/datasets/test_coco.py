import json

import numpy as np
import pytest

from intarsia.core import ClassSpace, DataError, Instances, LabelMap, Panoptic, Segment, SettingsError
from intarsia.data.check import check_dataset
from intarsia.data.datasets import open_dataset
from intarsia.data.formats import write_image
from intarsia.data.formats.coco_panoptic import write_coco_panoptic

CLASSES = ClassSpace.from_names(["sky", "cat", "dog"], things=["cat", "dog"])


def test_objects_in_cocos_layout(small_coco):
    dataset = open_dataset(small_coco, view="instance")
    assert (dataset.name, dataset.task) == ("coco", "instance")
    assert {split: len(keys) for split, keys in dataset.splits.items()} == {"train": 3, "val": 3}
    truth = dataset.read("val/000000000001").truth
    assert truth.masks.areas().tolist() == [12, 20]
    assert truth.is_crowd.tolist() == [False, True]
    assert len(dataset.read("train/000000000009").truth) == 0
    labels = open_dataset(small_coco).read("val/000000000001").truth
    assert isinstance(labels, LabelMap)
    assert labels.classes.names == ("background", "cat", "dog")
    assert [int((labels.ids == value).sum()) for value in (0, 1, 255)] == [48 - 12 - 20 + 1, 11, 20], "a crowd is ignored"
    assert not [f for f in check_dataset(small_coco).findings if f.code in ("layout", "unreadable", "invalid")]


def test_one_file_is_split_by_a_hash(small_coco):
    (small_coco / "annotations/instances_val2017.json").rename(small_coco / "all.json")
    for path in (small_coco / "val2017").iterdir():
        path.rename(small_coco / path.name)
    dataset = open_dataset(small_coco / "all.json", view="instance")
    assert sorted(map(len, dataset.splits.values())) == [1, 2]
    assert "hash of the name" in dataset.notes[1]
    with pytest.raises(SettingsError, match="no depth truth; their views are semantic, instance, panoptic"):
        open_dataset(small_coco / "all.json", view="depth")


@pytest.mark.parametrize("view", ["semantic", "instance", "panoptic"])
def test_panoptic_files(view, tmp_path):
    ids = np.ones((6, 8), np.int32)
    ids[2:4, 2:5], ids[5] = 2, 0
    maps = {f"{n}.png": Panoptic(ids, (Segment(1, 0), Segment(2, 2)), CLASSES) for n in "abcde"}
    write_coco_panoptic(tmp_path / "panoptic_train.json", maps, CLASSES)
    for name in "abcde":
        write_image(tmp_path / f"pictures/{name}.jpg", np.zeros((6, 8, 3), np.uint8))
    dataset = open_dataset(tmp_path, view=view)
    assert {split: len(keys) for split, keys in dataset.splits.items()} == {"train": 4, "val": 1}
    truth = dataset.read(dataset.splits["val"][0]).truth
    assert type(truth) is {"semantic": LabelMap, "instance": Instances, "panoptic": Panoptic}[view]
    assert truth.areas()["dog"] == 6


def test_real_packs_open(shared_data):
    sample = open_dataset(shared_data("coco_panoptic_sample"), view="panoptic")
    assert sample.name == "coco"
    for key in (key for keys in sample.splits.values() for key in keys):
        assert sample.read(key).truth.segments
    nuclei = shared_data("nuclei")
    by_file = open_dataset(nuclei / "instances_val.json", view="instance")
    by_folder = open_dataset(nuclei, view="instance")
    assert by_folder.name == "nuclei", "masks beside the images come first"
    key = by_folder.splits["val"][0]
    both = [data.read(key).truth.masks.areas() for data in (by_file, by_folder)]
    assert both[0].tolist() == both[1].tolist()


def test_errors(small_coco):
    path = small_coco / "annotations/instances_val2017.json"
    (small_coco / "val2017/000000000001.jpg").unlink()
    (small_coco / "train2017/000000000001.jpg").unlink()
    with pytest.raises(DataError, match=r"lists 3 images, of which 1 are not there: 000000000001\.jpg\. Looked in "):
        open_dataset(small_coco, view="instance")
    content = json.loads(path.read_text())
    content["annotations"][0]["category_id"] = 5
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"instances_val2017\.json holds 1 objects of category ids .* declare: 5"):
        open_dataset(path, view="instance")
    with pytest.raises(DataError, match="holds no JSON file of panoptic segments"):
        open_dataset(f"coco:{small_coco}", view="panoptic")
    train = small_coco / "annotations/instances_train2017.json"
    content["categories"][0]["name"] = "fox"
    content["annotations"][0]["category_id"] = 1
    path.write_text(json.dumps(content))
    assert train.is_file()
    write_image(small_coco / "val2017/000000000001.jpg", np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(DataError, match="has the categories fox, dog, and another file beside it cat, dog"):
        open_dataset(small_coco, view="instance")


def test_files_of_stuff(small_coco):
    for split in ("train", "val"):
        path = small_coco / f"annotations/instances_{split}2017.json"
        content = json.loads(path.read_text())
        for category, name in zip(content["categories"], ("grass", "other"), strict=True):
            category["name"] = name
            del category["isthing"]
        path.with_name(f"stuff_{split}2017.json").write_text(json.dumps(content))
    dataset = open_dataset(small_coco, view="stuff")
    assert (dataset.task, dataset.classes.names, dataset.classes.thing_ids) == ("semantic", ("grass", "other"), ())
    labels = dataset.read("val/000000000000").truth
    assert [int((labels.ids == value).sum()) for value in (0, 1, 255)] == [11, 20, 48 - 11 - 20]
    assert open_dataset(small_coco, view="instance").classes.names == ("cat", "dog")
    for path in (small_coco / "annotations").glob("stuff_*"):
        path.unlink()
    with pytest.raises(DataError, match="holds no JSON file of stuff"):
        open_dataset(small_coco, view="stuff")


def test_a_rare_object_with_a_flat_box_is_left_aside_and_said(small_coco):
    path = small_coco / "annotations/instances_val2017.json"
    content = json.loads(path.read_text())
    flat = {"segmentation": [[2.5, 3, 2.5, 3, 4, 3, 4, 3]], "area": 0.0, "iscrowd": 0, "bbox": [2.5, 3, 1.5, 0], "category_id": 1}
    content["annotations"] += [{**content["annotations"][0], "id": 100 + i} for i in range(200)]
    content["annotations"].append({**flat, "image_id": 3, "id": 918})
    content["annotations"].append({**flat, "image_id": 3, "id": 919, "area": 0.3})
    path.write_text(json.dumps(content))
    dataset = open_dataset(small_coco, view="instance")
    assert len(dataset.read("val/000000000009").truth) == 0
    assert "2 objects whose boxes have no width or height left aside" in dataset.notes[1]
    assert "918 in image 3: [2.5, 3, 1.5, 0]" in dataset.notes[1]
    content["annotations"] += [{**flat, "image_id": 3, "id": 1000 + i, "area": 2} for i in range(9)]
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"holds 10 objects whose box .* has no width or height"):
        open_dataset(small_coco, view="instance")
