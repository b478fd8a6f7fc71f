from itertools import pairwise

import numpy as np
import pytest

from intarsia.classical.gaussian_mixture import fit_mixture, gaussian_mixture
from intarsia.classical.kmeans import kmeans
from intarsia.core import SettingsError


def test_two_gaussians_of_different_spread_are_told_apart_where_kmeans_errs() -> None:
    """Left: grey 120 +- 2; right: grey 150 +- 25. The border of least squared distance is not the border of likelihood."""
    rng = np.random.default_rng(0)
    spread = np.where(np.arange(80) < 40, 2, 25)[None, :, None]
    image = (
        (np.where(np.arange(80) < 40, 120, 150)[None, :, None] + rng.normal(0, 1, (60, 80, 1)) * spread)
        .clip(0, 255)
        .astype(np.uint8)
    )
    truth = np.repeat([0, 1], 40)[None].repeat(60, 0)

    def errors(ids: np.ndarray) -> float:
        wrong = (ids != truth).mean()
        return float(min(wrong, 1 - wrong))

    mixed = errors(gaussian_mixture(image, clusters=2, position=0.0))
    assert mixed < 0.08
    assert mixed < 0.5 * errors(kmeans(image, clusters=2, position=0.0))


def test_separated_colors_and_every_shape_of_covariance() -> None:
    stripes = np.repeat([0, 1], [20, 40])[None].repeat(30, 0)
    noise = np.random.default_rng(1).normal(0, 3, (30, 60, 3))
    image = (np.array([[200, 60, 60], [60, 60, 200]])[stripes] + noise).clip(0, 255).astype(np.uint8)
    for covariance in ("full", "tied", "diag", "spherical"):
        assert np.array_equal(gaussian_mixture(image, clusters=2, position=0.0, covariance=covariance), 1 - stripes)


def test_one_gaussian_is_the_mean_and_covariance_and_em_never_lowers_the_likelihood() -> None:
    features = np.random.default_rng(2).normal(size=(500, 3)) @ np.array([[1, 0.4, 0], [0, 0.7, 0.2], [0, 0, 0.1]])
    one = fit_mixture(features, 1)
    assert one.means_[0] == pytest.approx(features.mean(0))
    assert one.covariances_[0] == pytest.approx(np.cov(features.T, bias=True), abs=2e-6)
    bounds = [fit_mixture(features, 4, iterations=steps).lower_bound_ for steps in range(1, 15)]
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(bounds))


def test_tight_round_gaussians_part_the_pixels_as_kmeans_does() -> None:
    rng = np.random.default_rng(3)
    colors = rng.integers(0, 256, (4, 3))[rng.integers(0, 4, (20, 20))]
    image = (colors + rng.normal(0, 1, (20, 20, 3))).clip(0, 255).astype(np.uint8)
    soft = gaussian_mixture(image, clusters=4, position=0.0, covariance="spherical")
    assert np.array_equal(soft, kmeans(image, clusters=4, position=0.0))


def test_errors() -> None:
    with pytest.raises(SettingsError, match="clusters is 0; from 1 up to the 4 pixels"):
        gaussian_mixture(np.zeros((2, 2, 3), np.uint8), clusters=0)
