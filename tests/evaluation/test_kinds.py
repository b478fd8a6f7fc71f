import numpy as np
import pytest

from intarsia.classical import OBJECTS
from intarsia.core import (
    ClassSpace,
    ClassSpaceError,
    InstanceMasks,
    Instances,
    LabelMap,
    Panoptic,
    Segment,
    SettingsError,
)
from intarsia.evaluation.kinds import compared_as_objects, compared_as_panoptic

CLASSES = ClassSpace.from_names(["sky", "car", "dog"], things=["car", "dog"])
IDS = np.array([[1, 1, 0, 2, 2], [1, 1, 0, 2, 2]])  # a car and a dog
TRUTH = Instances.from_ids(IDS, CLASSES, {1: 1, 2: 2})
MAP = Panoptic(np.where(IDS == 0, 3, IDS), (Segment(1, 1), Segment(2, 2), Segment(3, 0)), CLASSES)


def test_objects_of_the_same_classes_stay_as_they_are():
    found, truth, said = compared_as_objects(TRUTH, TRUTH)
    assert truth is TRUTH
    assert np.array_equal(found.to_ids(), IDS)
    assert said == []
    _, of_map, _ = compared_as_objects(TRUTH, MAP)
    assert of_map.class_id.tolist() == [1, 2]


def test_regions_that_lie_on_objects_count_as_some():
    """Columns 0-1 lie on the car, 2-3 half on the dog, 4 on the dog: all count. The first row alone of column 2 would not."""
    found, _, said = compared_as_objects(LabelMap(np.array([[7, 7, 0, 0, 3], [7, 7, 0, 0, 3]])), TRUTH)
    assert found.masks.areas().tolist() == [4, 2, 4], "in the order of their numbers"
    assert [CLASSES.names[i] for i in found.class_id] == ["dog", "dog", "car"]
    assert any("At least half".lower() in sentence.lower() for sentence in said)
    found, _, _ = compared_as_objects(LabelMap(np.array([[1, 1, 5, 2, 2], [1, 1, 5, 2, 2]])), TRUTH)
    assert len(found) == 2, "the gap lies on none"


def test_objects_without_class_have_that_of_the_object_below():
    found, _, said = compared_as_objects(Instances.from_ids(IDS[:, ::-1].copy(), OBJECTS, 0), TRUTH)
    assert [CLASSES.names[i] for i in found.class_id] == ["dog", "car"], "the first lies on the right now"
    assert any("have no class" in sentence for sentence in said)
    cells = ClassSpace.from_names(["background", "nucleus"], things=["nucleus"])
    found, _, said = compared_as_objects(Instances.from_ids(IDS, OBJECTS, 0), Instances.from_ids(IDS, cells, 1))
    assert found.class_id.tolist() == [1, 1]
    assert said == []


def test_one_kind_of_object_by_two_names():
    one = ClassSpace.from_names(["cell"], things=["cell"])
    other = ClassSpace.from_names(["background", "nucleus"], things=["nucleus"])
    found, _, said = compared_as_objects(Instances.from_ids(IDS, one, 0), Instances.from_ids(IDS, other, 1))
    assert found.class_id.tolist() == [1, 1]
    assert said == ["The prediction calls its one kind of object 'cell' and the truth 'nucleus'; they were taken for the same."]


def test_classes_are_matched_by_name_and_unknown_ones_left_out():
    more = ClassSpace.from_names(["dog", "boat", "car"], things=["dog", "boat", "car"])
    score = np.array([0.5, 0.25, 0.75], np.float32)
    masks = InstanceMasks.pack([IDS == 1, IDS == 0, IDS == 2], IDS.shape)
    found, _, said = compared_as_objects(Instances(masks, np.array([2, 1, 0]), more, score), TRUTH)
    assert [CLASSES.names[i] for i in found.class_id] == ["car", "dog"]
    assert found.score.tolist() == [0.5, 0.75]
    assert found.masks.areas().tolist() == [4, 4]
    assert said == ["Objects of classes that the truth does not know were left out: boat."]
    fewer = ClassSpace.from_names(["car", "boat"], things=["car", "boat"])
    with pytest.raises(ClassSpaceError, match=r"no class 'dog', which the truth has. Its classes are car, boat"):
        compared_as_objects(Instances.from_ids(IDS, fewer, 0), TRUTH)


def test_the_parts_of_a_label_map_are_objects():
    labels = np.array([[1, 0, 1, 2], [1, 0, 0, 1]])
    truth = Instances.from_ids(np.ones((2, 4), int), CLASSES, 1)
    found, _, said = compared_as_objects(LabelMap(labels, CLASSES), truth)
    assert sorted(zip(found.class_id.tolist(), found.masks.areas().tolist(), strict=True)) == [(1, 2), (1, 2), (2, 1)]
    assert "connected part" in said[0]


def test_panoptic_maps_are_matched_by_the_names_of_classes():
    turned = ClassSpace.from_names(["dog", "boat", "sky", "car"], things=["dog", "boat", "car"])
    ids = MAP.ids.copy()
    ids[0, 2] = 9
    segments = (Segment(1, 3), Segment(2, 0), Segment(3, 2), Segment(9, 1))
    found, truth, _ = compared_as_panoptic(Panoptic(ids, segments, turned), MAP)
    assert [CLASSES.names[s.class_id] for s in found.segments] == ["car", "dog", "sky"]
    assert found.ids[0, 2] == 0, "a boat is nothing that the truth knows"
    assert truth is MAP


def test_label_maps_and_objects_as_panoptic_maps():
    labels = MAP.to_label_map()
    found, _, said = compared_as_panoptic(labels, MAP)
    assert {(s.class_id, np.count_nonzero(found.ids == s.id)) for s in found.segments} == {(1, 4), (2, 4), (0, 2)}
    assert "connected part" in said[0]
    found, _, said = compared_as_panoptic(TRUTH, MAP)
    assert np.array_equal(found.ids > 0, IDS > 0)
    assert "no stuff" in said[0]


def test_what_cannot_be_compared():
    with pytest.raises(SettingsError, match="The truth is a LabelMap, and objects can only"):
        compared_as_objects(TRUTH, LabelMap(IDS))
    with pytest.raises(SettingsError, match="The truth is a Instances, and panoptic maps can only"):
        compared_as_panoptic(MAP, TRUTH)
    with pytest.raises(SettingsError, match="kind LabelMap without classes is no panoptic map"):
        compared_as_panoptic(LabelMap(IDS), MAP)
    with pytest.raises(ClassSpaceError, match="no class 'dog'"):
        compared_as_panoptic(LabelMap(np.zeros((2, 5), np.uint8), ClassSpace.from_names(["sky", "car"])), MAP)
