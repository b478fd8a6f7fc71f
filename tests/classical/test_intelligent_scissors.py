import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from intarsia.classical._path import cheapest_path
from intarsia.classical.intelligent_scissors import (
    DIRECTION,
    GRADIENT,
    STEPS_YX,
    ZERO_CROSSING,
    intelligent_scissors,
    outline,
    step_costs,
)
from intarsia.core import Hints, SettingsError


def ring(center: tuple[int, int], radius: float, count: int) -> np.ndarray:
    angles = 2 * np.pi * np.arange(count) / count
    return np.rint(np.array(center) + radius * np.stack([np.sin(angles), np.cos(angles)], 1)).astype(int)


def path_cost(costs: np.ndarray, path: np.ndarray) -> float:
    directions = {tuple(step): number for number, step in enumerate(STEPS_YX.tolist())}
    steps = zip(path, np.diff(path, axis=0), strict=False)
    return sum(costs[(*here, directions[tuple(step.tolist())])] for here, step in steps)


def test_without_an_edge_a_path_costs_the_octile_distance() -> None:
    costs = step_costs(np.full((20, 30, 1), 60, np.uint8))
    unit = ZERO_CROSSING + GRADIENT + DIRECTION * 2 / 3  # no crossing, no gradient, no direction: both angles are 90 degrees
    assert costs[5, 5, 4] == pytest.approx(unit)
    for stop in ((3, 29), (19, 0), (12, 9), (2, 2)):
        dy, dx = abs(stop[0] - 2), abs(stop[1] - 2)
        expected = unit * (max(dy, dx) + (np.sqrt(2) - 1) * min(dy, dx))
        path = cheapest_path(costs, STEPS_YX, np.array([2, 2]), np.array(stop))
        assert path_cost(costs, path) == pytest.approx(expected)
        assert path[0].tolist() == [2, 2]
        assert path[-1].tolist() == list(stop)


def test_path_cost_equals_scipys() -> None:
    costs = step_costs(np.random.default_rng(0).integers(0, 256, (17, 23, 3), np.uint8), sigma=1.0)
    y, x = np.mgrid[:17, :23]
    rows, columns, values = [], [], []
    for number, (dy, dx) in enumerate(STEPS_YX):
        inside = np.isfinite(costs[..., number])
        rows.append((y * 23 + x)[inside])
        columns.append(((y + dy) * 23 + x + dx)[inside])
        values.append(costs[..., number][inside])
    graph = csr_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(391, 391))
    expected = dijkstra(graph, indices=[4 * 23 + 3])[0].reshape(17, 23)
    for stop in ((0, 0), (16, 22), (9, 1)):
        path = cheapest_path(costs, STEPS_YX, np.array([4, 3]), np.array(stop))
        assert path_cost(costs, path) == pytest.approx(expected[stop])


def test_steps_along_an_edge_are_cheapest() -> None:
    image = np.where(np.arange(20) < 10, 40, 220).astype(np.uint8)[None, :, None].repeat(15, 0)
    costs = step_costs(image)
    down, right = STEPS_YX.tolist().index([1, 0]), STEPS_YX.tolist().index([0, 1])
    assert costs[7, 9, down] == pytest.approx(0, abs=1e-6), "a crossing, the largest gradient, and along it at both ends"
    assert costs[7, 9, right] > 0.4
    assert np.isinf(costs[14, :, down]).all()
    assert (costs >= 0).all()


def test_snaps_to_a_disc() -> None:
    y, x = np.mgrid[:80, :90]
    distance = np.hypot(y - 40, x - 45)
    image = (60 + 130 * (distance < 25)).astype(np.uint8)[..., None]
    points = ring((40, 45), 25, 5)
    path = outline(step_costs(image), points)
    radius = np.hypot(*(path - (40, 45)).T)
    assert np.abs(radius - 25).max() < 1.6
    assert np.abs(radius - 25).mean() < 1
    ids = intelligent_scissors(image, Hints(points_yx=points, point_class=np.ones(5, int)))
    disc = distance < 25
    assert ((ids == 1) & disc).sum() / ((ids == 1) | disc).sum() > 0.94


def test_a_region_of_each_class() -> None:
    image = np.full((30, 40, 3), 100, np.uint8)
    square = np.array([[4, 4], [4, 12], [12, 12], [12, 4]])
    hints = Hints(points_yx=np.concatenate([square, square + np.array([10, 20])]), point_class=np.repeat([1, 6], 4))
    ids = intelligent_scissors(image, hints)
    assert (ids == 1).sum() == (ids == 6).sum() == 81, "outlines belong to their regions"
    assert (ids[4:13, 4:13] == 1).all()


def test_one_pixel_wide() -> None:
    hints = Hints(points_yx=np.array([[1, 0], [3, 0], [5, 0]]), point_class=np.ones(3, int))
    assert intelligent_scissors(np.full((8, 1, 1), 3, np.uint8), hints).ravel().tolist() == [0, 1, 1, 1, 1, 1, 0, 0]


def test_what_cannot_be_is_said() -> None:
    image, points = np.zeros((9, 9, 1), np.uint8), np.array([[1, 1], [5, 1], [5, 5]])
    with pytest.raises(SettingsError, match="A point has class 0"):
        intelligent_scissors(image, Hints(points_yx=points, point_class=np.array([1, 0, 1])))
    with pytest.raises(SettingsError, match="Class 2 has 1 points; an outline needs three"):
        intelligent_scissors(image, Hints(points_yx=points[:1], point_class=np.array([2])))
    with pytest.raises(SettingsError, match=r"point \[9, 1\] \(y, x\) is outside"):
        intelligent_scissors(image, Hints(points_yx=points + np.array([4, 0]), point_class=np.ones(3, int)))
