import numpy as np
import pytest

from intarsia.classical import OBJECTS, TWO_CLASSES
from intarsia.core import (
    ClassSpace,
    ClassSpaceError,
    InstanceMasks,
    Instances,
    LabelMap,
    MultiLabel,
    Panoptic,
    Segment,
    SettingsError,
)
from intarsia.evaluation.semantic import compared_as_labels

CLASSES = ClassSpace.from_names(["background", "nucleus"])
NUCLEUS = ClassSpace.from_names(["nucleus"], things=["nucleus"])
ZEROS = LabelMap(np.zeros((2, 3), np.uint8), CLASSES)


def test_equal_classes_pass_untouched() -> None:
    prediction = LabelMap(np.ones((2, 3), np.uint8), CLASSES)
    labels, truth, notes = compared_as_labels(prediction, ZEROS)
    assert labels is prediction
    assert truth is ZEROS
    assert notes == []


def test_classes_in_another_order_are_matched_by_name_and_strangers_become_void() -> None:
    own = ClassSpace.from_names(["nucleus", "dirt", "background"], ignore_id=9)
    prediction = LabelMap(np.array([[0, 1, 2, 9]], np.int32), own)
    labels, _, notes = compared_as_labels(prediction, LabelMap(np.zeros((1, 4), np.uint8), CLASSES))
    assert labels.ids.tolist() == [[1, 255, 0, 255]]
    assert labels.classes is CLASSES
    assert len(notes) == 1
    assert "also knows dirt" in notes[0]


@pytest.mark.parametrize("names", [["background", "nucleus"], ["nucleus", "other"], ["tissue", "cell"]])
def test_objects_are_read_as_labels_on_either_side(names: list[str]) -> None:
    objects = Instances.from_ids(np.array([[0, 4, 7]]), NUCLEUS, 0)
    classes = ClassSpace.from_names(names)
    positive = names.index("nucleus") if "nucleus" in names else 1
    flat = LabelMap(np.zeros((1, 3), np.uint8), classes)
    expected = [[1 - positive, positive, positive]]
    labels, _, notes = compared_as_labels(objects, flat)
    assert labels.ids.tolist() == expected
    assert "prediction is made of objects" in notes[0]
    _, truth, notes = compared_as_labels(flat, objects)
    assert truth.ids.tolist() == expected
    assert "truth is made of objects" in notes[0]


def test_objects_keep_their_classes_and_crowds_are_ignored() -> None:
    things = ClassSpace.from_names(["car", "person"])
    classes = ClassSpace.from_names(["person", "none", "car"])
    masks = InstanceMasks.pack((np.array([[x == i for x in range(4)]]) for i in range(3)), (1, 4))
    objects = Instances(masks, np.array([0, 1, 1]), things, is_crowd=np.array([False, False, True]))
    _, truth, _ = compared_as_labels(LabelMap(np.zeros((1, 4), np.uint8), classes), objects)
    assert truth.ids.tolist() == [[2, 0, 255, 1]]


def test_panoptic_is_read_by_class_on_both_sides() -> None:
    panoptic = Panoptic(np.array([[0, 5, 6]]), (Segment(5, 0), Segment(6, 1)), CLASSES)
    labels, truth, notes = compared_as_labels(panoptic, panoptic)
    assert labels.ids.tolist() == truth.ids.tolist() == [[255, 0, 1]]
    assert len(notes) == 2


def test_an_image_without_objects_is_all_background() -> None:
    nothing = Instances.from_ids(np.zeros((2, 3), np.uint8), NUCLEUS, 0)
    assert (compared_as_labels(nothing, ZEROS)[0].ids == 0).all()


THREE = ClassSpace.from_names(["sky", "road", "car"])
TRUTH = LabelMap(np.array([[0, 0, 1, 1, 255], [0, 2, 1, 1, 255]], np.uint8), THREE)


def test_regions_take_the_class_of_most_of_their_truth_pixels_and_a_note_says_so() -> None:
    regions = LabelMap(np.array([[7, 7, 7, 3, 9], [7, 7, 3, 3, 9]]))
    labels, truth, notes = compared_as_labels(regions, TRUTH)
    assert labels.ids.tolist() == [[0, 0, 0, 1, 0], [0, 0, 1, 1, 0]]
    assert labels.classes is truth.classes
    assert len(notes) == 1
    assert "the best that its borders allow" in notes[0]


def test_a_foreground_and_objects_of_no_class_are_matched_too() -> None:
    side = LabelMap(np.array([[0, 0, 1, 1, 1], [0, 0, 1, 1, 0]], np.uint8), TWO_CLASSES)
    assert compared_as_labels(side, TRUTH)[0].ids.tolist() == [[0, 0, 1, 1, 1], [0, 0, 1, 1, 0]]
    assert compared_as_labels(side, side)[2] == []
    objects = Instances.from_ids(np.array([[0, 0, 1, 1, 0], [0, 2, 1, 1, 0]]), OBJECTS, 0)
    assert compared_as_labels(objects, TRUTH)[0].ids[:, :4].tolist() == [[0, 0, 1, 1], [0, 2, 1, 1]]


def test_a_trained_model_of_such_names_is_not_given_the_truth() -> None:
    """Its background and foreground are what it learnt; matched to the truth, one that inverts it would be perfect."""
    own = ClassSpace.from_names(["background", "foreground"])
    inverted = LabelMap(np.ones((2, 3), np.uint8), own)
    with pytest.raises(ClassSpaceError, match="no class 'nucleus'"):
        compared_as_labels(inverted, ZEROS)
    assert compared_as_labels(inverted, LabelMap(ZEROS.ids, own))[0] is inverted


def test_errors() -> None:
    objects = Instances.from_ids(np.array([[0, 1, 2]]), NUCLEUS, 0)
    with pytest.raises(SettingsError, match="kind Instances cannot be scored against a truth of kind Instances"):
        compared_as_labels(objects, objects)
    with pytest.raises(SettingsError, match="kind MultiLabel cannot be scored against a truth of kind LabelMap"):
        compared_as_labels(MultiLabel(np.zeros((2, 2, 3), np.bool_), CLASSES), ZEROS)
    with pytest.raises(SettingsError, match="one of them must have a class for each pixel"):
        compared_as_labels(LabelMap(ZEROS.ids), LabelMap(ZEROS.ids))
    with pytest.raises(SettingsError, match=r"Regions of \(2, 3\) cannot be matched to a truth of \(2, 5\)"):
        compared_as_labels(LabelMap(ZEROS.ids), TRUTH)
    with pytest.raises(ClassSpaceError, match=r"no class 'background', 'nucleus', .* Its classes are a, b, c"):
        compared_as_labels(LabelMap(ZEROS.ids, ClassSpace.from_names(["a", "b", "c"])), ZEROS)
    with pytest.raises(ClassSpaceError, match="classes nucleus cannot be read as labels of the classes a, b, c"):
        compared_as_labels(objects, LabelMap(np.zeros((1, 3), np.uint8), ClassSpace.from_names(["a", "b", "c"])))
