import numpy as np
import pytest

from intarsia.core import Hints, SettingsError


def test_points_and_scribbles_become_one_map_of_seeds():
    scribbles = np.full((3, 4), -1)
    scribbles[0, 0] = 0
    seeds = Hints(points_yx=np.array([[2, 3]]), point_class=np.array([1]), scribbles=scribbles).seeds((3, 4))
    assert seeds[0, 0] == 0
    assert seeds[2, 3] == 1
    assert (seeds == -1).sum() == 10


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (Hints, "none was given"),
        (lambda: Hints(boxes_xyxy=np.array([1, 2, 3, 4])), r"shape \(4,\)"),
        (lambda: Hints(boxes_xyxy=np.array([[5, 2, 3, 4]])), r"box \[5, 2, 3, 4\] is empty"),
        (lambda: Hints(points_yx=np.array([[1, 1]])), "come together"),
        (lambda: Hints(points_yx=np.array([[1, 1]]), point_class=np.array([1, 2])), r"ask for \(2, 2\)"),
        (lambda: Hints(scribbles=np.zeros((2, 2))), "float64"),
        (lambda: Hints(points_yx=np.array([[9, 1]]), point_class=np.array([1])).seeds((4, 4)), r"point \[9, 1\]"),
        (lambda: Hints(scribbles=np.zeros((2, 2), int)).seeds((4, 4)), r"scribbles are \(2, 2\)"),
    ],
)
def test_what_cannot_be_meant_is_refused(build, message):
    with pytest.raises(SettingsError, match=message):
        build()
