"""The kernels that count pairs of ids. Importing this file imports numba; they compile on first use and are kept on disk.

A run of equal pairs is counted at once. Where there are no runs, as in noise, each pixel is: adding to a bin that was written a
moment ago waits for that write, so neighbours go to four tables in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numba import config, njit

from intarsia.core import Array
from intarsia.metrics._runs import LANES, TILE, list_runs

__all__ = ["THREADS", "count_pairs", "in_pieces", "in_threads", "pieces"]

THREADS: int = getattr(config, "NUMBA_NUM_THREADS", 1)  # the cores, or what the user set by the variable of this name
PIXELS_PER_RUN = 10  # with shorter ones it is faster to count pixels
NOISY = 4 * TILE  # pixels that are counted one by one before it is asked again whether there are runs
CHUNK = 512  # of them, whose bins are found together
STRIP = 1 << 16  # pixels that are copied at a time where maps have gaps
PIXELS_PER_PIECE = 1 << 20  # a tenth of a millisecond of work; with less, waking a thread costs more than it saves

ONE = np.uint32(1)
PAD = 16  # 64 bytes between tables: those a power of two apart would fight for the same lines of the cache


def count_pairs(truth: Array, prediction: Array, classes: int, truth_ignore: int, prediction_ignore: int) -> Array:
    """Count the pixels of each pair of ids in one pass, without copying the maps.

    Args:
        truth: (H, W) integer.
        prediction: (H, W) integer.
        classes: K; ids 0..K-1 are classes.
        truth_ignore: the id of the last row.
        prediction_ignore: the id of the last column.

    Returns:
        (K + 1, K + 1) int64, rows truth, columns prediction. Its sum is less than H W if an id is none of these.
    """
    side = classes + 2
    tables = np.zeros((pieces(truth.size, max(PIXELS_PER_PIECE, side * side)), 4, side * side + PAD), np.uint32)
    ids = np.uint32(classes), np.uint32(truth_ignore), np.uint32(prediction_ignore)
    in_pieces(_count, truth, prediction, tables, *ids)
    counts: Array = tables[..., : side * side].sum((0, 1), dtype=np.int64).reshape(side, side)
    return counts[:-1, :-1]


@njit(nogil=True, cache=True)
def _count(truth: Array, prediction: Array, tables: Array, classes: Any, truth_ignore: Any, prediction_ignore: Any) -> None:
    """Add the pairs of two (P,) maps of any integer dtype to four tables of (K + 2) x (K + 2) bins."""
    ends, bins = np.empty(TILE + LANES, np.uint32), np.empty(CHUNK, np.uint32)
    side = classes + np.uint32(2)
    start, pixels = 0, 0
    while start + pixels < truth.size:
        start += pixels
        pixels = min(TILE, truth.size - start)
        runs = list_runs(truth, prediction, start, pixels, pixels // PIXELS_PER_RUN, ends)
        if runs:
            first = np.uint32(0)
            for run in range(runs):
                at, after = np.uint64(start) + np.uint64(ends[run]), ends[run] + ONE
                row, column = _slot(truth[at], classes, truth_ignore), _slot(prediction[at], classes, prediction_ignore)
                tables[0, np.uint64(row * side + column)] += after - first
                first = after
            continue
        pixels = min(NOISY, truth.size - start)
        for chunk in range(start, start + pixels, CHUNK):
            here = min(CHUNK, start + pixels - chunk)
            for k in range(here):  # apart from the counting, so that it runs as vector instructions
                at = np.uint64(chunk + k)
                row, column = _slot(truth[at], classes, truth_ignore), _slot(prediction[at], classes, prediction_ignore)
                bins[k] = row * side + column
            for k in range(0, here - 3, 4):
                for table in range(4):
                    tables[table, np.uint64(bins[k + table])] += ONE
            for k in range(here // 4 * 4, here):
                tables[0, np.uint64(bins[k])] += ONE


@njit(nogil=True, cache=True)
def _slot(value: Any, classes: Any, ignore: Any) -> Any:
    """0..K-1 for a class, K for the ignore id, K + 1 for anything else; all uint32."""
    narrow = np.uint32(value)
    other = classes if narrow == ignore else np.uint32(classes + ONE)
    return narrow if narrow < classes and np.int64(value) == np.int64(narrow) else other


def in_pieces(kernel: Callable[..., None], truth: Array, prediction: Array, tables: Array, *rest: object) -> None:
    """Let threads call `kernel(truth, prediction, tables[i], *rest)` with parts of the maps, one for each of the tables."""
    edges = [len(truth) * part // len(tables) for part in range(len(tables) + 1)]
    parts = [(truth[a:b], prediction[a:b]) for a, b in pairwise(edges)]
    in_threads(_in_strips, [(kernel, *part, tables[i], *rest) for i, part in enumerate(parts)])


def _in_strips(kernel: Callable[..., None], truth: Array, prediction: Array, *rest: object) -> None:
    """Call a kernel with (P,) maps: with the whole ones in place, or where they have gaps with copies of a few rows at a time."""
    in_place = truth.flags.c_contiguous and prediction.flags.c_contiguous
    rows = max(1, len(truth) if in_place else STRIP // max(1, truth.shape[1]))
    for y in range(0, len(truth), rows):
        kernel(*(np.ascontiguousarray(side[y : y + rows]).reshape(-1) for side in (truth, prediction)), *rest)


def pieces(pixels: int, at_least: int) -> int:
    """How many parts of a map threads shall count, each of at least so many pixels."""
    return max(1, min(2 * THREADS, pixels // at_least)) if THREADS > 1 else 1


def in_threads(function: Callable[..., None], calls: Sequence[tuple[object, ...]]) -> None:
    """Run calls side by side. Threads of our own: numba's parallel loops cannot be entered from two threads at a time.

    Where the other cores are busy nothing waits for them: a call that no thread has begun is run here, from the last one on.
    """
    waiting = [_pool().submit(function, *arguments) for arguments in calls[1:]]
    function(*calls[0])
    for future, arguments in zip(reversed(waiting), reversed(calls), strict=False):
        if future.cancel():
            function(*arguments)
    for future in waiting:
        if not future.cancelled():
            future.result()


@cache
def _pool() -> ThreadPoolExecutor:
    """Threads that stay; after a fork they are gone, and `in_threads` runs all calls itself."""
    return ThreadPoolExecutor(max(1, THREADS - 1), "intarsia-count")
