"""The kernel that sorts probabilities into bins. Importing this file imports numba; it compiles on first use."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from intarsia.core import Array

__all__ = ["count_bins"]


def count_bins(prob: Array, truth: Array, ignored: int, bins: int) -> Array:
    """Pixels, sum of probabilities and pixels right, by class and bin.

    Args:
        prob: (K, H, W) float in [0, 1].
        truth: (H, W) integer.
        ignored: the id of pixels that count nowhere.
        bins: B bins of equal width, open below and closed above; the first one holds 0 too.

    Returns:
        (K + 1, B, 3) float64; the last of the first axis sorts by the largest probability.
    """
    tallies = np.zeros((len(prob) + 1, bins, 3))
    _sort(prob, truth, ignored, tallies)
    return tallies


@njit(nogil=True, cache=True)
def _sort(prob: Array, truth: Array, ignored: int, tallies: Array) -> None:
    classes, height, width = prob.shape
    bins = tallies.shape[1]
    best = np.empty(width, np.int64)
    for y in range(height):
        best[:] = 0
        for k in range(classes + 1):
            for x in range(width):
                if truth[y, x] == ignored:
                    continue
                chosen = best[x] if k == classes else k
                p = np.float64(prob[chosen, y, x])
                if k < classes and prob[k, y, x] > prob[best[x], y, x]:
                    best[x] = k
                slot = min(max(math.ceil(p * bins) - 1, 0), bins - 1)
                tallies[k, slot, 0] += 1
                tallies[k, slot, 1] += p
                tallies[k, slot, 2] += truth[y, x] == chosen
