import numpy as np
import pytest
from sklearn.cluster import MeanShift

from intarsia.classical._modes import seek_modes, shift
from intarsia.core import SettingsError


def test_flat_kernel_two_points_jump_to_the_middle_or_stay() -> None:
    for distance, expected in ((1.0, [[0.5], [0.5]]), (1.01, [[0.0], [1.01]])):
        points = np.array([[0.0], [distance]])
        assert shift(points, points, 1.0, kernel="flat").tolist() == expected


def test_a_gaussian_step_never_lowers_the_density() -> None:
    rng = np.random.default_rng(0)
    points, at, weights = rng.normal(size=(200, 2)), rng.normal(size=(50, 2)), rng.random(200)

    def density(places: np.ndarray) -> np.ndarray:
        return (weights * np.exp(-((places[:, None] - points) ** 2).sum(2) / 0.49)).sum(1)

    for _ in range(10):
        moved = shift(points, at, 0.7, weights=weights)
        assert (density(moved) >= density(at) - 1e-12).all()
        at = moved


def test_modes_of_two_gaussians_and_the_mean_of_one() -> None:
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.normal((0, 0), 0.3, (400, 2)), rng.normal((4, 1), 0.3, (200, 2))])
    modes, reached = seek_modes(points, points[::10], 1.0)
    assert modes == pytest.approx(np.array([[0, 0], [4, 1]]), abs=0.1)
    assert np.array_equal(reached, np.repeat([0, 1], [40, 20]))
    one, _ = seek_modes(points[:400], points[:1], 50.0)
    assert one[0] == pytest.approx(points[:400].mean(0), abs=1e-2)


def test_the_flat_kernel_against_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    points = np.concatenate([rng.normal(c, 0.4, (60, 2)) for c in ((0, 0), (3, 0), (0, 4))])
    ours, _ = seek_modes(points, points, 1.2, kernel="flat")
    theirs = MeanShift(bandwidth=1.2).fit(points).cluster_centers_
    assert len(ours) == len(theirs) == 3
    assert np.sort(ours.sum(1)) == pytest.approx(np.sort(theirs.sum(1)), abs=0.2)


def test_a_place_far_from_all_points_stays_and_errors() -> None:
    modes, _ = seek_modes(np.zeros((3, 2)), np.array([[100.0, 100.0]]), 1.0, kernel="flat")
    assert modes.tolist() == [[100.0, 100.0]]
    with pytest.raises(SettingsError, match="bandwidth of mean shift is 0"):
        seek_modes(np.zeros((3, 2)), np.zeros((1, 2)), 0)
