import numpy as np
import pytest

from intarsia.core import ClassSpace, ClassSpaceError, DataError, Panoptic, Segment
from intarsia.data.formats._masks import write_ids
from intarsia.data.formats.cityscapes import CITYSCAPES_CLASSES, read_cityscapes, write_cityscapes

ROAD, CAR = (CITYSCAPES_CLASSES.index(name) for name in ("road", "car"))


def test_write_then_read_is_the_identity(tmp_path):
    ids = np.array([[1, 1, 2, 0], [3, 3, 4, 4]])
    panoptic = Panoptic(
        ids, (Segment(1, CAR), Segment(2, CAR), Segment(3, ROAD), Segment(4, CAR, is_crowd=True)), CITYSCAPES_CLASSES
    )
    again = read_cityscapes(write_cityscapes(tmp_path / "a.png", panoptic))
    assert again.ids.tolist() == ids.tolist()
    assert again.segments == panoptic.segments


def test_values_by_hand(tmp_path):
    """Road 7, two cars 26000 and 26001, a group of cars 26, a caravan 29000 and a licence plate, which are not evaluated."""
    found = read_cityscapes(write_ids(tmp_path / "a.png", np.array([[7, 26000, 26001, 26, 29000, 65535, 3]]), bits=16))
    assert [(CITYSCAPES_CLASSES.names[s.class_id], s.is_crowd) for s in found.segments] == [
        ("car", False),
        ("car", False),
        ("road", False),
        ("car", True),
    ]
    assert found.ids.tolist() == [[3, 1, 2, 4, 0, 0, 0]]


def test_classes_are_the_published_ones():
    assert len(CITYSCAPES_CLASSES) == 19
    assert len(CITYSCAPES_CLASSES.thing_ids) == 8
    assert [entry.sources[0] for entry in CITYSCAPES_CLASSES.classes][:3] == [7, 8, 11]


def test_errors(tmp_path):
    with pytest.raises(DataError, match=r"a\.png holds \[7003\], objects of 'road', which is stuff"):
        read_cityscapes(write_ids(tmp_path / "a.png", np.array([[7003]]), bits=16))
    with pytest.raises(ClassSpaceError, match=r"b\.png holds a value that no class claims: 77"):
        read_cityscapes(write_ids(tmp_path / "b.png", np.array([[77]]), bits=16))
    strange = Panoptic(np.ones((1, 1), int), (Segment(1, 0),), ClassSpace.from_names(["a"], things=["a"]))
    with pytest.raises(DataError, match="no source value of 'a'"):
        write_cityscapes(tmp_path / "c.png", strange)
