import numpy as np
import pytest

from intarsia.classical.random_walker import LEAST_WEIGHT, _edge_weights, random_walker, random_walker_probabilities
from intarsia.core import Hints, SettingsError


def seeded(size: tuple[int, int], points: dict[tuple[int, int], int]) -> Hints:
    return Hints(points_yx=np.array(list(points)), point_class=np.array(list(points.values())))


def test_probabilities_along_a_chain_are_linear() -> None:
    for shape in ((1, 11), (11, 1)):
        ends = {(0, 0): 0, (shape[0] - 1, shape[1] - 1): 1}
        classes, prob = random_walker_probabilities(np.full((*shape, 1), 9, np.uint8), seeded(shape, ends))
        assert classes.tolist() == [0, 1]
        assert prob[0].ravel() == pytest.approx(1 - np.arange(11) / 10, abs=1e-12)


def test_weights_by_hand() -> None:
    weights = _edge_weights(np.array([[0.0], [1.0], [3.0]]), np.array([[0, 1], [1, 2]]), 2.0)
    assert weights == pytest.approx(np.exp([-0.5, -2]) + LEAST_WEIGHT)


def test_two_resistors_divide_the_voltage() -> None:
    image = np.array([[0, 10, 40]], np.float32)[..., None] / 40
    prob = random_walker_probabilities(image, seeded((1, 3), {(0, 0): 0, (0, 2): 1}), beta=3.0).prob
    left, right = _edge_weights(image.reshape(3, 1).astype(float) * 100, np.array([[0, 1], [1, 2]]), 3.0)
    assert prob[0, 0, 1] == pytest.approx(left / (left + right), abs=1e-12)


def test_equals_a_dense_solve_of_the_circuit_and_is_harmonic() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (6, 7, 1), np.uint8)
    points = {(0, 0): 4, (5, 6): 1, (2, 3): 9}
    classes, prob = random_walker_probabilities(image, seeded((6, 7), points), beta=20.0)
    values = image.reshape(-1) / 255 * 100
    pairs = [(i, j) for i in range(42) for j in range(42) if (j == i + 1 and j % 7) or j == i + 7]
    largest = max((values[i] - values[j]) ** 2 for i, j in pairs)
    conductance = np.zeros((42, 42))
    for i, j in pairs:
        conductance[i, j] = conductance[j, i] = np.exp(-20 * (values[i] - values[j]) ** 2 / largest) + 1e-6
    laplacian = np.diag(conductance.sum(1)) - conductance
    seeds = [7 * y + x for y, x in points]
    free = [i for i in range(42) if i not in seeds]
    for row, number in enumerate(classes):
        known = np.array([float(value == number) for value in points.values()])
        expected = np.linalg.solve(laplacian[np.ix_(free, free)], -laplacian[np.ix_(free, seeds)] @ known)
        assert prob[row].ravel()[free] == pytest.approx(expected, abs=1e-5)
        around = conductance @ prob[row].ravel() / conductance.sum(1)
        assert prob[row].ravel()[free] == pytest.approx(around[free], abs=1e-5)
    assert prob.sum(0) == pytest.approx(1)
    assert prob.min() >= 0


def test_equals_scikit_image_where_its_weights_are_the_same() -> None:
    from skimage.segmentation import random_walker as reference

    image = np.random.default_rng(1).random((12, 15)).astype(np.float32)
    labels = np.zeros((12, 15), int)
    labels[2, 2], labels[9, 12] = 1, 2
    largest = max(float((np.diff(image, axis=axis) ** 2).max()) for axis in (0, 1))
    beta = 10 / largest * 10 * float(image.std())  # theirs is for squares over 10 standard deviations
    expected = reference(image.astype(float), labels, beta=beta, mode="bf", return_full_prob=True)
    prob = random_walker_probabilities(image[..., None], Hints(scribbles=labels - 1), beta=10.0).prob
    assert prob == pytest.approx(expected, abs=1e-4), "scikit-image adds another constant to its weights"


def test_an_edge_holds_the_walker_back() -> None:
    image = np.where(np.arange(30) < 21, 50, 200).astype(np.uint8)[None, :, None].repeat(20, 0)
    ids = random_walker(image, seeded((20, 30), {(10, 2): 3, (10, 28): 7}))
    assert (ids[:, :21] == 3).all()
    assert (ids[:, 21:] == 7).all()


def test_constant_images_one_class_and_nothing_free() -> None:
    flat = np.full((9, 9, 3), 40, np.uint8)
    ids = random_walker(flat, seeded((9, 9), {(4, 0): 0, (4, 8): 2}))
    assert (ids[:, :4] == 0).all()
    assert (ids[:, 5:] == 2).all()
    assert (random_walker(flat, seeded((9, 9), {(1, 1): 5})) == 5).all()
    everywhere = np.arange(81, dtype=np.int32).reshape(9, 9) % 3
    assert np.array_equal(random_walker(flat, Hints(scribbles=everywhere)), everywhere)


def test_what_cannot_be_is_said() -> None:
    flat = np.zeros((4, 5, 1), np.uint8)
    with pytest.raises(SettingsError, match=r"beta is -1\.0"):
        random_walker(flat, seeded((4, 5), {(0, 0): 1}), beta=-1.0)
    with pytest.raises(SettingsError, match="no point and no scribbled pixel"):
        random_walker(flat, Hints(scribbles=np.full((4, 5), -1)))
    with pytest.raises(SettingsError, match=r"point \[4, 0\] \(y, x\) is outside the image \(4, 5\)"):
        random_walker(flat, seeded((4, 5), {(4, 0): 1}))
