import json
import shutil

import numpy as np
import pytest

from intarsia.core import ClassSpaceError, DataError, SettingsError
from intarsia.data.datasets import open_dataset
from intarsia.data.datasets.coco_stuff import CocoStuff
from intarsia.data.formats import write_image

CLASSES = CocoStuff.classes
NAME = "000000000139"


def test_classes_are_those_of_coco(shared_data):
    assert (len(CLASSES), len(CLASSES.thing_ids)) == (171, 80)
    assert [CLASSES.id_of_source[value] for value in (0, 12, 89, 91, 181, 255)] == [0, 11, 79, 80, 170, 255]
    assert [CLASSES.names[i] for i in (0, 11, 79, 80, 170)] == ["person", "stop sign", "toothbrush", "banner", "wood"]
    categories = json.loads((shared_data("coco_panoptic_sample") / "panoptic_examples.json").read_text())["categories"]
    things = {c["id"]: c["name"] for c in categories if c["isthing"]}
    assert len(things) == 80
    assert {CLASSES.id_of_source[number - 1]: name for number, name in things.items()} == dict(enumerate(CLASSES.names[:80]))


def test_maps(small_coco_stuff):
    dataset = open_dataset(small_coco_stuff)
    assert (dataset.name, dataset.splits) == ("coco_stuff", {"val": (f"val/{NAME}",)})
    assert dataset.read(f"val/{NAME}").truth.ids.tolist() == [[0, 11, 255], [80, 170, 79]]
    (small_coco_stuff / "images").mkdir()
    shutil.move(small_coco_stuff / "val2017", small_coco_stuff / "images/val2017")
    shutil.move(small_coco_stuff / "stuffthingmaps", small_coco_stuff / "annotations")
    assert open_dataset(f"coco_stuff:{small_coco_stuff}").read(f"val/{NAME}").truth.areas()["wood"] == 1


def test_errors(small_coco_stuff):
    with pytest.raises(SettingsError, match="COCO-Stuff has no instance truth"):
        open_dataset(small_coco_stuff, view="instance")
    dataset = open_dataset(small_coco_stuff)
    path = small_coco_stuff / f"stuffthingmaps/val2017/{NAME}.png"
    write_image(path, np.full((2, 3), 11, np.uint8))
    with pytest.raises(ClassSpaceError, match="holds a value that no class claims: 11"):
        dataset.read(f"val/{NAME}")
    path.unlink()
    with pytest.raises(DataError, match=r"(?s)alone for 000000000139 \(1 in all\).*ROOT/stuffthingmaps"):
        open_dataset(small_coco_stuff)
    with pytest.raises(DataError, match="holds no images of train2017 or val2017"):
        open_dataset(f"coco_stuff:{small_coco_stuff / 'val2017'}")
