import numpy as np
import pytest

from intarsia.core import ClassSpace, InstanceMasks, Instances, Panoptic, Segment, SegmentationError
from intarsia.data.targets import make_targets
from intarsia.data.targets.objects import objects

SPACE = ClassSpace.from_names(["sky", "cow", "road", "car"], things=["cow", "car"])


def test_by_hand() -> None:
    ids = np.array([[0, 5, 5, 0], [0, 5, 0, 9]])
    target = objects(Instances.from_ids(ids, SPACE, {5: 3, 9: 1}))
    assert target["boxes_xyxy"].tolist() == [[1, 0, 3, 2], [3, 1, 4, 2]]
    assert target["class_index"].tolist() == [1, 0]  # car is the second of the things
    assert target["masks"].tolist() == [[[0, 1, 1, 0], [0, 1, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, 1]]]
    assert target["is_crowd"].tolist() == [0, 0]
    assert {key: array.dtype.name for key, array in target.items()} == {
        "boxes_xyxy": "float32",
        "class_index": "int64",
        "masks": "uint8",
        "is_crowd": "uint8",
    }


def test_of_a_panoptic_map_the_things() -> None:
    truth = Panoptic(np.array([[1, 4, 6]]), (Segment(1, 0), Segment(4, 3), Segment(6, 1, is_crowd=True)), SPACE)
    target = objects(truth)
    assert target["class_index"].tolist() == [1, 0]
    assert target["is_crowd"].tolist() == [0, 1]
    assert target["masks"].tolist() == [[[0, 1, 0]], [[0, 0, 1]]]


def test_where_no_class_is_a_thing_all_but_the_first_are_counted() -> None:
    plain = ClassSpace.from_names(["background", "nucleus"])
    assert objects(Instances.from_ids(np.array([[0, 1]]), plain, 1))["class_index"].tolist() == [0]


def test_objects_may_overlap_and_there_may_be_none() -> None:
    both = np.ones((2, 2), np.bool_)
    target = objects(Instances(InstanceMasks.pack([both, both], (2, 2)), np.array([1, 3]), SPACE))
    assert target["masks"].sum() == 8
    none = make_targets(["objects"], Instances(InstanceMasks.pack([], (3, 4)), np.zeros(0, np.int32), SPACE))["objects"]
    assert {key: array.shape for key, array in none.items()} == {
        "boxes_xyxy": (0, 4),
        "class_index": (0,),
        "masks": (0, 3, 4),
        "is_crowd": (0,),
    }


def test_a_class_that_is_not_countable() -> None:
    with pytest.raises(SegmentationError, match=r"objects of road, and countable things are cow, car alone.*thing = true"):
        objects(Instances.from_ids(np.array([[1]]), SPACE, 2))
