import numpy as np
import pytest

from intarsia.classical.geodesic_active_contour import evolve, geodesic_active_contour, restored, signed_distance
from intarsia.core import Hints

Y, X = np.mgrid[:101, :101]
DISTANCE = np.hypot(Y - 50, X - 50)
FLAT = np.ones((101, 101))


def radius(phi: np.ndarray) -> float:
    """Where phi changes sign on the row through the centre, right of it."""
    row = phi[50, 50:]
    last = int(np.flatnonzero(row > 0)[-1])
    return last + row[last] / (row[last] - row[last + 1])


def test_a_circle_shrinks_by_curvature() -> None:
    phi = evolve(40 - DISTANCE, FLAT, 0.0, 1.0, 0.0, 0.2, 1000)
    assert radius(phi) == pytest.approx(np.sqrt(40**2 - 2 * 200), abs=0.06)


@pytest.mark.parametrize("speed", [0.5, -0.5])
def test_a_balloon_has_radius_r0_plus_vt(speed: float) -> None:
    phi = evolve(25 - DISTANCE, FLAT, speed, 0.0, 0.0, 0.5, 80)
    assert radius(phi) == pytest.approx(25 + speed * 40, abs=0.3)
    assert np.allclose(phi, phi.T)


def test_edges_pull_from_both_sides() -> None:
    g = 1 - 0.9 * np.exp(-((DISTANCE - 25) ** 2) / 18)
    for start in (22, 28):
        phi = evolve(start - DISTANCE, g, 0.0, 0.0, 1.0, 0.5, 200)
        assert radius(phi) == pytest.approx(25, abs=0.5)


def test_the_signed_distance() -> None:
    phi = signed_distance(np.array([[True, True, False, False]]))
    assert phi.tolist() == [[1.5, 0.5, -0.5, -1.5]]
    assert (signed_distance(np.ones((2, 3), bool)) == 1).all()


def test_restoring_keeps_the_zero_level() -> None:
    for start in (20.2, 20.5, 20.8):
        phi = restored(3 * (start - DISTANCE))
        assert radius(phi) == pytest.approx(start, abs=0.02)
        assert np.abs(phi - (start - DISTANCE)).max() < 0.8


def scribble() -> Hints:
    marks = np.full((60, 60), -1, np.int32)
    marks[26:34, 26:34] = 1
    return Hints(scribbles=marks)


@pytest.mark.parametrize("hints", [None, scribble()])
def test_a_disc_from_outside_and_from_inside(hints: Hints | None) -> None:
    distance = np.hypot(*(np.mgrid[:60, :60] - 30))
    disc = distance < 16
    found = geodesic_active_contour(np.where(disc, 200, 60).astype(np.uint8)[..., None], hints)
    assert found[distance < 14.5].all(), "within a pixel and a half of the edge all around"
    assert not found[distance > 17.5].any()


@pytest.mark.parametrize("shape", [(1, 30, 3), (30, 1, 1), (1, 1, 1)])
def test_one_pixel_wide(shape: tuple[int, ...]) -> None:
    assert geodesic_active_contour(np.random.default_rng(0).integers(0, 256, shape, np.uint8)).shape == shape[:2]
