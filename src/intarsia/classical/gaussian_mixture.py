"""Gaussian mixture: k-means with soft assignments and clusters of any elliptical shape.

Dempster, Laird, Rubin, "Maximum likelihood from incomplete data via the EM algorithm", JRSS B 1977.

Idea: pixels are drawn from K Gaussians of unknown weight, mean and covariance. Expectation-maximisation alternates between the
probability of each Gaussian for each pixel and the parameters that fit them best, and never lowers the likelihood. A pixel goes
to the Gaussian that most probably made it.

Source: EM; scikit-learn does the work, on a sample of the pixels where there are many.
Limits: K is chosen by hand; a local optimum; the covariance is kept away from singular by 1e-6 of the squared scale, or a flat
colour would have infinite likelihood.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np

from intarsia.classical._pixels import as_features
from intarsia.classical.kmeans import largest_first, need_clusters
from intarsia.core import Array

__all__ = ["gaussian_mixture"]

RESULT = "regions"


def gaussian_mixture(
    image: Array,
    *,
    clusters: int = 6,
    position: float = 0.2,
    covariance: Literal["full", "tied", "diag", "spherical"] = "full",
    iterations: int = 100,
    sample: int = 20_000,
    rng: int = 0,
) -> Array:
    """Group the pixels of an image by colour and position.

    Args:
        image: (H, W, C), any range of its dtype; three channels are colour and are compared in CIELAB.
        clusters: K.
        position: weight of position: the diagonal of the image counts as this share of the way from black to white.
        covariance: what shape the Gaussians have.
        iterations: of EM at most.
        sample: pixels that the parameters are fitted to, drawn at random; all are assigned.
        rng: seed of the sample and of the start.

    Returns:
        (H, W) int32 cluster numbers, the largest cluster first.

    Raises:
        SettingsError: more clusters than pixels, or less than one.
    """
    features = as_features(image, position)
    need_clusters(clusters, len(features))
    drawn = np.random.default_rng(rng).choice(len(features), min(sample, len(features)), replace=False)
    some = features[np.sort(drawn)]
    count = max(1, min(clusters, len(np.unique(some, axis=0)), len(some) // 2))
    mixture = fit_mixture(some, count, covariance=covariance, iterations=iterations, rng=rng)
    return largest_first(mixture.predict(features)).reshape(image.shape[:2])


def fit_mixture(features: Array, clusters: int, *, covariance: str = "full", iterations: int = 100, rng: int = 0) -> Any:
    """A mixture fitted to (N, D) features by EM from k-means, as a `sklearn.mixture.GaussianMixture`."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(clusters, covariance_type=covariance, max_iter=iterations, random_state=rng)
    with warnings.catch_warnings():  # stopping at `iterations` is asked for
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(features)
