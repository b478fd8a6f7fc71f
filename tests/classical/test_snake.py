import numpy as np
import pytest

from intarsia.classical._contour import follow, stiffness
from intarsia.classical.snake import snake
from intarsia.core import Hints


def circle(points: int, radius: float = 20.0, centre: float = 30.0) -> np.ndarray:
    angle = 2 * np.pi * np.arange(points) / points
    return centre + radius * np.stack([np.sin(angle), np.cos(angle)], 1)


def test_a_circle_shrinks_at_the_known_rate() -> None:
    alpha, beta, gamma, points = 0.01, 0.1, 0.01, 100
    shrunk = follow(circle(points), np.zeros((2, 61, 61)), alpha, beta, gamma, 0.0, 100)
    d = 2 - 2 * np.cos(2 * np.pi / points)
    rate = gamma / (gamma + alpha * d + beta * d**2)
    assert rate**100 == pytest.approx(0.664, abs=2e-3)
    assert np.allclose(np.hypot(*(shrunk - 30).T), 20 * rate**100)


def test_a_step_solves_the_circulant_system() -> None:
    points, alpha, beta, gamma = 11, 0.3, 0.7, 0.9
    shift = np.roll(np.eye(points), 1, 0)
    second = 2 * np.eye(points) - shift - shift.T
    matrix = alpha * second + beta * second @ second
    assert np.allclose(np.linalg.eigvalsh(matrix)[[0, -1]], stiffness(points, alpha, beta)[[0, -1]])
    start = circle(points) + np.random.default_rng(0).normal(0, 1, (points, 2))
    force = np.random.default_rng(1).normal(0, 1, 2)
    moved = follow(start, np.ones((2, 61, 61)) * force[:, None, None], alpha, beta, gamma, 0.0, 1)
    assert np.allclose(moved, np.linalg.solve(matrix + gamma * np.eye(points), gamma * start + force))


def test_pressure_moves_along_the_inner_normal() -> None:
    moved = follow(circle(400), np.zeros((2, 61, 61)), 0.0, 0.0, 2.0, 1.0, 10)
    assert np.allclose(np.hypot(*(moved - 30).T), 20 - 10 / 2, atol=1e-2)


@pytest.mark.parametrize("hints", [None, Hints(boxes_xyxy=np.array([[10, 8, 52, 50]]))])
def test_a_disc(hints: Hints | None) -> None:
    y, x = np.mgrid[:60, :60]
    disc = (y - 29) ** 2 + (x - 31) ** 2 < 15**2
    found = snake(np.where(disc, 200, 60).astype(np.uint8)[..., None], hints)
    assert (found & disc).sum() / (found | disc).sum() > 0.9


@pytest.mark.parametrize("shape", [(1, 30, 3), (30, 1, 1), (1, 1, 1), (12, 15, 3)])
def test_flat_and_narrow(shape: tuple[int, ...]) -> None:
    assert snake(np.full(shape, 7, np.uint8), iterations=50).shape == shape[:2]
