import numpy as np
import pytest

from intarsia.classical.fast_marching import arrival_time, fast_marching
from intarsia.core import Hints, SettingsError


def test_by_hand() -> None:
    seeds = np.zeros((3, 3), bool)
    seeds[0, 0] = True
    times = arrival_time(np.ones((3, 3)), seeds, order=1)
    # the first diagonal pixel: (T - 1)^2 + (T - 1)^2 = 1
    assert np.allclose(times[0], [0, 1, 2])
    assert times[1, 1] == pytest.approx(1 + np.sqrt(0.5))
    line = arrival_time(np.array([[1.0, 2.0, 4.0, 0.5]]), np.array([[True, False, False, False]]), order=1)
    assert np.allclose(line, [[0, 0.5, 0.75, 2.75]])


@pytest.mark.parametrize(("order", "mean", "worst"), [(1, 0.35, 1.0), (2, 0.05, 0.25)])
def test_distance_from_a_circle(order: int, mean: float, worst: float) -> None:
    side = 101
    step = 2 / (side - 1)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    exact = (np.hypot(y, x) - 0.25) / step  # in pixels
    start = np.where(exact < 1.5, exact, np.inf) - exact.min()
    error = np.abs(arrival_time(np.ones((side, side)), start, order=order) + exact.min() - exact)[exact > 0]
    assert error.mean() < mean
    assert error.max() < worst


def test_errors_fall_with_the_order() -> None:
    errors = {}
    for order in (1, 2):
        for side in (41, 81):
            y, x = np.mgrid[:side, :side]
            exact = np.hypot(y - side // 2, x - side // 2) / side
            start = np.where(exact < 0.15, exact, np.inf)
            times = arrival_time(np.full((side, side), float(side)), start, order=order)
            errors[order, side] = np.abs(times - exact).mean()
    assert errors[1, 41] / errors[1, 81] > 1.7
    assert errors[2, 41] / errors[2, 81] > 3.0


def test_linear_speed() -> None:
    side, slope = 61, 0.03
    y, x = np.mgrid[:side, :side]
    speed = 1 + slope * x
    distance, at_seed = np.hypot(y - 30, x - 20), speed[30, 20]
    exact = np.arccosh(1 + slope**2 * distance**2 / (2 * at_seed * speed)) / slope
    first, second = (np.abs(arrival_time(speed, np.where(distance < 4, exact, np.inf), order=o) - exact) for o in (1, 2))
    assert second.max() < 0.15
    assert second.mean() < 0.05 < first.mean()


def test_front_competition() -> None:
    seeds = np.full((21, 41), -1, np.int32)
    seeds[:, 0], seeds[:, 40] = 2, 1
    flat = np.full((21, 41, 3), 9, np.uint8)
    found = fast_marching(flat, Hints(scribbles=seeds))
    assert (found[:, :20] == 2).all()
    assert (found[:, 21:] == 1).all(), "on a flat image they meet half-way"
    edge = flat.copy()
    edge[:, 31:] = 200
    found = fast_marching(edge, Hints(scribbles=seeds))
    assert (found[:, :30] == 2).all()
    assert (found[:, 32:] == 1).all(), "an edge holds both"


def test_an_image_turned_has_times_turned() -> None:
    speed = np.random.default_rng(0).uniform(0.2, 2, (17, 23))
    seeds = np.zeros(speed.shape, bool)
    seeds[4, 9] = True
    times = arrival_time(speed, seeds)
    assert np.allclose(arrival_time(speed.T, seeds.T), times.T)
    assert np.allclose(arrival_time(speed[::-1] * 2, seeds[::-1]), times[::-1] / 2)
    assert (times[~seeds] > 0).all()


def test_wrong_arguments() -> None:
    one = np.ones((3, 4))
    with pytest.raises(SettingsError, match="There is no seed"):
        arrival_time(one, one < 0)
    with pytest.raises(SettingsError, match=r"slowest speed is 0\.0"):
        arrival_time(one * 0, one > 0)
    with pytest.raises(SettingsError, match="order is 3"):
        arrival_time(one, one > 0, order=3)
    with pytest.raises(SettingsError, match=r"\(3, 4\) and the seeds \(4, 3\)"):
        arrival_time(one, one.T > 0)
