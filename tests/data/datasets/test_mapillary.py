import json
import shutil

import numpy as np
import pytest

from intarsia.core import ClassSpaceError, DataError, Instances, LabelMap, Panoptic, SettingsError
from intarsia.data.datasets import open_dataset
from intarsia.data.datasets.mapillary import Mapillary
from intarsia.data.formats._masks import write_ids

KEY = "train/abc-_1"


def test_three_views_of_the_newest_version(small_vistas):
    semantic = open_dataset(small_vistas)
    assert semantic.name == "mapillary", "recognised by its config"
    assert semantic.splits == {"train": (KEY,), "val": ("val/def",)}
    assert semantic.classes.names == ("Curb", "Road", "Car", "Ego Vehicle")
    assert semantic.classes.thing_ids == (2,)
    truth = semantic.read(KEY).truth
    assert isinstance(truth, LabelMap)
    assert truth.ids.tolist() == [[1, 1, 2, 2], [1, 2, 2, 3], [255, 2, 255, 3]]
    objects = open_dataset(small_vistas, view="instance").read(KEY).truth
    assert isinstance(objects, Instances)
    assert sorted(objects.masks.areas().tolist()) == [2, 3], "numbers count from 0"
    assert objects.class_id.tolist() == [2, 2]
    panoptic = open_dataset(small_vistas, view="panoptic").read("val/def").truth
    assert isinstance(panoptic, Panoptic)
    assert panoptic.to_label_map().ids.tolist() == truth.ids.tolist()
    assert sorted((s.class_id, s.is_crowd) for s in panoptic.segments) == [(1, False), (2, False), (2, True), (3, False)]


def test_version_1_2(small_vistas):
    old = Mapillary(small_vistas, view="semantic-v1.2")
    assert old.classes.names == ("Road", "Car", "Ego Vehicle")
    assert old.read(KEY).truth.ids.tolist() == [[0, 0, 1, 1], [0, 1, 1, 2], [255, 1, 255, 2]]
    assert "config_v1.2.json" in old.notes[0]
    (small_vistas / "config_v2.0.json").unlink()
    (small_vistas / "config_v1.2.json").rename(small_vistas / "config.json")
    for split in ("training", "validation"):
        for folder in (small_vistas / split / "v1.2").iterdir():
            folder.rename(small_vistas / split / folder.name)
    for view in ("panoptic", "panoptic-v1.2"):
        truth = open_dataset(small_vistas, view=view).read(KEY).truth
        assert len(truth.segments) == 4, "a release before 2.0"
        assert truth.to_label_map().ids[0].tolist() == [0, 0, 1, 1]


def test_without_panoptic_maps_they_are_made_of_objects(small_vistas):
    for split in ("training", "validation"):
        shutil.rmtree(small_vistas / split / "v2.0/panoptic")
    truth = Mapillary(small_vistas, view="panoptic").read(KEY).truth
    assert len(truth.segments) == 4
    assert not any(segment.is_crowd for segment in truth.segments)


def test_a_readable_name_that_two_labels_have(small_vistas):
    path = small_vistas / "config_v2.0.json"
    config = json.loads(path.read_text())
    config["labels"][0]["readable"] = "Road"
    path.write_text(json.dumps(config))
    assert Mapillary(small_vistas).classes.names[:2] == ("construction--barrier--curb", "construction--flat--road")


def test_errors(small_vistas):
    with pytest.raises(SettingsError, match=r"no depth truth; its views are semantic, instance, panoptic, semantic-v1.2"):
        Mapillary(small_vistas, view="depth")
    with pytest.raises(DataError, match=f"no sample 'train/x'. Nearest: .*{KEY}"):
        Mapillary(small_vistas).read("train/x")
    with pytest.raises(DataError, match=r"holds no config_v2.0.json or config_v1.2.json or config.json. Mapillary"):
        Mapillary(small_vistas / "training")
    write_ids(small_vistas / "training/v2.0/labels/abc-_1.png", np.full((3, 4), 9), bits=8)
    with pytest.raises(ClassSpaceError, match=r"abc-_1.png holds a value that no class claims: 9"):
        Mapillary(small_vistas).read(KEY)
    (small_vistas / "training/v2.0/labels/abc-_1.png").unlink()
    with pytest.raises(DataError, match=r"alone for abc-_1 \(1 in all\). Expected is\nROOT/config_v2.0.json"):
        Mapillary(small_vistas)
    (small_vistas / "config_v2.0.json").write_text('{"labels": [{"readable": "Road"}]}')
    with pytest.raises(DataError, match=r"config_v2.0.json is no config of Mapillary Vistas \(KeyError: 'evaluate'\)"):
        Mapillary(small_vistas)
