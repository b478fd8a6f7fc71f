import numpy as np
import pytest

from intarsia.core import ClassSpace, Panoptic, Segment, SegmentationClass, SegmentationError
from intarsia.data.targets.stuff import stuff


def space(*things: bool) -> ClassSpace:
    classes = tuple(SegmentationClass(f"class {i}", (0, 0, i % 256), is_thing=thing) for i, thing in enumerate(things))
    return ClassSpace(classes, ignore_id=999)


def test_things_are_one_class_and_void_is_ignored() -> None:
    ids = np.array([[0, 5, 9], [12, 5, 30]])
    segments = (Segment(5, 3), Segment(9, 1), Segment(12, 2), Segment(30, 0, is_crowd=True))
    target = stuff(Panoptic(ids, segments, space(True, False, False, True)))
    assert target.tolist() == [[255, 0, 1], [2, 0, 0]]
    assert target.dtype == np.uint8


def test_only_void() -> None:
    assert stuff(Panoptic(np.zeros((2, 3), np.int32), (), space(True, False))).tolist() == [[255] * 3] * 2


def test_more_stuff_than_a_byte_can_number() -> None:
    with pytest.raises(SegmentationError, match="255 classes of stuff; at most 254"):
        stuff(Panoptic(np.zeros((2, 3), np.int32), (), space(True, *[False] * 255)))
