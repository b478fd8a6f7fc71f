"""The kernels that find where classes or regions meet. Importing this file imports numba; they compile on first use.

One pass finds the edges of all classes at once, where a loop over masks would take one pass for each.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from intarsia.core import Array

__all__ = ["bands", "count_in_bands", "count_near", "count_pairs_in_bands", "edges"]


def edges(ids: Array, truth: Array, ignored: int, *, corners: bool = False, border: bool = False) -> Array:
    """Pixels with a neighbour of another id. Pixels without truth are no edge and make none.

    Args:
        ids: (H, W) integer.
        truth: (H, W) integer, which says where there is a truth; may be `ids` itself.
        ignored: the id in `truth` of pixels without truth.
        corners: whether the four neighbours across a corner count beside those across a side.
        border: whether the outside of the image counts as another id.

    Returns:
        (H, W) uint8, 1 on an edge.
    """
    marks = np.zeros(ids.shape, np.uint8)
    _mark(ids, truth, ignored, corners, border, marks)
    return marks


def bands(marks: Array, width: int) -> Array:
    """Pixels within `width` - 1 steps of an edge, along rows, columns and diagonals: what `width` erosions take away.

    Args:
        marks: (H, W) uint8 from `edges` with corners; written over.
        width: at least 1.

    Returns:
        (H, W) uint8, 1 in the band.
    """
    if width == 1 or not marks.size:
        return marks
    import cv2

    side = 2 * width - 1
    return np.asarray(cv2.dilate(marks, np.ones((side, side), np.uint8), dst=marks))


def count_in_bands(truth: Array, prediction: Array, true_band: Array, predicted_band: Array, ignored: int, classes: int) -> Array:
    """(3, K) int64 pixels of each class in both bands, in the band of the truth, and in that of the prediction."""
    tallies = np.zeros((3, classes), np.int64)
    _tally_bands(truth, prediction, true_band, predicted_band, ignored, tallies)
    return tallies


def count_pairs_in_bands(one: Array, one_band: Array, other: Array, other_band: Array, one_ids: Array, other_ids: Array) -> Array:
    """Pixels of each pair of ids that lie in both bands.

    Args:
        one: (H, W) integer.
        one_band: (H, W) uint8.
        other: (H, W) integer.
        other_band: (H, W) uint8.
        one_ids: (P,) sorted, ids of the rows.
        other_ids: (G,) sorted, ids of the columns.

    Returns:
        (P + 1, G + 1) int64; the last row and column count pixels outside the band, or of an id that is not listed.
    """
    counts = np.zeros((len(one_ids) + 1, len(other_ids) + 1), np.int64)
    _pair_bands(one, one_band, other, other_band, one_ids.astype(np.int64), other_ids.astype(np.int64), counts)
    return counts


def count_near(marks: Array, ids: Array, other_marks: Array, other_ids: Array, classes: int, distance: float) -> Array:
    """Edge pixels that have an edge pixel of the same class on the other side, at most `distance` pixels away (Euclidean).

    Args:
        marks: (H, W) uint8 edges.
        ids: (H, W) integer, the class of each pixel; others than 0..K-1 are left out.
        other_marks: (H, W) uint8 edges of the other side.
        other_ids: (H, W) integer.
        classes: K; 0 lets any edge pixel match any other.
        distance: in pixels.

    Returns:
        (2, max(K, 1)) int64 edge pixels that have one, and all edge pixels.
    """
    reach = math.floor(distance)
    steps = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).T
    far = (steps**2).sum(1)
    order = np.argsort(far, kind="stable")
    nearest_first = steps[order[far[order] <= distance**2]]
    counts = np.zeros((2, max(classes, 1)), np.int64)
    _near(marks, ids, other_marks, other_ids, classes, nearest_first, counts)
    return counts


@njit(nogil=True, cache=True)
def _mark(ids: Array, truth: Array, ignored: int, corners: bool, border: bool, marks: Array) -> None:
    height, width = ids.shape
    for y in range(height):
        for x in range(width):
            # Each pair of neighbours is compared once: with the pixel to the right, and with the three below.
            if truth[y, x] == ignored:
                continue
            if border and (y == 0 or x == 0 or y == height - 1 or x == width - 1):
                marks[y, x] = 1
            own = ids[y, x]
            if x + 1 < width and ids[y, x + 1] != own and truth[y, x + 1] != ignored:
                marks[y, x] = marks[y, x + 1] = 1
            if y + 1 == height:
                continue
            if ids[y + 1, x] != own and truth[y + 1, x] != ignored:
                marks[y, x] = marks[y + 1, x] = 1
            if corners:
                if x + 1 < width and ids[y + 1, x + 1] != own and truth[y + 1, x + 1] != ignored:
                    marks[y, x] = marks[y + 1, x + 1] = 1
                if x > 0 and ids[y + 1, x - 1] != own and truth[y + 1, x - 1] != ignored:
                    marks[y, x] = marks[y + 1, x - 1] = 1


@njit(nogil=True, cache=True)
def _tally_bands(truth: Array, prediction: Array, true_band: Array, predicted_band: Array, ignored: int, tallies: Array) -> None:
    height, width = truth.shape
    classes = tallies.shape[1]
    for y in range(height):
        for x in range(width):
            if not (true_band[y, x] | predicted_band[y, x]) or truth[y, x] == ignored:
                continue
            t, p = truth[y, x], prediction[y, x]
            if true_band[y, x]:
                tallies[1, t] += 1
                if predicted_band[y, x] and t == p:
                    tallies[0, t] += 1
            if predicted_band[y, x] and p < classes:
                tallies[2, p] += 1


@njit(nogil=True, cache=True)
def _pair_bands(
    one: Array, one_band: Array, other: Array, other_band: Array, one_ids: Array, other_ids: Array, counts: Array
) -> None:
    height, width = one.shape
    rows, columns = one_ids.size, other_ids.size
    last_one, last_other = np.int64(-1), np.int64(-1)
    row, column = rows, columns
    for y in range(height):
        for x in range(width):
            if not (one_band[y, x] | other_band[y, x]):
                continue
            a = np.int64(one[y, x]) if one_band[y, x] else np.int64(-1)
            b = np.int64(other[y, x]) if other_band[y, x] else np.int64(-1)
            if a != last_one:
                last_one, row = a, int(np.searchsorted(one_ids, a))
                if row < rows and one_ids[row] != a:
                    row = rows
            if b != last_other:
                last_other, column = b, int(np.searchsorted(other_ids, b))
                if column < columns and other_ids[column] != b:
                    column = columns
            counts[row, column] += 1


@njit(nogil=True, cache=True)
def _near(marks: Array, ids: Array, other_marks: Array, other_ids: Array, classes: int, steps: Array, counts: Array) -> None:
    height, width = marks.shape
    for y in range(height):
        for x in range(width):
            if not marks[y, x] or (classes and ids[y, x] >= classes):
                continue
            own = ids[y, x]
            column = np.int64(own) if classes else np.int64(0)
            counts[1, column] += 1
            for step in range(len(steps)):
                v, u = y + steps[step, 0], x + steps[step, 1]
                if 0 <= v < height and 0 <= u < width and other_marks[v, u] and (not classes or other_ids[v, u] == own):
                    counts[0, column] += 1
                    break
