"""Label formats as data sets: recognised, opened, split."""

import json

import numpy as np
import pytest

from intarsia.core import ClassSpace, DataError, LabelMap, Sample, SettingsError
from intarsia.data.check import check_dataset
from intarsia.data.convert import convert_set
from intarsia.data.datasets import open_dataset
from intarsia.data.datasets._split_file import SPLIT, split_file_of, write_split
from intarsia.data.datasets.annotations import Annotations, annotated_of, kind_of
from intarsia.data.formats import write_image
from intarsia.data.formats._annotated import Annotated, AnnotatedSet
from intarsia.data.formats.palette import write_palette

MAPS = ClassSpace.from_names(["road", "car"], things=["car"])


def truth(key):
    return Annotated(key, LabelMap(np.array([[0, 1, 1], [0, 0, 1]], np.uint8), MAPS))


def make_set(folder, count=5, **more):
    keys = tuple(f"im{number}" for number in range(count))
    images = {key: folder / f"{key}.png" for key in keys}
    for path in images.values():
        write_image(path, np.zeros((2, 3, 3), np.uint8))
    return AnnotatedSet("drawn", "semantic", MAPS, keys, truth, images, **more)


def write_coco(folder, name="instances.json"):
    for number in (1, 2, 3, 4):
        write_image(folder / f"{number}.png", np.full((2, 3, 3), number, np.uint8))
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "height": 2, "width": 3} for n in (1, 2, 3, 4)],
        "categories": [{"id": 7, "name": "car"}],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 7, "segmentation": {"size": [2, 3], "counts": [0, 2, 4]}, "iscrowd": 0}
            for n in (1, 2, 3, 4)
        ],
    }
    (folder / name).write_text(json.dumps(content))
    return folder / name


def test_a_set_is_a_data_set(tmp_path):
    opened = Annotations(make_set(tmp_path))
    assert (opened.task, opened.classes, len(opened.splits["train"]), len(opened.splits["val"])) == ("semantic", MAPS, 4, 1)
    sample = opened.read("im2")
    assert isinstance(sample, Sample)
    assert sample.truth.ids.tolist() == [[0, 1, 1], [0, 0, 1]]
    assert opened.image_path("im2") == tmp_path / "im2.png"
    back = annotated_of(opened)
    assert back.read("im2").truth.ids.tolist() == sample.truth.ids.tolist()


def test_other_views_are_made_and_said(tmp_path):
    opened = Annotations(make_set(tmp_path), view="instance")
    assert (opened.task, opened.classes.names, len(opened.read("im0").truth)) == ("instance", ("car",), 1)
    assert "Truths of kind instance are made of truths of kind semantic." in opened.notes
    with pytest.raises(SettingsError, match="'regions' is no kind of truth"):
        kind_of("regions")


def test_splits_of_the_format_are_kept_and_the_rest_trains(tmp_path):
    opened = Annotations(make_set(tmp_path, splits={"val": ("im1",), "test": ("im0",)}))
    assert dict(opened.splits) == {"train": ("im2", "im3", "im4"), "val": ("im1",), "test": ("im0",)}
    assert dict(Annotations(make_set(tmp_path), val_fraction=0).splits) == {"train": ("im0", "im1", "im2", "im3", "im4")}


def test_images_that_are_missing_are_named(tmp_path):
    given = make_set(tmp_path)
    (tmp_path / "im3.png").unlink()
    with pytest.raises(DataError, match=r"annotates 5 images, of which 1 are not there: im3\. Looked for .*im3\.png"):
        Annotations(given)
    with pytest.raises(DataError, match="holds no image"):
        Annotations(given.limited([]))


def test_what_is_no_format_is_said(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(DataError, match=r"in no label format that is recognised\. Known: .*coco"):
        Annotations(tmp_path / "x.json")
    with pytest.raises(DataError, match="neither a path nor a name"):
        open_dataset("coco_panoptic_of_mine:nowhere")


def test_a_split_file_beside_the_data_is_obeyed(tmp_path):
    path = write_coco(tmp_path)
    write_split(split_file_of(path), {"train": ["1", "3"], "val": ["2"], "test": ["4"]}, "by hand")
    assert split_file_of(path) == tmp_path / "instances.split.toml"
    opened = open_dataset(path, view="instance")
    assert dict(opened.splits) == {"train": ("1", "3"), "val": ("2",), "test": ("4",)}
    assert any("Split by" in note for note in opened.notes)
    assert open_dataset(f"coco:{path}").splits == opened.splits


def test_a_split_file_in_a_folder_is_obeyed_by_check_too(tmp_path):
    for name in "abcd":
        write_image(tmp_path / f"images/{name}.png", np.random.default_rng(ord(name)).integers(0, 255, (8, 8, 3), np.uint8))
        write_palette(tmp_path / f"masks/{name}.png", LabelMap(np.eye(8, dtype=np.uint8), MAPS))
    write_split(tmp_path / SPLIT, {"val": ["a"], "test": ["b"]}, "by hand")
    assert dict(open_dataset(tmp_path).splits) == {"train": ("c", "d"), "val": ("a",), "test": ("b",)}
    found = check_dataset(tmp_path)
    assert dict(found.counts) == {"train": 2, "val": 1, "test": 1}
    export = convert_set(annotated_of(open_dataset(tmp_path)), tmp_path / "export", "labelme")
    assert "2 train, 1 val, 1 test images" in " ".join(open_dataset(export.out).notes)
    assert found.notes[0] == "Recognised as folder: images with masks or object numbers, paired by name."
    for strange in ("split = 3", "[split]\nval = [[1]]", "[split]\nfold = ['a']", "[split"):
        (tmp_path / SPLIT).write_text(strange)
        with pytest.raises(DataError, match=r"split\.toml"):
            open_dataset(tmp_path)
    (tmp_path / SPLIT).write_text('[split]\nval = ["z"]\n')
    with pytest.raises(DataError, match=r"split\.toml: \[split\] puts 'z' into val, and there is no such image"):
        open_dataset(tmp_path)


def test_check_says_what_was_recognised(tmp_path):
    notes = check_dataset(write_coco(tmp_path)).notes
    assert notes[0] == "Recognised as coco: images with objects or panoptic maps in COCO's JSON files."
