from dataclasses import replace

import numpy as np
import pytest
from skimage.morphology import dilation, disk

from intarsia.core import ClassSpace, InstanceMasks, Instances, LabelMap, Panoptic, Segment, SegmentationError, SettingsError
from intarsia.data.targets import make_targets
from intarsia.data.targets._objects import objects_of
from intarsia.data.targets.touching_borders import touching_borders

CELLS = ClassSpace.from_names(["background", "cell"])


def test_by_hand() -> None:
    # Two objects that touch, and a third that is three pixels away from the second.
    ids = np.array([[1, 1, 1, 2, 2, 2, 0, 0, 3, 0]], np.int32)
    target = touching_borders(LabelMap(ids), width=1)
    assert target.dtype == np.uint8
    assert target.tolist() == [[[1, 1, 1, 1, 1, 1, 0, 0, 1, 0]], [[0, 0, 1, 1, 0, 0, 0, 0, 0, 0]]]
    assert touching_borders(LabelMap(ids), width=2)[1].tolist() == [[0, 1, 1, 1, 1, 0, 1, 1, 0, 0]]


@pytest.mark.parametrize("width", [1, 2, 4])
def test_equals_growing_each_object_and_counting(width: int) -> None:
    rng = np.random.default_rng(0)
    ids = np.zeros((40, 50), np.int32)
    for number in range(1, 12):
        y, x = rng.integers(0, 34), rng.integers(0, 42)
        ids[y : y + rng.integers(3, 9), x : x + rng.integers(3, 9)] = number
    grown = [dilation(ids == number, disk(width)) for number in np.unique(ids)[1:]]
    expected = np.stack([ids > 0, np.sum(grown, 0) >= 2])
    assert np.array_equal(touching_borders(LabelMap(ids), width=width), expected)


def test_numbers_do_not_count() -> None:
    ids = np.array([[1, 1, 2, 0, 3]], np.int32)
    renamed = np.array([0, 70, 5, 900], np.int32)[ids]
    assert np.array_equal(touching_borders(LabelMap(ids)), touching_borders(LabelMap(renamed)))


def test_classes_and_what_is_ignored() -> None:
    ids = np.array([[1, 1, 0, 1, 255, 0]], np.uint8)
    assert make_targets(["touching_borders"], LabelMap(ids, CELLS))["touching_borders"].tolist() == [
        [[1, 1, 0, 1, 255, 0]],
        [[0, 1, 1, 1, 255, 0]],
    ]


@pytest.mark.parametrize("ids", [np.zeros((0, 4)), np.zeros((2, 2)), np.ones((3, 3))])
def test_fewer_than_two_objects_have_no_border(ids: np.ndarray) -> None:
    target = touching_borders(LabelMap(ids.astype(np.int32)))
    assert np.array_equal(target[0], ids)
    assert not target[1].any()


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"borders are 0\.5 pixels wide"):
        touching_borders(LabelMap(np.ones((2, 2), np.int32)), width=0.5)


def test_instances_of_two_classes_and_a_crowd() -> None:
    ids = np.array([[1, 1, 2, 2, 0, 0, 0, 3, 3]], np.int32)
    truth = Instances.from_ids(ids, ClassSpace.from_names(["background", "a", "b"]), {1: 2, 2: 1, 3: 1})
    crowded = replace(truth, is_crowd=np.array([False, False, True]))
    assert touching_borders(truth, width=1).tolist() == [
        [[0, 0, 1, 1, 0, 0, 0, 1, 1]],
        [[1, 1, 0, 0, 0, 0, 0, 0, 0]],
        [[0, 1, 1, 0, 0, 0, 0, 0, 0]],
    ]
    assert (touching_borders(crowded)[:, :, 7:] == 255).all()
    assert not (touching_borders(crowded)[:, :, :7] == 255).any()


def test_of_instances_that_overlap_the_earlier_is_seen() -> None:
    masks = [np.array([[0, 1, 1, 0]], bool), np.array([[0, 0, 1, 1]], bool)]
    truth = Instances(InstanceMasks.pack(masks, (1, 4)), np.array([1, 1]), CELLS)
    assert objects_of(truth).ids.tolist() == [[0, 1, 1, 2]]


def test_panoptic_things_and_void() -> None:
    classes = ClassSpace.from_names(["sky", "car"], things=["car"])
    truth = Panoptic(np.array([[5, 7, 7, 9, 0]]), (Segment(5, 0), Segment(7, 1), Segment(9, 1)), classes)
    assert touching_borders(truth, width=1).tolist() == [[[0, 1, 1, 1, 255]], [[0, 0, 1, 1, 255]]]
    stuff = Instances.from_ids(np.array([[1]]), classes, 0)
    with pytest.raises(SegmentationError, match="objects of sky, which are no classes of things; these are car"):
        touching_borders(stuff)
