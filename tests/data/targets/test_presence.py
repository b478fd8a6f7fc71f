import numpy as np
import pytest

from intarsia.core import ClassSpace, LabelMap, SegmentationError
from intarsia.data.targets import make_targets
from intarsia.data.targets.presence import presence

CLASSES = ClassSpace.from_names(["sky", "road", "car", "tree"])


def test_by_hand() -> None:
    ids = np.array([[0, 0, 255], [2, 2, 0]], np.uint8)
    found = presence(LabelMap(ids, CLASSES))
    assert found.dtype == np.float32
    assert found.tolist() == [1, 0, 1, 0]


def test_a_slow_loop_says_the_same() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        ids = rng.choice(np.array([0, 1, 2, 3, 255], np.uint8), (3, 2))
        held = {int(value) for value in ids.ravel()}
        assert presence(LabelMap(ids, CLASSES)).tolist() == [float(k in held) for k in range(4)]


def test_order_and_number_of_pixels_do_not_count() -> None:
    ids = np.array([[1, 3, 3]], np.int32)
    expected = presence(LabelMap(ids, CLASSES))
    assert np.array_equal(presence(LabelMap(ids[:, ::-1], CLASSES)), expected)
    assert np.array_equal(presence(LabelMap(np.repeat(ids, 5, axis=0), CLASSES)), expected)


def test_nothing_but_ignored_pixels_and_no_pixel_at_all() -> None:
    for ids in (np.full((2, 2), 255, np.uint8), np.zeros((0, 3), np.uint8)):
        assert presence(LabelMap(ids, CLASSES)).tolist() == [0, 0, 0, 0]


def test_another_ignore_id() -> None:
    classes = ClassSpace.from_names(["a", "b"], ignore_id=7)
    assert presence(LabelMap(np.array([[7, 1]], np.uint8), classes)).tolist() == [0, 1]


def test_found_by_name() -> None:
    made = make_targets(["presence"], LabelMap(np.array([[3]], np.uint8), CLASSES))
    assert made["presence"].tolist() == [0, 0, 0, 1]


def test_regions_without_classes_are_refused() -> None:
    with pytest.raises(SegmentationError, match="label map of 2 x 3 pixels has no classes"):
        presence(LabelMap(np.zeros((2, 3), np.int32)))
