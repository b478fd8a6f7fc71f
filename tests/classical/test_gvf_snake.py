import numpy as np
import pytest

from intarsia.classical.gvf_snake import gradient_vector_flow, gvf_snake
from intarsia.classical.snake import gradient, snake
from intarsia.core import Hints


def test_the_field_solves_the_euler_equations() -> None:
    edges, mu = np.random.default_rng(0).random((17, 23)), 0.2
    pull = gradient(edges)
    weight = (pull**2).sum(0)
    for part, target in zip(gradient_vector_flow(edges, mu), pull, strict=True):
        padded = np.pad(part, 1, mode="edge")
        laplace = padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2] - 4 * part
        assert np.abs(mu * laplace - weight * (part - target)).max() < 1e-12


def test_between_edges_in_one_dimension_the_field_is_linear() -> None:
    edges = np.zeros((1, 40))
    edges[0, [5, 32]] = 1
    field = gradient_vector_flow(edges, 0.2)
    assert np.abs(np.diff(field[1, 0, 6:32], n=2)).max() < 1e-12
    assert field[1, 0, 8] < 0 < field[1, 0, 29], "towards the nearer edge"
    assert not gradient_vector_flow(np.ones((4, 5)), 0.2).any()


def test_it_reaches_the_bottom_of_a_concavity() -> None:
    shape = np.zeros((64, 64), bool)
    shape[12:52, 8:56] = True
    shape[12:38, 23:41] = False
    image = np.where(shape, 200, 40).astype(np.uint8)[..., None]
    box = Hints(boxes_xyxy=np.array([[6, 4, 58, 60]]))
    ours = gvf_snake(image, box, mu=0.2, sigma=1.0, iterations=400)
    plain = snake(image, box, sigma=1.0, pressure=0.0, iterations=400)
    assert abs(np.flatnonzero(ours[:, 31])[0] - 38) <= 1
    assert np.flatnonzero(plain[:, 31])[0] < 20
    assert (ours & shape).sum() / (ours | shape).sum() > 0.95


@pytest.mark.parametrize("shape", [(1, 30, 3), (30, 1, 1), (1, 1, 1)])
def test_one_pixel_wide(shape: tuple[int, ...]) -> None:
    assert gvf_snake(np.random.default_rng(0).integers(0, 256, shape, np.uint8), iterations=20).shape == shape[:2]
