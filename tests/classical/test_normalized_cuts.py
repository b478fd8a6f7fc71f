from itertools import product

import numpy as np
import pytest
from scipy.sparse import csr_array

from intarsia.classical import normalized_cuts as module
from intarsia.classical.normalized_cuts import (
    _best_cut,
    _coarse_grid,
    _discretise,
    _k_way_cut,
    _leading_vectors,
    _recursive_cuts,
    _similarity,
    _sweep,
    normalized_cuts,
)
from intarsia.core import SettingsError


def blobs(seed: int, sizes: tuple[int, ...] = (5, 5)) -> csr_array:
    """All nodes joined, strongly where they are of one blob."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(len(sizes)), sizes)
    upper = np.triu(rng.random((len(of), len(of))) * np.where(of[:, None] == of, 1, 0.1), 1)
    return csr_array(upper + upper.T)


def ncut(weights: csr_array, side: np.ndarray) -> float:
    full = weights.toarray()
    cut = full[side][:, ~side].sum()
    return cut / full[side].sum() + cut / full[~side].sum()


def cheapest(weights: csr_array) -> float:
    sides = [np.array([False, *bits]) for bits in product((False, True), repeat=weights.shape[0] - 1)]
    return min(ncut(weights, side) for side in sides if side.any())


def quadrants(channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Four flat colours, and which of them each pixel has."""
    y, x = np.mgrid[:60, :80]
    of = 2 * (y >= 30) + (x >= 40)
    colors = np.array([[200, 30, 30], [30, 200, 30], [40, 40, 200], [220, 220, 40]], np.uint8)
    return (colors if channels == 3 else np.array([[10], [80], [160], [240]], np.uint8))[of], of


def same_parts(one: np.ndarray, other: np.ndarray) -> bool:
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1).shape[1]
    return pairs == len(np.unique(one)) == len(np.unique(other))


def test_a_path_by_hand() -> None:
    weights = csr_array(np.diag([4.0, 1, 4], 1) + np.diag([4.0, 1, 4], -1))
    assert _sweep(weights, np.arange(4)) == pytest.approx([4 / 4 + 4 / 14, 1 / 9 + 1 / 9, 4 / 14 + 4 / 4])
    side, cost = _best_cut(weights)
    assert side.tolist() == [False, False, True, True]
    assert cost == pytest.approx(2 / 9)
    values, vectors = _leading_vectors(weights, 2)
    # With y = (1, a, -a, -1): 4 - 4 a = 4 lambda and -4 + 5 a + a = 5 lambda a, so 5 a^2 + a - 4 = 0 and a = 0.8.
    assert values == pytest.approx([0, 0.2], abs=1e-12)
    assert vectors[:, 1] / vectors[0, 1] == pytest.approx([1, 0.8, -0.8, -1])


def test_similarity_by_hand() -> None:
    weights = _similarity(np.array([[0.0], [3], [3]]), np.array([[0.0, 0], [0, 1], [0, 9]]), 3, 2).toarray()
    assert weights[0, 1] == weights[1, 0] == pytest.approx(np.exp(-1 - 1 / 4))
    assert np.count_nonzero(weights) == 2, "the third is too far away"
    assert _similarity(np.array([[0.0], [1e6]]), np.array([[0.0, 0], [0, 1]]), 3, 2).toarray()[0, 1] == module.LEAST


def test_the_sweep_finds_the_cheapest_of_all_cuts_and_the_eigenvalue_is_below() -> None:
    for seed in range(20):
        weights = blobs(seed)
        best = cheapest(weights)
        side, cost = _best_cut(weights)
        assert cost == pytest.approx(best, rel=1e-9)
        assert ncut(weights, side) == pytest.approx(cost, rel=1e-9)
        assert _leading_vectors(weights, 2)[0][1] <= best


def test_the_eigenvectors_solve_the_problem_and_both_solvers_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = blobs(1, (9, 12, 10))
    values, vectors = _leading_vectors(weights, 4)
    degree = weights.sum(1)
    for value, vector in zip(values, vectors.T, strict=True):
        assert degree * vector - weights @ vector == pytest.approx(value * degree * vector, abs=1e-9)
    monkeypatch.setattr(module, "DENSE", 0)
    assert _leading_vectors(weights, 4)[0] == pytest.approx(values, abs=1e-5)
    assert same_parts(_recursive_cuts(weights, 3, 2.0), np.repeat(np.arange(3), (9, 12, 10)))


