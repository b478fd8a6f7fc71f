"""The kernel that counts pairs of segment ids. Importing this file imports numba; it compiles on first use and is kept on disk.

Ids run to millions, so each is looked up in a small hash table. Neighbours are mostly equal: a pair is looked up where it
changes, and its run is counted at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from intarsia.core import Array
from intarsia.metrics._count import in_pieces, pieces
from intarsia.metrics._runs import LANES, TILE, list_runs

__all__ = ["count_segments"]

PIXELS_PER_PIECE = 1 << 19  # a fifth of a millisecond of work
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
    bins = (len(true_ids) + 1, len(predicted_ids) + 1)
    counts = np.zeros((pieces(truth.size, max(PIXELS_PER_PIECE, bins[0] * bins[1])), *bins), np.uint32)
    in_pieces(_count, truth, prediction, counts, _table(true_ids), _table(predicted_ids))
    total: Array = counts[:, :-1, :-1].sum(0, dtype=np.int64)
    return total


@njit(nogil=True, cache=True)
def _count(truth: Array, prediction: Array, counts: Array, rows: Array, columns: Array) -> None:
    """Add the pairs of two (P,) maps to (G + 1, P + 1) bins, the last ones for ids that are not listed."""
    ends = np.empty(TILE + LANES, np.uint32)
    for start in range(0, truth.size, TILE):
        pixels = min(TILE, truth.size - start)
        runs, first = list_runs(truth, prediction, start, pixels, pixels // 2, ends), np.uint32(0)
        if not runs:
            runs = pixels
            for pixel in range(pixels):
                ends[pixel] = pixel
        for run in range(runs):
            at, after = np.uint64(start) + np.uint64(ends[run]), ends[run] + np.uint32(1)
            counts[_bin(truth[at], rows), _bin(prediction[at], columns)] += after - first
            first = after


@njit(nogil=True, cache=True)
def _table(listed: Array) -> Array:
    """A hash table (S, 2) of ids, -1 where free, and the bin of each; S is a power of two, and at most a quarter is taken."""
    size = 16
    while size < 4 * listed.size:
        size *= 2
    table = np.empty((size, 2), np.int64)
    table[:, 0], table[:, 1] = -1, listed.size
    for index in range(listed.size):
        place = _place(listed[index], size)
        while table[place, 0] != -1:
            place = (place + ONE) & np.uint64(size - 1)
        table[place, 0], table[place, 1] = listed[index], index
    return table


@njit(nogil=True, cache=True)
def _bin(value: Any, table: Array) -> Any:
    """The bin of an id; the last one if it is not listed."""
    wanted = np.int64(value)
    place = _place(wanted, len(table))
    while table[place, 0] != wanted and table[place, 0] != -1:
        place = (place + ONE) & np.uint64(len(table) - 1)
    return np.uint64(table[place, 1])


@njit(nogil=True, cache=True)
def _place(value: Any, size: int) -> Any:
    return ((np.uint64(value) * SPREAD) >> np.uint64(40)) & np.uint64(size - 1)
