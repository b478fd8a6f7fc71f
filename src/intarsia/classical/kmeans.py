"""k-means: pixels are grouped around the mean colours that leave the least squared distance.

Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory 1982; seeds by Arthur, Vassilvitskii,
"k-means++: The Advantages of Careful Seeding", SODA 2007.

Idea: assign each pixel to the nearest of K means, move each mean to its pixels, repeat; the sum of squared distances falls with
every step. With position among the features clusters become compact; without it a colour is one cluster wherever it appears.

Source: Lloyd's algorithm; scikit-learn does the work.
Limits: K is chosen by hand; clusters are round and of like spread; it finds a local optimum, the best of a few starts.
"""

from __future__ import annotations

import numpy as np

from intarsia.classical._pixels import as_features
from intarsia.core import Array, SettingsError

__all__ = ["kmeans"]

RESULT = "regions"


def kmeans(
    image: Array, *, clusters: int = 6, position: float = 0.2, starts: int = 3, iterations: int = 100, rng: int = 0
) -> Array:
    """Group the pixels of an image by colour and position.

    Args:
        image: (H, W, C), any range of its dtype; three channels are colour and are compared in CIELAB.
        clusters: K.
        position: weight of position: the diagonal of the image counts as this share of the way from black to white.
        starts: how many seeds are tried.
        iterations: at most, of each start.
        rng: seed of the starts.

    Returns:
        (H, W) int32 cluster numbers, the largest cluster first. A cluster need not be connected.

    Raises:
        SettingsError: more clusters than pixels, or less than one.
    """
    from sklearn.cluster import KMeans

    features = as_features(image, position)
    need_clusters(clusters, len(features))
    distinct = len(np.unique(features, axis=0)) if len(features) < 4 * clusters or np.ptp(features) == 0 else clusters
    fit = KMeans(min(clusters, distinct), n_init=starts, max_iter=iterations, random_state=rng).fit(features)
    return largest_first(fit.labels_).reshape(image.shape[:2])


def need_clusters(clusters: int, pixels: int) -> None:
    """Refuse a number of clusters that cannot be.

    Raises:
        SettingsError: with both numbers.
    """
    if not 1 <= clusters <= pixels:
        raise SettingsError(f"clusters is {clusters}; from 1 up to the {pixels} pixels of the image can be told apart.")


def largest_first(labels: Array) -> Array:
    """Labels renumbered by falling count, ties by the first to appear: the same partition always has the same numbers."""
    _, first, inverse, counts = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), np.int32)
    rank[np.lexsort((first, -counts))] = np.arange(len(counts))
    return np.asarray(rank[inverse])
