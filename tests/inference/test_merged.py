import numpy as np
import pytest

from intarsia.core import ClassSpace, Instances, LabelMap, Predictor, SettingsError
from intarsia.inference.merged import Merged

IDS = np.zeros((20, 30), np.int32)
IDS[5:15, 5:15], IDS[5:15, 12:25] = 1, 2


class Objects:
    name, task = "finder", "instance"
    classes = ClassSpace.from_names(["car", "dog"], things=["car", "dog"])

    def predict(self, image, hints=None):
        found = Instances.from_ids(IDS, self.classes, {1: 0, 2: 1})
        return Instances(found.masks, found.class_id, self.classes, np.array([0.75, 0.25], np.float32))


class Labels:
    name, task = "painter", "semantic"
    classes = ClassSpace.from_names(["sky", "road", "car"])

    def predict(self, image, hints=None):
        ids = np.zeros(image.shape[:2], np.uint8)
        ids[10:] = 1
        ids[8:12] = 2
        return LabelMap(ids, self.classes)


def test_two_predictors_are_one():
    merged = Merged(Objects(), Labels())
    assert isinstance(merged, Predictor)
    assert (merged.name, merged.task) == ("finder + painter", "panoptic")
    assert merged.classes.names == ("sky", "road", "car", "dog")
    found = merged.predict(np.zeros((20, 30, 3), np.uint8))
    assert [found.classes.names[s.class_id] for s in found.segments] == ["car", "sky", "road"]
    assert (found.ids[8:12, 15:] == 0).all(), "cars are what objects say"
    with_dog = Merged(Objects(), Labels(), min_score=0.2).predict(np.zeros((20, 30, 3), np.uint8))
    assert "dog" in [with_dog.classes.names[s.class_id] for s in with_dog.segments]


def test_what_cannot_be_merged():
    with pytest.raises(SettingsError, match="painter makes semantic results; the first to be merged must find objects"):
        Merged(Labels(), Labels())
    with pytest.raises(SettingsError, match="finder makes instance results; the second"):
        Merged(Objects(), Objects())
    with pytest.raises(SettingsError, match=r"max_overlap is 1\.5; it lies in \[0, 1\]"):
        Merged(Objects(), Labels(), max_overlap=1.5)
    with pytest.raises(SettingsError, match="min_stuff_area is -1"):
        Merged(Objects(), Labels(), min_stuff_area=-1)
