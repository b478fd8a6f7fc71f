import pickle
from dataclasses import replace

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from intarsia.core import ClassSpace, DataError, InstanceMasks, Instances
from intarsia.data.formats import write_image
from intarsia.data.formats.yolo import read_yolo, recognizes_yolo, write_yolo


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_write_then_read_is_the_identity(data, drawn_objects, object_set, new_folder, same_objects):
    with new_folder() as root:
        given_set = object_set(root, data.draw(drawn_objects))
        report = write_yolo(root, given_set)
        assert (report.images, report.lost) == (2, {})
        assert report.round_trip_iou in (1, None)
        same_objects(given_set, read_yolo(root))


def test_many_classes_splits_and_crowds(tmp_path, object_set):
    classes = ClassSpace.from_names([f"class {n}" for n in range(300)])
    masks = InstanceMasks.pack([np.ones((4, 400), np.bool_), np.eye(4, 400, 301, dtype=np.bool_)], (4, 400))
    first = Instances(masks, np.array([299, 7]), classes, is_crowd=np.array([True, False]))
    given_set = object_set(tmp_path, [first, first])
    report = write_yolo(tmp_path, replace(given_set, splits={"train": ("first",), "val": ("deep/second",)}))
    assert report.objects == {"class 7": 2}
    assert report.lost == {"a crowd was left out: the format knows single objects only": 2}
    found = pickle.loads(pickle.dumps(read_yolo(tmp_path)))
    assert found.splits == {"train": ("first",), "val": ("deep/second",)}
    assert found.classes.names == classes.names
    assert np.array_equal(found.read("deep/second").truth.masks.mask(0), masks.mask(1))


def exported(root, yaml_text, **labels):
    (root / "data.yaml").write_text(yaml_text)
    for split in ("train", "valid"):
        write_image(root / split / "images" / "photo.png", np.zeros((8, 10, 3), np.uint8))
        (root / split / "labels").mkdir()
        if split in labels:
            (root / split / "labels" / "photo.txt").write_text(labels[split])
    return root


ROBOFLOW = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 2\nnames: ['dog', 'ant']\n"


def test_files_as_other_tools_export_them(tmp_path):
    """The arrangement of Roboflow's export: ../ that leads nowhere, a folder `images` in each split."""
    (tmp_path / "test" / "images").mkdir(parents=True)
    exported(tmp_path, ROBOFLOW, train="1 0.1 0.125 0.4 0.125 0.4 0.375 0.1 0.375\n\n0 0 0.5 0.1 0.5 0.1 1 0 1\n")
    assert recognizes_yolo(tmp_path).startswith("data.yaml has `names` and says where")
    assert recognizes_yolo(tmp_path / "data.yaml") is not None
    found = read_yolo(tmp_path)
    assert found.classes.names == ("dog", "ant")
    assert found.splits == {"train": ("train/photo",), "val": ("valid/photo",), "test": ()}
    truth = found.read("train/photo").truth
    assert truth.class_id.tolist() == [1, 0]
    assert truth.masks.boxes_xyxy.tolist() == [[1, 1, 4, 3], [0, 4, 1, 8]]
    assert len(found.read("valid/photo").truth) == 0


def test_classes_by_number_lists_and_a_path(tmp_path):
    write_image(tmp_path / "set" / "images" / "in" / "photo.png", np.zeros((8, 10), np.uint8))
    (tmp_path / "set" / "all.txt").write_text("images/in/photo.png\n")
    (tmp_path / "set" / "labels" / "in").mkdir(parents=True)
    (tmp_path / "set" / "labels" / "in" / "photo.txt").write_text("7 0 0 1 0 1 1 0 1")
    (tmp_path / "my.yml").write_text("path: set\ntrain: [all.txt]\nval: all.txt\nnames: {7: cat, 3: dog}\n")
    found = read_yolo(tmp_path / "my.yml")
    assert found.classes.names == ("dog", "cat")
    assert found.keys == ("set/in/photo",)
    assert found.read("set/in/photo").truth.masks.areas().tolist() == [80]
    (tmp_path / "my.yml").write_text("train: images\nval: images\nnames: {7: cat}\n")
    again = read_yolo(tmp_path / "my.yml", root=tmp_path / "set")
    assert (again.keys, again.splits) == (("in/photo",), {})
    assert "the same images" in again.notes[0]


