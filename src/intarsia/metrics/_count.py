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
from intarsia.metrics._runs import LANES, TILE, eight_bytes, list_runs

__all__ = ["THREADS", "count_pairs", "in_pieces", "in_threads", "pieces"]

THREADS: int = getattr(config, "NUMBA_NUM_THREADS", 1)  # the cores, or what the user set by the variable of this name
PIXELS_PER_RUN = 10  # with shorter ones it is faster to count pixels
NOISY = 4 * TILE  # pixels that are counted one by one before it is asked again whether there are runs
STRIP = 1 << 16  # pixels that are copied at a time where maps have gaps
PIXELS_PER_PIECE = 1 << 20  # a tenth of a millisecond of work; with less, waking a thread costs more than it saves

ONE = np.uint32(1)
BYTE = np.uint64(8)
WORD = np.uint64(0xFFFF)
EVEN_BYTES = np.uint64(0x00FF00FF00FF00FF)
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
    in_bytes = truth.dtype == prediction.dtype == np.uint8
    side = 256 if in_bytes else classes + 2
    ids = None if in_bytes else (np.uint32(classes), np.uint32(truth_ignore), np.uint32(prediction_ignore))
    tables = np.zeros((pieces(truth.size, max(PIXELS_PER_PIECE, side * side)), 4, side * side + PAD), np.uint32)
    in_pieces(_count, truth, prediction, tables, ids)
    bins = tables.reshape(-1, side * side + PAD)[:, : side * side].reshape(-1, side, side)
    if not in_bytes:
        paired: Array = bins[:, :-1, :-1].sum(0, dtype=np.int64)
        return paired
    rows, columns = (np.append(np.arange(classes), ignored) for ignored in (truth_ignore, prediction_ignore))
    counts: Array = np.zeros((classes + 1, classes + 1), np.int64)
    known = np.ix_(rows < 256, columns < 256)
    counts[known] = bins[:, rows[rows < 256, None], columns[columns < 256]].sum(0, dtype=np.int64)
    return counts


@njit(nogil=True, cache=True)
def _count(truth: Array, prediction: Array, tables: Array, ids: Any) -> None:
    """Add the pairs of two (P,) maps of any integer dtype to four tables of bins, see `_bin`."""
    ends, bins = np.empty(TILE + LANES, np.uint32), np.empty(NOISY, np.uint32)
    start, pixels = 0, 0
    while start + pixels < truth.size:
        start += pixels
        pixels = min(TILE, truth.size - start)
        runs = list_runs(truth, prediction, start, pixels, pixels // PIXELS_PER_RUN, ends)
        if runs:
            first = np.uint32(0)
            for run in range(runs):
                at, after = np.uint64(start) + np.uint64(ends[run]), ends[run] + ONE
                tables[0, np.uint64(_bin(truth[at], prediction[at], ids))] += after - first
                first = after
            continue
        pixels = min(NOISY, truth.size - start)
        if ids is None:
            _count_bytes(truth, prediction, start, pixels, tables)
            continue
        for k in range(pixels):  # apart from the counting, so that it runs as vector instructions
            bins[k] = _bin(truth[np.uint64(start + k)], prediction[np.uint64(start + k)], ids)
        for k in range(0, pixels - 3, 4):
            for table in range(4):
                tables[table, np.uint64(bins[k + table])] += ONE
        for k in range(pixels // 4 * 4, pixels):
            tables[0, np.uint64(bins[k])] += ONE


@njit(nogil=True, cache=True)
def _count_bytes(truth: Array, prediction: Array, start: int, pixels: int, tables: Array) -> None:
    """Add pixels of two (P,) uint8 maps, eight at a time: in words of four 16-bit bins no byte can carry into its neighbour."""
    for at in range(start, start + pixels // 8 * 8, 8):
        t, p = eight_bytes(truth, at), eight_bytes(prediction, at)
        even = ((t & EVEN_BYTES) << BYTE) | (p & EVEN_BYTES)
        odd = (t & ~EVEN_BYTES) | ((p >> BYTE) & EVEN_BYTES)
        for half in range(2):
            low, high = np.uint64(32 * half), np.uint64(32 * half + 16)
            tables[0, (even >> low) & WORD] += ONE
            tables[1, (odd >> low) & WORD] += ONE
            tables[2, (even >> high) & WORD] += ONE
            tables[3, (odd >> high) & WORD] += ONE
    for at in range(start + pixels // 8 * 8, start + pixels):
        tables[0, np.uint64(_bin(truth[at], prediction[at], None))] += ONE


@njit(nogil=True, cache=True)
def _bin(truth: Any, prediction: Any, ids: Any) -> Any:
    """Row and column as one number: of 256 x 256 for bytes, else of (K + 2) x (K + 2), where `ids` tell what K is."""
    if ids is None:
        return np.uint32(truth) << np.uint32(8) | np.uint32(prediction)
    classes, truth_ignore, prediction_ignore = ids
    return _slot(truth, classes, truth_ignore) * (classes + np.uint32(2)) + _slot(prediction, classes, prediction_ignore)


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
