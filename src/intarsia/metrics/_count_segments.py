"""The kernel that counts pairs of segment ids. Importing this file imports numba; it compiles on first use and is kept on disk.

Ids run to millions, so each is looked up in a small hash table. Neighbours are mostly equal: a pair is looked up where it
changes, its run is counted at once, and eight pixels at a time are compared with the last one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from intarsia.core import Array
from intarsia.metrics._count import THREADS, cuts, in_threads

__all__ = ["count_segments"]

PIXELS_PER_PIECE = 1 << 18  # a fifth of a millisecond of work
TOGETHER = 8
ONE = np.uint64(1)
SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: multiples of it fall far from one another


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
    tables = (*_table(true_ids), *_table(predicted_ids))
    bins = (len(true_ids) + 1, len(predicted_ids) + 1)
    pieces = min(2 * THREADS, truth.size // max(PIXELS_PER_PIECE, bins[0] * bins[1])) if THREADS > 1 else 1
    parts = cuts(truth.shape[0], max(1, pieces))
    counts = np.zeros((len(parts), *bins), np.int64)
    in_threads(_count, [(truth[part], prediction[part], *tables, counts[i]) for i, part in enumerate(parts)])
    total: Array = counts.sum(0)
    return total[:-1, :-1]


@njit(nogil=True, cache=True)
def _count(truth: Array, prediction: Array, ids: Array, rows: Array, other_ids: Array, columns: Array, counts: Array) -> None:
    """Add pairs to (G + 1, P + 1) bins, the last ones for ids that are not listed."""
    height, width = truth.shape
    if truth.size == 0:
        return
    last, other_last = truth[0, 0], prediction[0, 0]
    row, column = _bin(last, ids, rows), _bin(other_last, other_ids, columns)
    run = 0
    for line in range(height):
        y = np.uint64(line)  # indices without a sign, which are not asked whether they count from the end: twice as fast
        for begin in range(0, width, TOGETHER):
            first = np.uint64(begin)
            if begin + TOGETHER <= width:
                differ, other_differ = last ^ last, other_last ^ other_last
                for offset in range(TOGETHER):  # of fixed length, so that it becomes a few vector instructions
                    differ |= truth[y, first + np.uint64(offset)] ^ last
                    other_differ |= prediction[y, first + np.uint64(offset)] ^ other_last
                if differ == 0 and other_differ == 0:
                    run += TOGETHER
                    continue
            for offset in range(min(TOGETHER, width - begin)):
                x = first + np.uint64(offset)
                value, other = truth[y, x], prediction[y, x]
                if value != last or other != other_last:
                    counts[row, column] += run
                    run = 0
                    if value != last:
                        last, row = value, _bin(value, ids, rows)
                    if other != other_last:
                        other_last, column = other, _bin(other, other_ids, columns)
                run += 1
    counts[row, column] += run


@njit(nogil=True, cache=True)
def _table(listed: Array) -> tuple[Array, Array]:
    """A hash table, a power of two in size and at most a quarter full: ids, -1 where free, and the bin of each."""
    size = 16
    while size < 4 * listed.size:
        size *= 2
    ids, bins = np.full(size, -1, np.int64), np.full(size, listed.size, np.uint64)
    for index in range(listed.size):
        place = _place(listed[index], size)
        while ids[place] != -1:
            place = (place + ONE) & np.uint64(size - 1)
        ids[place], bins[place] = listed[index], index
    return ids, bins


@njit(nogil=True, cache=True)
def _bin(value: Any, ids: Array, bins: Array) -> Any:
    """The bin of an id; the last one if it is not listed."""
    wanted = np.int64(value)
    place = _place(wanted, ids.size)
    while ids[place] != wanted and ids[place] != -1:
        place = (place + ONE) & np.uint64(ids.size - 1)
    return bins[place]


@njit(nogil=True, cache=True)
def _place(value: Any, size: int) -> Any:
    return ((np.uint64(value) * SPREAD) >> np.uint64(40)) & np.uint64(size - 1)