def test_what_others_draw_holds_the_object(tmp_path, object_set):
    """OpenCV fills the same line, as programs that train on such labels do."""
    rows, columns = np.mgrid[:40, :40]
    mask = ((rows - 20) ** 2 + (columns - 20) ** 2 < 300) & ((rows - 20) ** 2 + (columns - 20) ** 2 > 40)
    objects = Instances(InstanceMasks.pack([mask], (40, 40)), np.zeros(1, np.int32), ClassSpace.from_names(["ring"]))
    write_yolo(tmp_path, object_set(tmp_path, [objects]))
    numbers = np.array((tmp_path / "labels" / "first.txt").read_text().split()[1:], float).reshape(-1, 2)
    drawn = cv2.fillPoly(np.zeros((40, 40), np.uint8), [(numbers * 40 * 16 - 8).round().astype(np.int32)], 1, shift=4) > 0
    assert (drawn & mask).sum() == mask.sum()
    assert (drawn & mask).sum() / (drawn | mask).sum() > 0.85
    assert yaml.safe_load((tmp_path / "data.yaml").read_text()) == {"train": "images", "val": "images", "names": {0: "ring"}}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("0 0.5 0.5 0.2 0.2", r"photo\.txt, line 1, is a box of class 0: a label for detection"),
        ("1 0 0 1 0 1 1\n\n5 0 0 1 0 1 1", r"photo\.txt, line 3: the class 5 is not among the names; those are 0, 1"),
        ("1 0 0 100 0 100 50", r"line 1, holds 6 numbers from 0 to 100; at least three pairs of shares"),
        ("1 0 0 1 0 1 1 1", r"line 1, holds 7 numbers"),
        ("1 0 0 nan 0 1 1", r"line 1, holds 6 numbers"),
        ("a b", r"photo\.txt is no file of YOLO outlines \(ValueError"),
        ("1e999 0 0 1 0 1 1", r"photo\.txt is no file of YOLO outlines \(OverflowError"),
    ],
)
def test_errors_in_labels(tmp_path, labels, message):
    (tmp_path / "test" / "images").mkdir(parents=True)
    exported(tmp_path, ROBOFLOW, train=labels)
    with pytest.raises(DataError, match=message):
        read_yolo(tmp_path).read("train/photo")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: images\nnames: [a, a]", r"data\.yaml: The class name 'a' occurs 2 times"),
        ("train: images\nnames: 3", r"data\.yaml is no YAML file of YOLO \(TypeError"),
        ("train: [images\nnames:", r"data\.yaml is no YAML file \(while"),
        ("train: /etc\nnames: [a]", r"data\.yaml names '/etc', which is not below .* If the data lie elsewhere"),
        ("train: images/train\nnames: [a]", r"data\.yaml names 'images/train', which is not below"),
        ("train: here\nnames: [a]", r"data\.yaml leads to no image"),
    ],
)
def test_errors_in_yaml(tmp_path, text, message):
    (tmp_path / "here").mkdir()
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        read_yolo(tmp_path / "data.yaml")


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    write_image(tmp_path / "elsewhere" / "photo.png", np.zeros((8, 10), np.uint8))
    root = tmp_path / "set"
    root.mkdir()
    (root / "away").symlink_to(tmp_path / "elsewhere")
    (root / "data.yaml").write_text("train: away\nnames: [a]")
    with pytest.raises(DataError, match=r"data\.yaml names 'away', which is no path inside"):
        read_yolo(root)


def test_no_yaml(tmp_path):
    (tmp_path / "other.yaml").write_text("names: [a]")
    assert recognizes_yolo(tmp_path) is None
    assert recognizes_yolo(tmp_path / "no") is None
    with pytest.raises(DataError, match=r"holds no data\.yaml"):
        read_yolo(tmp_path)
