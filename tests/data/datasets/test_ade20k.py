import numpy as np
import pytest

from intarsia.core import DataError, Panoptic, SettingsError
from intarsia.data.datasets import open_dataset
from intarsia.data.datasets.ade20k import ADE20K
from intarsia.data.formats import write_image

CLASSES = ADE20K.classes


def test_classes_are_those_of_the_challenge():
    assert (len(CLASSES), len(CLASSES.thing_ids)) == (150, 100)
    assert [CLASSES.names[i] for i in (0, 12, 20, 58, 130, 149)] == ["wall", "person", "car", "screen door", "screen", "flag"]
    assert [CLASSES.classes[i].color for i in (0, 12, 149)] == [(120, 120, 120), (150, 5, 61), (92, 0, 255)]
    assert CLASSES.names[CLASSES.thing_ids[3]] == "person", "the fourth class of the instance challenge"
    assert CLASSES.names[CLASSES.thing_ids[-1]] == "flag"


def test_three_views(small_ade):
    key = "val/ADE_val_00000001"
    dataset = open_dataset(small_ade)
    assert (dataset.name, set(dataset.splits)) == ("ade20k", {"train", "val"})
    assert open_dataset(small_ade.parent).name == "ade20k"
    assert dataset.read(key).truth.ids.tolist() == [[0, 0, 12, 12], [255, 12, 12, 12], [0, 0, 0, 149]]
    objects = open_dataset(small_ade, view="instance").read(key).truth
    assert [CLASSES.names[i] for i in objects.class_id] == ["person", "person", "flag"]
    assert objects.masks.areas().tolist() == [2, 2, 1]
    whole = open_dataset(small_ade, view="panoptic").read(key).truth
    assert isinstance(whole, Panoptic)
    assert [CLASSES.names[s.class_id] for s in whole.segments] == ["wall", "person", "person", "flag"]
    assert whole.ids.tolist() == [[1, 1, 2, 2], [0, 3, 3, 0], [1, 1, 1, 4]], "a person without an object is void"


def test_errors(small_ade):
    with pytest.raises(SettingsError, match="ADE20K has no depth truth"):
        open_dataset(small_ade, view="depth")
    dataset = open_dataset(small_ade, view="instance")
    path = small_ade / "annotations_instance/validation/ADE_val_00000001.png"
    for pixel, said in (((101, 5, 0), "the class 101 of object 5"), ((1, 2, 0), "an object of several classes")):
        pixels = np.zeros((3, 4, 3), np.uint8)
        pixels[0, 0], pixels[1, 1] = pixel, (4, 2, 0)
        write_image(path, pixels)
        with pytest.raises(DataError, match=rf"ADE_val_00000001\.png holds {said}; red is one class 1\.\.100"):
            dataset.read("val/ADE_val_00000001")
    write_image(path, np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(DataError, match=r"annotations_instance/ has \(2, 2\) and annotations/ \(3, 4\)"):
        open_dataset(small_ade, view="panoptic").read("val/ADE_val_00000001")
    path.unlink()
    with pytest.raises(DataError, match=r"(?s)alone for ADE_val_00000001 .*ROOT/annotations_instance"):
        open_dataset(small_ade, view="instance")
    with pytest.raises(DataError, match="holds no images of training or validation"):
        open_dataset(f"ade20k:{small_ade / 'images'}")
