from dataclasses import replace

import numpy as np
import pytest

from intarsia.core import ClassSpace, Instances, LabelMap
from intarsia.data.targets import make_targets
from intarsia.data.targets.energy import LEVEL_DEPTHS, energy


def test_by_hand() -> None:
    ids = np.zeros((9, 5), np.int32)
    ids[1:8] = 1  # a strip of seven rows, depth 1 2 3 4 3 2 1
    level = energy(LabelMap(ids))
    assert level.dtype == np.uint8
    assert level[:, 2].tolist() == [0, 0, 1, 2, 3, 2, 1, 0, 0]


def test_levels_of_a_large_disc_against_its_radius() -> None:
    rows, columns = np.mgrid[:141, :141]
    distance = np.hypot(rows - 70, columns - 70)
    level = energy(LabelMap((distance <= 60).astype(np.int32)))
    assert level[70, 70] == 15
    for k, depth in enumerate(LEVEL_DEPTHS):
        # On the ray to the right the last pixel is at 60, at depth 1; two pixels on either side of a level are left out.
        column = 70 + 61 - depth
        assert level[70, column] == k
        assert level[70, column - 1] == k + 1 if depth < 60 else True
    inside = distance <= 58
    expected = np.searchsorted(LEVEL_DEPTHS, 60.5 - distance)
    assert (np.abs(level[inside].astype(int) - expected[inside]) <= 1).all()


@pytest.mark.parametrize("radius", [8, 12, 20])
def test_a_cut_parts_two_discs_that_touch(radius: int) -> None:
    from scipy import ndimage

    rows, columns = np.mgrid[: 2 * radius + 5, : 4 * radius + 5]
    ids = np.zeros(rows.shape, np.int32)
    ids[np.hypot(rows - radius - 2, columns - radius - 2) <= radius] = 1
    ids[np.hypot(rows - radius - 2, columns - 3 * radius - 2) <= radius] = 2
    assert ndimage.label(ids > 0)[1] == 1
    for cut in (1, 2):
        assert ndimage.label(energy(LabelMap(ids)) > cut, np.ones((3, 3)))[1] == 2


def test_crowds_are_ignored() -> None:
    cells = ClassSpace.from_names(["background", "cell"])
    truth = replace(Instances.from_ids(np.array([[1, 1, 0, 2]]), cells, 1), is_crowd=np.array([False, True]))
    assert energy(truth).tolist() == [[1, 0, 0, 255]]  # beyond the image there is no boundary


@pytest.mark.parametrize(("ids", "level"), [(np.zeros((0, 4)), 0), (np.zeros((3, 3)), 0), (np.ones((3, 3)), 15)])
def test_nothing_and_an_object_that_fills_the_image(ids: np.ndarray, level: int) -> None:
    assert (make_targets(["energy"], LabelMap(ids.astype(np.int32)))["energy"] == level).all()
