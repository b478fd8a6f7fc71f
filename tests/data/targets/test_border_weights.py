import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from intarsia.core import ClassSpace, LabelMap, SettingsError
from intarsia.data.targets import make_targets
from intarsia.data.targets.border_weights import border_weights

CELLS = ClassSpace.from_names(["background", "cell"])


def two_cells() -> np.ndarray:
    """Two squares with a gap of two pixels, in a field that is far wider than the weights reach."""
    ids = np.zeros((60, 120), np.uint8)
    ids[20:30, 20:30] = ids[20:30, 32:42] = 1
    return ids


def test_by_hand() -> None:
    weights = border_weights(LabelMap(two_cells(), CELLS))
    assert weights.dtype == np.float32
    # In the gap the distances are 1 and 2, in either order; five pixels left of the first cell they are 5 and 17.
    assert weights[25, 30:32] == pytest.approx([10 * math.exp(-9 / 50)] * 2)
    assert weights[25, 15] == pytest.approx(10 * math.exp(-(22**2) / 50))
    # Above the gap: one pixel up and one aside to the nearer cell, one up and two aside to the other.
    assert weights[19, 30] == pytest.approx(10 * math.exp(-((math.sqrt(2) + math.sqrt(5)) ** 2) / 50))
    assert not weights[20:30, 20:30].any()
    assert weights[25, 110] == 0


def slow(ids: np.ndarray, w0: float, sigma: float) -> np.ndarray:
    """Every pixel against every pixel of every object, numbered 1, 2, ..."""
    weights = np.zeros(ids.shape)
    places = [np.argwhere(ids == number) for number in range(1, ids.max() + 1)]
    for y, x in np.argwhere(ids == 0):
        distances = sorted(np.hypot(*(place - (y, x)).T).min() for place in places)
        weights[y, x] = w0 * math.exp(-((distances[0] + distances[1]) ** 2) / (2 * sigma**2))
    return weights


@pytest.mark.parametrize(("w0", "sigma"), [(10.0, 5.0), (3.0, 1.5)])
def test_equals_a_slow_loop(w0: float, sigma: float) -> None:
    rng = np.random.default_rng(0)
    ids = np.zeros((32, 40), np.int32)
    for number in range(1, 9):
        y, x = rng.integers(2, 30), rng.integers(2, 38)
        cv2.circle(ids, (int(x), int(y)), int(rng.integers(1, 5)), number, -1)
    ids = np.unique(ids, return_inverse=True)[1].reshape(ids.shape).astype(np.int32)
    found = border_weights(LabelMap(ids), w0=w0, sigma=sigma)
    np.testing.assert_allclose(found, slow(ids, w0, sigma), rtol=1e-4, atol=3e-7)


def test_classes_become_objects_part_by_part() -> None:
    ids = two_cells()
    numbered = ids.astype(np.int32) + (np.arange(120) > 31) * (ids > 0)
    expected = border_weights(LabelMap(numbered))
    np.testing.assert_array_equal(border_weights(LabelMap(ids, CELLS)), expected)
    # Things are objects, stuff is not, whatever its id; a class beside another is another object.
    street = ClassSpace.from_names(["car", "road", "truck"], things=["car", "truck"])
    for other in (0, 2):
        mixed = np.where(numbered == 1, 0, np.where(numbered == 2, other, 1)).astype(np.uint8)
        np.testing.assert_array_equal(border_weights(LabelMap(mixed, street)), expected)


def test_class_weights_make_the_whole_map_of_the_paper() -> None:
    ids = two_cells()
    ids[0] = 255
    border, whole = border_weights(LabelMap(ids, CELLS)), border_weights(LabelMap(ids, CELLS), class_weight=(0.5, 4.0))
    np.testing.assert_allclose(whole[1:], border[1:] + np.where(ids[1:] == 1, 4.0, 0.5), rtol=1e-6)
    assert not whole[0].any()


def test_turning_the_image_turns_the_weights() -> None:
    ids = two_cells()[::-1, ::-1].T.copy()
    expected = border_weights(LabelMap(two_cells(), CELLS))[::-1, ::-1].T
    np.testing.assert_array_equal(border_weights(LabelMap(ids, CELLS)), expected)


@pytest.mark.parametrize("ids", [np.zeros((0, 4)), np.zeros((1, 1)), np.full((3, 3), 255), np.ones((5, 5)), np.eye(6)[:1]])
def test_fewer_than_two_objects_weigh_nothing(ids: np.ndarray) -> None:
    weights = border_weights(LabelMap(ids.astype(np.uint8), CELLS))
    assert weights.shape == ids.shape
    assert not weights.any()


def test_ignored_pixels_weigh_nothing() -> None:
    ids = two_cells()
    ids[24:26, 30:32] = 255
    weights = make_targets(["border_weights"], LabelMap(ids, CELLS))["border_weights"]
    assert not weights[24:26, 30:32].any()
    assert weights[23, 30] > 8


def test_real_nuclei(shared_data: Callable[[str], Path]) -> None:
    """The masks of one image: large where nuclei are near each other, and nowhere else."""
    path = sorted((shared_data("nuclei") / "instances" / "train").glob("*.png"))[0]
    ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.int32)
    weights = border_weights(LabelMap(ids))
    assert weights.max() > 5
    assert not weights[ids > 0].any()
    near = cv2.dilate((ids > 0).astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
    assert weights[~near].max(initial=0) < 0.1


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"sigma = 0\.0 pixels"):
        border_weights(LabelMap(two_cells(), CELLS), sigma=0.0)
    with pytest.raises(SettingsError, match="3 class weights for 2 classes"):
        border_weights(LabelMap(two_cells(), CELLS), class_weight=(1.0, 1.0, 1.0))
