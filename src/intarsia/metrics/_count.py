"""The kernels that count pairs of ids. Importing this file imports numba; they compile on first use and are kept on disk.

Adding to a bin that was written a moment ago waits for that write, and label maps are the worst case, since neighbours are mostly
equal. So sixteen pixels at a time are compared with the first of them, and equal ones are added at once; others go in turn to
four tables.
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

__all__ = ["THREADS", "count_pairs", "cuts", "in_threads"]

THREADS: int = getattr(config, "NUMBA_NUM_THREADS", 1)  # the cores, or what the user set by the variable of this name
PIXELS_PER_THREAD = 1 << 22  # a millisecond of work; with less, waiting for a busy core costs more than it saves

ONE = np.uint32(1)
SIXTEEN = np.uint32(16)
BYTE = np.uint64(0xFF)
WORD = np.uint64(0xFFFF)
EVEN_BYTES = np.uint64(0x00FF00FF00FF00FF)
EVERY_BYTE = np.uint64(0x0101010101010101)
PAD = 16  # 64 bytes between tables: those a power of two apart would fight for the same lines of the cache
BYTE_TABLE = 256 * 256 + PAD


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
    threads = max(1, min(THREADS, truth.size // PIXELS_PER_THREAD))
    if _is_packed(truth) and _is_packed(prediction):
        flat_truth, flat_prediction = truth.reshape(-1), prediction.reshape(-1)
        tables = np.zeros((threads, 4 * BYTE_TABLE), np.uint32)
        parts = cuts(truth.size, threads, multiple=8)
        in_threads(_count_bytes, [(flat_truth[p], flat_prediction[p], tables[i]) for i, p in enumerate(parts)])
        pairs = tables.reshape(-1, BYTE_TABLE)[:, : 256 * 256].reshape(-1, 256, 256)
        rows, row_ids = _byte_ids(classes, truth_ignore)
        columns, column_ids = _byte_ids(classes, prediction_ignore)
        paired: Array = np.zeros((classes + 1, classes + 1), np.int64)
        paired[np.ix_(rows, columns)] = pairs[:, row_ids[:, None], column_ids].sum(0, dtype=np.int64)
        return paired
    side = classes + 2
    tables = np.zeros((threads, 4 * (side * side + PAD)), np.uint32)
    ids = (classes, truth_ignore, prediction_ignore)
    parts = cuts(truth.shape[0], threads)
    in_threads(_count_any, [(truth[p], prediction[p], *ids, tables[i]) for i, p in enumerate(parts)])
    counts: Array = tables.reshape(-1, side * side + PAD)[:, : side * side].sum(0, dtype=np.int64).reshape(side, side)
    return counts[:-1, :-1]


@njit(nogil=True, cache=True)
def _count_bytes(truth: Array, prediction: Array, tables: Array) -> None:
    """Add the pairs of two (P,) uint8 maps to four tables of 256 x 256 bins; the bin of (t, p) is 256 t + p."""
    words = truth.size // 16 * 2
    truth_words = truth[: 8 * words].view(np.uint64)
    prediction_words = prediction[: 8 * words].view(np.uint64)
    second, third, fourth = np.uint64(BYTE_TABLE), np.uint64(2 * BYTE_TABLE), np.uint64(3 * BYTE_TABLE)
    for i in range(0, words, 2):
        t, p = truth_words[i] & BYTE, prediction_words[i] & BYTE
        all_t, all_p = t * EVERY_BYTE, p * EVERY_BYTE
        differ = (truth_words[i] ^ all_t) | (prediction_words[i] ^ all_p)
        differ |= (truth_words[i + 1] ^ all_t) | (prediction_words[i + 1] ^ all_p)
        if differ == np.uint64(0):
            tables[np.uint64(i & 2) // np.uint64(2) * second + (t << np.uint64(8) | p)] += SIXTEEN
            continue
        for j in range(i, i + 2):
            # Four 16-bit bins in each of two words: no byte can carry into its neighbour.
            even = ((truth_words[j] & EVEN_BYTES) << np.uint64(8)) | (prediction_words[j] & EVEN_BYTES)
            odd = (truth_words[j] & ~EVEN_BYTES) | ((prediction_words[j] >> np.uint64(8)) & EVEN_BYTES)
            for half in range(2):
                low = np.uint64(32 * half)
                high = low + np.uint64(16)
                tables[(even >> low) & WORD] += ONE
                tables[second + ((odd >> low) & WORD)] += ONE
                tables[third + ((even >> high) & WORD)] += ONE
                tables[fourth + ((odd >> high) & WORD)] += ONE
    for i in range(8 * words, truth.size):
        tables[np.uint64(truth[i]) << np.uint64(8) | np.uint64(prediction[i])] += ONE


@njit(nogil=True, cache=True)
def _count_any(truth: Array, prediction: Array, classes: int, truth_ignore: int, prediction_ignore: int, tables: Array) -> None:
    """Add the pairs of two (H, W) maps of any integer dtype and strides to four tables of (K + 2) x (K + 2) bins."""
    height, width = truth.shape
    row_bins = np.empty(width, np.uint32)
    side = classes + 2
    second = np.uint64(side * side + PAD)
    third, fourth = second + second, second + second + second
    for y in range(height):
        for x in range(width):  # apart from the counting, so that it runs as vector instructions
            t = _slot(truth[y, x], np.uint32(classes), np.uint32(truth_ignore))
            p = _slot(prediction[y, x], np.uint32(classes), np.uint32(prediction_ignore))
            row_bins[x] = t * np.uint32(side) + p
        for x in range(0, width - 3, 4):
            tables[np.uint64(row_bins[x])] += ONE
            tables[second + np.uint64(row_bins[x + 1])] += ONE
            tables[third + np.uint64(row_bins[x + 2])] += ONE
            tables[fourth + np.uint64(row_bins[x + 3])] += ONE
        for x in range(width // 4 * 4, width):
            tables[np.uint64(row_bins[x])] += ONE


@njit(nogil=True, cache=True)
def _slot(value: Any, classes: Any, ignore: Any) -> Any:
    """0..K-1 for a class, K for the ignore id, K + 1 for anything else; all uint32."""
    narrow = np.uint32(value)
    other = classes if narrow == ignore else np.uint32(classes + ONE)
    return narrow if narrow < classes and np.int64(value) == np.int64(narrow) else other


def _is_packed(ids: Array) -> bool:
    """Whether a map can be read as 64-bit words."""
    return ids.dtype == np.uint8 and ids.flags.c_contiguous and ids.ctypes.data % 8 == 0


def _byte_ids(classes: int, ignore: int) -> tuple[Array, Array]:
    """Rows of the result, and the byte that stands for each."""
    ids = np.append(np.arange(classes), ignore)
    rows = np.flatnonzero(ids < 256)
    return rows, ids[rows]


def cuts(length: int, parts: int, multiple: int = 1) -> list[slice]:
    """`parts` slices of nearly equal length that begin at multiples of `multiple`."""
    edges = [length * part // parts // multiple * multiple for part in range(parts)] + [length]
    return [slice(a, b) for a, b in pairwise(edges)]


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
