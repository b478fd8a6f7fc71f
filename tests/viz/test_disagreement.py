import numpy as np
import pytest

from intarsia.core import ClassSpace, LabelMap, SegmentationError
from intarsia.viz.colorize import CHECKS
from intarsia.viz.disagreement import RIGHT, WRONG, disagreement

CLASSES = ClassSpace.from_names(["a", "b"])


def test_right_wrong_and_ignored_by_hand() -> None:
    truth = LabelMap(np.array([[0, 1, 0, 255]], np.uint8), CLASSES)
    other_void = ClassSpace.from_names(["a", "b"], ignore_id=7)
    prediction = LabelMap(np.array([[0, 0, 7, 1]], np.uint8), other_void)
    picture = [tuple(pixel) for pixel in disagreement(prediction, truth)[0].tolist()]
    assert picture[:3] == [RIGHT, WRONG, WRONG]
    assert picture[3] in CHECKS


def test_the_image_shines_through_where_the_prediction_is_right() -> None:
    truth = LabelMap(np.array([[0, 0, 1]], np.uint8), CLASSES)
    prediction = LabelMap(np.zeros((1, 3), np.uint8), CLASSES)
    picture = disagreement(prediction, truth, image=np.array([[0, 250, 250]], np.uint8)).astype(int)
    assert (picture[0, 0] < picture[0, 1]).all()
    assert tuple(picture[0, 2].tolist()) == WRONG


def test_errors() -> None:
    one = LabelMap(np.zeros((2, 3), np.uint8), CLASSES)
    with pytest.raises(SegmentationError, match=r"\(\(2, 2\), classes a, b\)"):
        disagreement(LabelMap(one.ids[:, :2], CLASSES), one)
    with pytest.raises(SegmentationError, match="classes b, a"):
        disagreement(LabelMap(one.ids, ClassSpace.from_names(["b", "a"])), one)