def test_a_graph_in_two_pieces_is_cut_between_them() -> None:
    weights = csr_array(np.kron(np.diag([1.0, 3.0]), np.ones((4, 4)) - np.eye(4)))
    assert _leading_vectors(weights, 3)[0] == pytest.approx([0, 0, 4 / 3], abs=1e-12)
    side, cost = _best_cut(weights)
    assert cost == 0
    assert side.tolist() == [False] * 4 + [True] * 4


def test_scale_does_not_matter() -> None:
    weights = blobs(3, (6, 7, 5))
    for labels in (_recursive_cuts, lambda w, k, _: _k_way_cut(w, k)):
        assert np.array_equal(labels(weights, 3, 2.0), labels(64 * weights, 3, 2.0))
    assert _best_cut(64 * weights)[1] == pytest.approx(_best_cut(weights)[1])


def test_planted_parts_come_back() -> None:
    sizes = (8, 11, 7, 9)
    planted = np.repeat(np.arange(4), sizes)
    shuffled = np.random.default_rng(0).permutation(len(planted))
    weights = blobs(5, sizes)[shuffled][:, shuffled]
    assert same_parts(_recursive_cuts(weights, 4, 2.0), planted[shuffled])
    assert same_parts(_k_way_cut(weights, 4), planted[shuffled])


def test_recursion_stops_at_the_threshold_and_at_single_nodes() -> None:
    weights = blobs(6)
    cost = _best_cut(weights)[1]
    assert _recursive_cuts(weights, 9, 0.99 * cost).max() == 0
    assert _recursive_cuts(weights, 2, 1.01 * cost).max() == 1
    assert np.unique(_recursive_cuts(weights, 99, 2.0)).tolist() == list(range(10))


def test_rotated_indicators_are_turned_back() -> None:
    rng = np.random.default_rng(0)
    of = rng.permutation(np.repeat(np.arange(3), 6))
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assert same_parts(_discretise(rng.uniform(0.5, 2, (18, 1)) * np.eye(3)[of] @ rotation), of)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("options", [{}, {"method": "k_way"}, {"superpixels": 0}])
def test_flat_quadrants_are_the_parts(channels: int, options: dict) -> None:
    image, of = quadrants(channels)
    ids = normalized_cuts(image, regions=4, **{"superpixels": 48} | options)
    assert ids.dtype == np.int32
    assert same_parts(ids, of)


def test_pixels_of_the_shrunken_image_are_squares() -> None:
    assert _coarse_grid((3, 4)).tolist() == np.arange(12).reshape(3, 4).tolist()
    squares = _coarse_grid((90, 250))
    assert squares.max() == 36 * 100 - 1
    assert np.bincount(squares.ravel()).min() >= 4


@pytest.mark.parametrize("shape", [(1, 30, 3), (30, 1, 1), (1, 1, 3), (2, 2, 3)])
@pytest.mark.parametrize("superpixels", [0, 20])
def test_tiny_images(shape: tuple[int, int, int], superpixels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    for method in ("recursive", "k_way"):
        ids = normalized_cuts(image, method=method, superpixels=superpixels, regions=3)
        assert ids.shape == shape[:2]
        assert ids.max() <= 2


def test_a_constant_image_is_cut_into_like_parts_only_if_the_threshold_lets() -> None:
    flat = np.full((40, 60, 3), 99, np.uint8)
    assert normalized_cuts(flat, threshold=0.0).max() == 0
    sizes = np.bincount(normalized_cuts(flat, threshold=2.0, regions=2, superpixels=60).ravel())
    assert sizes.min() > 0.4 * flat.shape[0] * flat.shape[1]


def test_what_does_not_fit_is_named() -> None:
    image, _ = quadrants()
    with pytest.raises(SettingsError, match="regions is 0, superpixels 400"):
        normalized_cuts(image, regions=0)
    with pytest.raises(SettingsError, match=r"color_sigma 0\.0 and position_sigma 2\.0"):
        normalized_cuts(image, color_sigma=0.0)
