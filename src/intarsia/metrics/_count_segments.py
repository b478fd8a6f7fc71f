"""The kernel that counts pairs of segment ids. Importing this file imports numba; it compiles on first use and is kept on disk.

Ids run to millions and neighbours are mostly equal, so equal pairs are counted as runs and an id is looked up where it changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from intarsia.core import Array

__all__ = ["count_segments"]


def count_segments(truth: Array, prediction: Array, true_ids: Array, predicted_ids: Array) -> Array:
    """Count the pixels of each pair of ids in one pass, without copying the maps.

    Args:
        truth: (H, W) integer.
        prediction: (H, W) integer.
        true_ids: (G,) int64, the ids of the rows, without repetition.
        predicted_ids: (P,) int64, the ids of the columns.

    Returns:
        (G, P) int64. Its sum is less than H W if a map holds another id.
    """
    order, predicted_order = np.argsort(true_ids), np.argsort(predicted_ids)
    counts = np.zeros((len(true_ids) + 1, len(predicted_ids) + 1), np.int64)
    _count_runs(truth, prediction, true_ids[order], order, predicted_ids[predicted_order], predicted_order, counts)
    return counts[:-1, :-1]


@njit(nogil=True, cache=True)
def _count_runs(
    truth: Array, prediction: Array, true_ids: Array, rows: Array, predicted_ids: Array, columns: Array, counts: Array
) -> None:
    """Add runs to (G + 1, P + 1) bins, the last ones for ids that are not listed; ids sorted, with the bin of each."""
    height, width = truth.shape
    if truth.size == 0:
        return
    last_t, last_p = truth[0, 0], prediction[0, 0]
    row, column = _bin(last_t, true_ids, rows), _bin(last_p, predicted_ids, columns)
    run = 0
    for y in range(height):
        for x in range(width):
            t, p = truth[y, x], prediction[y, x]
            if t != last_t or p != last_p:
                counts[row, column] += run
                run = 0
                if t != last_t:
                    last_t, row = t, _bin(t, true_ids, rows)
                if p != last_p:
                    last_p, column = p, _bin(p, predicted_ids, columns)
            run += 1
    counts[row, column] += run


@njit(nogil=True, cache=True)
def _bin(value: Any, ids: Array, bins: Array) -> Any:
    """The bin of an id, by bisection; the last one if it is not listed."""
    low, high = 0, ids.size - 1
    wanted = np.int64(value)
    while low < high:
        middle = (low + high) // 2
        if ids[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return bins[low] if ids[low] == wanted else ids.size
