import json
import shutil

import numpy as np
import pytest

from intarsia.core import DataError, Instances, LabelMap, Panoptic, SettingsError
from intarsia.data.datasets import open_dataset
from intarsia.data.formats import write_image
from intarsia.data.formats._masks import write_ids
from intarsia.data.formats.cityscapes import CITYSCAPES_CLASSES


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


def test_classes_are_those_of_the_scripts():
    labels = pytest.importorskip("cityscapesscripts.helpers.labels").labels
    evaluated = sorted((label for label in labels if label.trainId not in (-1, 255)), key=lambda label: label.trainId)
    assert [(c.name, c.color, c.sources, c.is_thing) for c in CITYSCAPES_CLASSES.classes] == [
        (label.name, label.color, (label.id,), label.hasInstances) for label in evaluated
    ]
    ignored = {label.id for label in labels if label.ignoreInEval and label.id >= 0}
    assert set(CITYSCAPES_CLASSES.ignore_sources) == ignored


def _coarse(city, split, town, ids, what="instanceIds"):
    name = f"{split}/{town}/{town}_000000_000019"
    write_image(city / f"leftImg8bit/{name}_leftImg8bit.png", np.zeros((2, 3, 3), np.uint8))
    write_ids(city / f"gtCoarse/{name}_gtCoarse_{what}.png", np.array(ids), bits=16)


def test_coarse_labels(city):
    _coarse(city, "train_extra", "bonn", [[0, 7, 7], [0, 26000, 26]])
    _coarse(city, "train", "ulm", [[0, 0, 0], [0, 0, 26]])
    dataset = open_dataset(city)
    assert {split: len(keys) for split, keys in dataset.splits.items()} == {"train": 1, "val": 1, "train_extra": 1}
    assert "Labels of train_extra are coarse." in dataset.notes[0]
    assert dataset.read("train/ulm/ulm_000000_000019").truth.areas()["road"] == 2, "fine labels come first"
    assert dataset.read("train_extra/bonn/bonn_000000_000019").truth.ids.tolist() == [[255, 0, 0], [255, 13, 13]]
    shutil.rmtree(city / "gtFine")
    shutil.rmtree(city / "leftImg8bit/val")
    only = open_dataset(city, view="panoptic")
    assert only.name == "cityscapes"
    assert set(only.splits) == {"train", "train_extra"}
    assert [s.is_crowd for s in only.read("train_extra/bonn/bonn_000000_000019").truth.segments] == [False, False, True]
    shutil.rmtree(city / "leftImg8bit/train_extra")
    assert set(open_dataset(city).splits) == {"train"}, "labels of images that were not downloaded"


def test_label_ids_and_train_ids_serve_the_semantic_view(city):
    fine = city / "gtFine/val/lindau"
    (fine / "lindau_000000_000019_gtFine_instanceIds.png").unlink()
    for what, values in (("labelTrainIds", [[0, 0, 13], [10, 255, 18]]), ("labelIds", [[7, 7, 26], [23, 4, 33]])):
        write_ids(fine / f"lindau_000000_000019_gtFine_{what}.png", np.array(values), bits=8)
        truth = open_dataset(city).read("val/lindau/lindau_000000_000019").truth
        assert truth.ids.tolist() == [[0, 0, 13], [10, 255, 18]]
        assert truth.classes == CITYSCAPES_CLASSES
    with pytest.raises(DataError, match="alone for val/lindau/lindau_000000_000019"):
        open_dataset(city, view="instance")


def test_polygons_alone_are_left_to_their_format(city):
    for path in city.glob("gtFine/*/*/*.png"):
        car = {"label": "car", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}
        content = {"imgHeight": 2, "imgWidth": 3, "objects": [car]}
        path.with_name(path.name.replace("instanceIds.png", "polygons.json")).write_text(json.dumps(content))
        assert open_dataset(city).name == "cityscapes"
    for path in city.glob("gtFine/*/*/*.png"):
        path.unlink()
    dataset = open_dataset(city, view="semantic")
    assert type(dataset).__name__ == "Annotations"
    assert [dataset.read(key).truth.areas()["car"] for keys in dataset.splits.values() for key in keys] == [4, 4]
