from typing import Any

import numpy as np
import pytest
from skimage.measure import label

from intarsia.classical._region_graph import region_edges, region_sums
from intarsia.classical.markov_random_field import (
    SOLVERS,
    _color_costs,
    _mixture_costs,
    markov_random_field,
    markov_random_field_trace,
)
from intarsia.core import SettingsError

OPTIONS: dict[str, Any] = {
    "labels": 2,
    "smoothness": 5.0,
    "inference": "expansion",
    "colors": "kmeans",
    "connectivity": 4,
    "superpixels": 0,
    "rng": 0,
}


def noisy_disc(noise: float = 24, size: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """A grey disc in noise, (H, W, 1), and where it is."""
    y, x = np.mgrid[:size, :size]
    disc = (y - size / 2) ** 2 + (x - size / 2) ** 2 < (size / 3.5) ** 2
    gray = np.where(disc, 150, 100) + np.random.default_rng(0).normal(0, noise, disc.shape)
    return gray.clip(0, 255).astype(np.uint8)[..., None], disc


def test_regions_that_touch_by_hand() -> None:
    ids = np.array([[0, 0, 1], [0, 2, 1], [3, 2, 2]])
    edges, lengths = region_edges(ids)
    assert edges.tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [2, 3]]
    assert lengths.tolist() == [1, 2, 1, 2, 1]
    assert region_sums(ids, np.arange(9.0)).tolist() == [[4], [7], [19], [6]]
    assert region_edges(np.zeros((3, 4), int))[0].shape == (0, 2)


def test_costs_are_those_of_the_mixture() -> None:
    from scipy.stats import multivariate_normal

    rng = np.random.default_rng(0)
    points, shares, means = rng.normal(size=(6, 3)), np.array([0.3, 0.7]), rng.normal(size=(2, 3))
    spreads = np.array([np.diag([1.0, 2.0, 0.5]) + 0.2, np.eye(3)])
    roots = np.linalg.cholesky(np.linalg.inv(spreads))
    expected = [
        [multivariate_normal(m, s).logpdf(p) + np.log(w) for m, s, w in zip(means, spreads, shares, strict=True)] for p in points
    ]
    costs = _mixture_costs(points, shares, means, roots)
    assert costs == pytest.approx(-np.array(expected) - 1.5 * np.log(2 * np.pi))


@pytest.mark.parametrize("colors", ["mixture", "kmeans"])
def test_without_smoothness_each_pixel_takes_its_class(colors: str) -> None:
    image, _ = noisy_disc()
    ids, energy, _ = markov_random_field_trace(image, **OPTIONS | {"smoothness": 0.0, "labels": 3, "colors": colors})
    assert np.array_equal(ids.ravel(), energy.unary.argmin(1))


def test_every_solver_takes_the_noise_away() -> None:
    image, disc = noisy_disc()
    energies = {}
    for inference in SOLVERS:
        ids, energy, labelling = markov_random_field_trace(image, **OPTIONS | {"inference": inference})
        energies[inference] = energy.cost(labelling.labels)
        wrong = np.minimum((ids != disc).mean(), (ids == disc).mean())
        assert wrong < (0.1 if inference == "icm" else 0.03), inference
    exact = energies["min_cut"]
    assert energies["expansion"] == pytest.approx(exact, rel=1e-12)
    assert energies["swap"] == pytest.approx(exact, rel=1e-12)
    assert exact <= energies["belief_propagation"] <= 1.01 * exact
    assert exact <= energies["icm"]


def test_more_smoothness_means_a_shorter_border_until_one_label_is_left() -> None:
    image, _ = noisy_disc()
    borders = [(np.diff(markov_random_field(image, labels=3, smoothness=s), axis=1) != 0).sum() for s in (0.0, 2.0, 10.0, 1e6)]
    assert borders[0] > borders[1] > borders[2] > borders[3] == 0


def test_superpixels_keep_their_outlines() -> None:
    from intarsia.classical.slic import slic

    image, disc = noisy_disc(8)
    ids, energy, _ = markov_random_field_trace(image, **OPTIONS | {"superpixels": 60})
    regions = slic(image, segments=60)
    assert len(energy.unary) == regions.max() + 1
    assert all(len(np.unique(ids[regions == region])) == 1 for region in range(regions.max() + 1))
    pixels = markov_random_field_trace(image, **OPTIONS)[1].unary
    assert energy.unary.sum(0) == pytest.approx(pixels.sum(0)), "a superpixel costs what its pixels cost"
    assert np.minimum((ids != disc).mean(), (ids == disc).mean()) < 0.06


def test_diagonal_neighbours_pay_less() -> None:
    flat = np.full((4, 5, 1), 9, np.uint8)
    energy = markov_random_field_trace(flat, **OPTIONS | {"connectivity": 8})[1]
    assert np.unique(energy.weights).tolist() == pytest.approx([5 / np.sqrt(2), 5])
    assert (energy.weights == 5).sum() == 4 * 4 + 3 * 5


@pytest.mark.parametrize("shape", [(1, 12, 3), (12, 1, 1), (1, 1, 3)])
def test_one_pixel_wide(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert markov_random_field(image).shape == shape[:2]


def test_a_constant_image_is_one_region_and_two_halves_are_two() -> None:
    assert not markov_random_field(np.full((9, 8, 3), 77, np.uint8)).any()
    halves = np.tile(np.where(np.arange(20) < 7, 30, 200).astype(np.uint8)[None, :, None], (10, 1, 3))
    ids = markov_random_field(halves)
    assert label(ids, connectivity=1, background=-1).max() == 2
    assert (ids[:, :7] == ids[0, 0]).all()
    assert (ids[:, 7:] != ids[0, 0]).all()


def test_what_does_not_fit_is_named() -> None:
    image, _ = noisy_disc()
    with pytest.raises(SettingsError, match="between two labels, and there are 3"):
        markov_random_field(image, labels=3, inference="min_cut")
    with pytest.raises(SettingsError, match=r"labels is 0 and smoothness 20\.0"):
        markov_random_field(image, labels=0)


def test_costs_are_the_same_twice() -> None:
    features = np.random.default_rng(0).normal(50, 20, (200, 3)).astype(np.float32)
    assert np.array_equal(_color_costs(features, 4, "mixture", 7), _color_costs(features, 4, "mixture", 7))
