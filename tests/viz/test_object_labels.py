import numpy as np

from intarsia.core import ClassSpace, InstanceMasks, Instances, LabelMap, Panoptic, Segment
from intarsia.viz.object_labels import label_objects
from intarsia.viz.overlay import overlay

CLASSES = ClassSpace.from_names(["ground", "car"], things=["car"])
BLANK = np.full((60, 200, 3), 90, np.uint8)


def changed(picture, base=BLANK):
    return (picture != base).any(2)


def objects(*boxes):
    masks = np.zeros((len(boxes), 60, 200), np.bool_)
    for mask, (y0, x0, y1, x1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    return Instances(InstanceMasks.pack(masks, (60, 200)), np.ones(len(boxes), int), CLASSES, np.full(len(boxes), 0.75))


def test_a_text_stands_where_there_is_room_for_it():
    drawn = changed(label_objects(BLANK, objects((10, 10, 50, 90), (20, 150, 30, 155))))
    y, x = np.nonzero(drawn)
    assert (y.min() >= 10, y.max() < 50) == (True, True)
    assert (x.min() >= 10, x.max() < 90) == (True, True), "the small one has no room"
    assert abs((y.min() + y.max()) / 2 - 30) < 4
    assert abs((x.min() + x.max()) / 2 - 50) < 4


def test_the_text_lies_where_its_object_is_widest():
    mask = np.zeros((1, 60, 200), np.bool_)
    mask[0, 5:10, 5:195] = mask[0, 5:55, 120:195] = True  # an L, whose middle lies outside
    corner = Instances(InstanceMasks.pack(mask, (60, 200)), np.ones(1, int), CLASSES)
    _, x = np.nonzero(changed(label_objects(BLANK, corner)))
    assert x.min() > 120


def test_segments_are_labelled_and_void_is_not():
    ids = np.zeros((60, 200), np.int32)
    ids[:30, :100], ids[:30, 100:] = 1, 2
    panoptic = Panoptic(ids, (Segment(1, 0), Segment(2, 1, 0.5), Segment(9, 1)), CLASSES)
    drawn = changed(label_objects(BLANK, panoptic))
    assert drawn[:30, :100].any()
    assert drawn[:30, 100:].any()
    assert not drawn[34:].any()


def test_texts_at_the_rim_stay_inside_and_nothing_is_nothing():
    drawn = changed(label_objects(BLANK, objects((0, 140, 60, 200))))
    assert drawn.any()
    assert not drawn[:, -1].any()
    assert np.array_equal(label_objects(BLANK, objects()), BLANK)


def test_an_overlay_has_labels_where_they_are_asked_for():
    found = objects((5, 5, 55, 195))
    assert not np.array_equal(overlay(BLANK, found, labels=True), overlay(BLANK, found))
    plain = LabelMap(np.ones((60, 200), np.uint8), CLASSES)
    assert np.array_equal(overlay(BLANK, plain, labels=True), overlay(BLANK, plain))
