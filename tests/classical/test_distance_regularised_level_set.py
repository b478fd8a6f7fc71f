import numpy as np
import pytest

from intarsia.classical.distance_regularised_level_set import distance_regularised_level_set, evolve
from intarsia.core import Hints, SettingsError

Y, X = np.mgrid[:60, :60]
DISTANCE = np.hypot(Y - 30, X - 30)
FLAT = np.ones((60, 60))


def radius(phi: np.ndarray) -> float:
    """Of the disc whose area the region below 0 has, counted with the share of the pixels at its border."""
    return float(np.sqrt(np.clip(0.5 - phi, 0, 1).sum() / np.pi))


def test_the_slope_becomes_one_near_the_contour() -> None:
    for start in (0.75 * (DISTANCE - 15), 1.5 * (DISTANCE - 15), 2 * np.sign(DISTANCE - 15)):
        phi = evolve(np.clip(start, -6, 6), FLAT, 0.04, 0.0, 0.0, 5.0, 200)
        slope = np.hypot(*np.gradient(phi))
        assert np.median(slope[np.abs(phi) < 1]) == pytest.approx(1, abs=0.05)
        assert radius(phi) == pytest.approx(15, abs=0.4)


@pytest.mark.parametrize("alpha", [0.2, -0.2])
def test_a_balloon_moves_at_constant_speed(alpha: float) -> None:
    phi = np.clip(DISTANCE - 15, -4, 4)
    radii = [radius(phi := evolve(phi, FLAT, 0.2, 0.0, alpha, 1.0, 40)) for _ in range(4)]
    steps = -np.sign(alpha) * np.diff(radii)
    assert (steps > 0.5).all()
    assert steps.max() - steps.min() < 0.15 * steps.mean()


def test_length_shrinks_by_curvature() -> None:
    phi = np.clip(DISTANCE - 20, -2, 2)
    radii = [radius(phi := evolve(phi, FLAT, 0.2, 1.0, 0.0, 1.0, 100)) for _ in range(5)]
    squares = -np.diff(np.square(radii))
    assert (squares > 0).all()
    assert squares.max() - squares.min() < 0.3 * squares.mean(), "the area falls at a constant rate, about"


def scribble() -> Hints:
    marks = np.full((60, 60), -1, np.int32)
    marks[26:34, 26:34] = 1
    return Hints(scribbles=marks)


@pytest.mark.parametrize("hints", [None, scribble()])
def test_a_disc_from_outside_and_from_inside(hints: Hints | None) -> None:
    disc = DISTANCE < 16
    found = distance_regularised_level_set(np.where(disc, 200, 60).astype(np.uint8)[..., None], hints, iterations=150)
    assert (found & disc).sum() / (found | disc).sum() > 0.9


@pytest.mark.parametrize("shape", [(1, 30, 3), (30, 1, 1), (1, 1, 1)])
def test_one_pixel_wide(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert distance_regularised_level_set(image, iterations=20).shape == shape[:2]


def test_an_unstable_step() -> None:
    with pytest.raises(SettingsError, match=r"mu \* step is 0\.5; the evolution is stable below 1/4"):
        evolve(FLAT, FLAT, 0.1, 0.0, 0.0, 5.0, 1)
