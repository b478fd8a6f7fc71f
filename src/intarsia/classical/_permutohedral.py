"""Gaussian filtering of many points in few operations: a permutohedral lattice. Importing this file imports numba.

Adams, Baek, Davis, "Fast high-dimensional filtering using the permutohedral lattice", Eurographics 2010.

Idea: y_i = sum_j exp(-|f_i - f_j|^2 / 2) x_j without its N^2 terms. Points in d dimensions are lifted to the plane of R^(d+1)
whose coordinates add to 0, which the lattice cuts into simplices; each point hands its value to the d + 1 corners around it
(splat), corners are blurred with [1/2, 1, 1/2] along d + 1 axes, and each point reads from its corners (slice).

The points of a corner are listed, so splat is a gather as blur and slice are: each sum is taken by one thread in a fixed order,
and runs are equal to the bit, whatever the threads. These are Python's own, as the loops release the interpreter; they sleep
where OpenMP's would spin.

Limits: the filter is approximate, and keeps 0.9 (d = 2) to 0.5 (d = 5) of the Gaussian's mass on pictures; normalise where the
weight matters. A point is its own neighbour. The axes are blurred one after the other, so the filter is not quite symmetric.
Corners that hold no point pass nothing on, so few points in many dimensions are filtered more narrowly.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numba import njit

from intarsia.core import Array, SettingsError

__all__ = ["Lattice", "Normalization", "in_blocks", "permutohedral"]

Normalization = Literal["symmetric", "before", "after", "none"]

BLOCK = 8192  # points or corners that a thread takes at a time
MIXER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: neighbouring keys land far apart


def in_blocks(task: Callable[[int, int], object], size: int, pool: Executor | None, block: int = BLOCK) -> None:
    """Call `task(start, stop)` for consecutive blocks of 0..size, in the threads of a pool or one after the other."""
    starts = range(0, size, block)
    stops = [min(start + block, size) for start in starts]
    if pool is None or len(starts) < 2:
        for start, stop in zip(starts, stops, strict=True):
            task(start, stop)
    else:
        list(pool.map(task, starts, stops))


@dataclass(frozen=True, eq=False)
class Lattice:
    """The filter of N points in d dimensions by M corners, as a linear map K of N values.

    Args:
        corners: (N, d + 1) int32, the corners around each point.
        shares: (N, d + 1) float32, barycentric: what of the point belongs to each, adding to 1.
        first: (M + 1,) int64, where each corner's entries begin.
        entries: (N (d + 1),) int32, positions in the flat `corners`, by corner.
        neighbours: (d + 1, M, 2) int32, the corners before and after along each axis; M stands for none.
        before: (N,) float32, what values are multiplied with before the filter.
        after: (N,) float32, and after it.
    """

    corners: Array
    shares: Array
    first: Array
    entries: Array
    neighbours: Array
    before: Array
    after: Array

    def __len__(self) -> int:
        return len(self.first) - 1

    def filter(self, values: Array, *, transpose: bool = False, pool: Executor | None = None) -> Array:
        """K applied to values (N, C) float32, or its transpose (for gradients); returns the same shape."""
        out = np.zeros_like(values)
        blurred = self.blur(values, transpose=transpose, pool=pool)
        in_blocks(lambda a, b: self.slice(blurred, out[a:b], a, transpose=transpose), len(values), pool)
        return out

    def blur(self, values: Array, *, transpose: bool = False, pool: Executor | None = None) -> Array:
        """Splat values (N, C) float32 and blur them: (M + 1, C), of which the last row is 0."""
        size = len(self)
        scale = self.after if transpose else self.before
        here, there = (np.zeros((size + 1, values.shape[1]), np.float32) for _ in range(2))
        in_blocks(partial(_splat, values, self.shares, scale, self.first, self.entries, here), size, pool)
        for axis in self.neighbours[::-1] if transpose else self.neighbours:
            in_blocks(partial(_blur, here, axis, there), size, pool)
            here, there = there, here
        return here

    def slice(self, blurred: Array, out: Array, start: int, *, factor: float = 1.0, transpose: bool = False) -> None:
        """Add `factor` times the filtered values of the points from `start` on to out (n, C)."""
        stop = start + len(out)
        scale = self.before if transpose else self.after
        _slice(blurred, self.corners[start:stop], self.shares[start:stop], scale[start:stop], float(factor), out)


def permutohedral(features: Array, normalization: Normalization = "symmetric", *, pool: Executor | None = None) -> Lattice:
    """The lattice of points, with the normalisation folded into the weights of splat and slice.

    With K the raw filter, scaled as in the paper, and D the diagonal of its row sums K 1: "symmetric" is D^-1/2 K D^-1/2,
    "before" K D^-1, "after" D^-1 K (a weighted mean of neighbours), "none" K.

    Args:
        features: (N, d) finite, each dimension divided by the standard deviation of the Gaussian along it; d is at least 1.
        normalization: which of the four.
        pool: threads that share the work.

    Raises:
        SettingsError: features of another shape, not finite, or so wide that a corner has no 62-bit name.
    """
    features = np.ascontiguousarray(features, np.float32)
    if features.ndim != 2 or 0 in features.shape or not np.isfinite(features).all():
        raise SettingsError(f"The features of a lattice have shape {features.shape}; (N, d) finite numbers are expected.")
    lift = _lift(features.shape[1])
    base, strides = _names(features, lift)
    corners, shares, names, slots = _enclose(features, lift, base, strides, pool)
    first, entries = _list_entries(corners.ravel(), len(names))
    neighbours = np.empty((len(lift), len(names), 2), np.int32)
    for axis, step in enumerate(_steps(features.shape[1]) @ strides):
        in_blocks(partial(_look_up, names, slots, step, neighbours[axis]), len(names), pool)
    ones = np.ones(len(features), np.float32)
    alpha = np.float32(1 / (1 + 2.0 ** -features.shape[1]))  # undoes the gain of the blur, as in the authors' code
    lattice = Lattice(corners, shares, first, entries, neighbours, ones, ones * alpha)
    if normalization == "none":
        return lattice
    share = alpha / lattice.filter(ones[:, None], pool=pool)[:, 0]
    root = np.sqrt(share)
    scales: dict[Normalization, tuple[Array, Array]] = {
        "symmetric": (root, root),
        "before": (share, ones),
        "after": (ones, share),
    }
    return Lattice(corners, shares, first, entries, neighbours, *scales[normalization])


def _lift(d: int) -> Array:
    """(d + 1, d): features to the hyperplane, scaled so that the blur of the lattice has the standard deviation 1 of features."""
    lift = np.triu(np.ones((d + 1, d)))
    lift[np.arange(1, d + 1), np.arange(d)] = -np.arange(1, d + 1)
    return np.asarray(lift * np.sqrt(2 / 3) * (d + 1) / np.sqrt(np.arange(1, d + 1) * np.arange(2, d + 2)))


def _names(features: Array, lift: Array) -> tuple[Array, Array]:
    """Base and stride of the d numbers that make up a corner's name.

    All coordinates of a corner are congruent modulo d + 1, so c_0 and (c_k - c_0) / (d + 1), k = 1 .. d - 1, are whole and tell
    it from the others (the last coordinate follows from their sum). In a mixed radix wide enough for neighbours beyond the
    border, a step along an axis is the same difference of names everywhere.
    """
    d = features.shape[1]
    rows = np.concatenate([lift[:1], (lift[1:d] - lift[0]) / (d + 1)])
    low, high = features.min(0).astype(np.float64), features.max(0).astype(np.float64)
    rim = np.array([4 * (d + 1)] + [4] * (d - 1))  # a corner lies less than d + 1 from its point in any coordinate
    base = np.floor(np.minimum(rows * low, rows * high).sum(1)) - rim
    spans = np.ceil(np.maximum(rows * low, rows * high).sum(1)) + rim - base + 1
    if np.log2(spans).sum() > 62:
        raise SettingsError(
            f"The {d} features span {', '.join(f'{v:.0f}' for v in high - low)} standard deviations, "
            "more than a lattice can number. Give the narrowest a larger standard deviation."
        )
    return base.astype(np.int64), np.cumprod(np.concatenate([[1], spans[:-1]])).astype(np.int64)


def _steps(d: int) -> Array:
    """(d + 1, d): what a step along each axis, -1 in all coordinates and + d in its own, adds to the numbers of a name."""
    steps = np.eye(d + 1, d, dtype=np.int64)
    steps[:, 0] = -1
    steps[0] = -1
    steps[0, 0] = d
    return steps


def _enclose(
    features: Array, lift: Array, base: Array, strides: Array, pool: Executor | None
) -> tuple[Array, Array, Array, Array]:
    """Corners and shares of each point, the M names of corners in order of first occurrence, and the table that finds them."""
    shape = (len(features), len(lift))
    corners, shares = np.empty(shape, np.int32), np.empty(shape, np.float32)
    rows = 4 * BLOCK
    found = np.empty((min(rows, shape[0]), shape[1]), np.int64)
    names, slots, count = np.empty(0, np.int64), np.empty(0, np.int32), 0
    for start in range(0, shape[0], rows):
        stop = min(start + rows, shape[0])
        part = found[: stop - start]
        in_blocks(partial(_simplex, features[start:stop], lift, base, strides, shares[start:stop], part), len(part), pool)
        room = 1 << int(2 * (count + part.size) - 1).bit_length()  # at least twice as many as there may be
        if room > len(slots):
            names = np.concatenate([names[:count], np.empty(room // 2 - count, np.int64)])
            slots = _table(names, count, room)
        count = _number(part, names, slots, count, corners[start:stop])
    return corners, shares, names[:count].copy(), slots


@njit(cache=True, nogil=True)
def _simplex(
    features: Array, lift: Array, base: Array, strides: Array, shares: Array, names: Array, start: int, stop: int
) -> None:
    """Names of the d + 1 corners of the simplex around each point, and the point's barycentric coordinates."""
    d = features.shape[1]
    point, origin, rank, share = np.empty(d + 1), np.empty(d + 1), np.empty(d + 1, np.int64), np.empty(d + 2)
    for n in range(start, stop):
        total = 0.0
        for i in range(d + 1):
            point[i] = 0.0
            for k in range(d):
                point[i] += lift[i, k] * features[n, k]
            origin[i] = np.floor(point[i] / (d + 1) + 0.5)
            total += origin[i]
            origin[i] *= d + 1
        rank[:] = int(total)  # 0 where the rounded point lies on the hyperplane; else the last ranks move on by d + 1
        for i in range(d + 1):
            for k in range(i + 1, d + 1):
                if point[i] - origin[i] < point[k] - origin[k]:
                    rank[i] += 1
                else:
                    rank[k] += 1
        share[:] = 0.0
        for i in range(d + 1):
            if rank[i] > d:
                rank[i] -= d + 1
                origin[i] -= d + 1
            elif rank[i] < 0:
                rank[i] += d + 1
                origin[i] += d + 1
            rest = (point[i] - origin[i]) / (d + 1)
            share[d - rank[i]] += rest
            share[d + 1 - rank[i]] -= rest
        share[0] += 1.0 + share[d + 1]
        for r in range(d + 1):  # corner r: r more where the rank is at most d - r, d + 1 - r less where it is above
            first = origin[0] + r - (d + 1 if rank[0] > d - r else 0)
            name = (int(first) - base[0]) * strides[0]
            for k in range(1, d):
                at = origin[k] + r - (d + 1 if rank[k] > d - r else 0)
                name += (int(np.round((at - first) / (d + 1))) - base[k]) * strides[k]
            names[n, r] = name
            shares[n, r] = share[r]


@njit(cache=True, nogil=True)
def _slot(name: int, names: Array, slots: Array) -> int:
    """Where a name stands in the table, or the free slot where it would."""
    at = np.int64((np.uint64(name) * MIXER) >> np.uint64(32)) & (len(slots) - 1)
    while slots[at] >= 0 and names[slots[at]] != name:
        at = (at + 1) & (len(slots) - 1)
    return int(at)


@njit(cache=True, nogil=True)
def _table(names: Array, count: int, room: int) -> Array:
    slots = np.full(room, -1, np.int32)
    for number in range(count):
        slots[_slot(names[number], names, slots)] = number
    return slots


@njit(cache=True, nogil=True)
def _number(found: Array, names: Array, slots: Array, count: int, corners: Array) -> int:
    """Number the names that were found, known ones as before; how many there are now."""
    for i in range(found.shape[0]):
        for r in range(found.shape[1]):
            if i and found[i, r] == found[i - 1, r]:  # pixels in a row mostly share their simplex
                corners[i, r] = corners[i - 1, r]
                continue
            at = _slot(found[i, r], names, slots)
            if slots[at] < 0:
                names[count] = found[i, r]
                slots[at] = count
                count += 1
            corners[i, r] = slots[at]
    return count


@njit(cache=True, nogil=True)
def _list_entries(corners: Array, count: int) -> tuple[Array, Array]:
    """Positions in `corners` sorted by corner, in their order within one, and where each corner's begin: a counting sort."""
    first = np.zeros(count + 1, np.int64)
    for corner in corners:
        first[corner + 1] += 1
    for corner in range(count):
        first[corner + 1] += first[corner]
    entries = np.empty(len(corners), np.int32)
    free = first.copy()
    for position, corner in enumerate(corners):
        entries[free[corner]] = position
        free[corner] += 1
    return first, entries


@njit(cache=True, nogil=True)
def _look_up(names: Array, slots: Array, step: int, out: Array, start: int, stop: int) -> None:
    for m in range(start, stop):
        for side in range(2):
            number = slots[_slot(names[m] + (step if side else -step), names, slots)]
            out[m, side] = number if number >= 0 else len(names)


@njit(cache=True, nogil=True)
def _splat(values: Array, shares: Array, scale: Array, first: Array, entries: Array, out: Array, start: int, stop: int) -> None:
    flat = shares.ravel()
    width = shares.shape[1]
    for m in range(start, stop):
        target = out[m]
        for e in range(first[m], first[m + 1]):
            point = entries[e] // width
            weight, source = flat[entries[e]] * scale[point], values[point]
            for c in range(len(target)):
                target[c] += weight * source[c]


@njit(cache=True, nogil=True)
def _blur(source: Array, neighbours: Array, out: Array, start: int, stop: int) -> None:
    half = np.float32(0.5)
    for m in range(start, stop):
        here, left, right, target = source[m], source[neighbours[m, 0]], source[neighbours[m, 1]], out[m]
        for c in range(len(target)):
            target[c] = here[c] + half * (left[c] + right[c])


@njit(cache=True, nogil=True)
def _slice(blurred: Array, corners: Array, shares: Array, scale: Array, factor: float, out: Array) -> None:
    for n in range(len(out)):
        target = out[n]
        for r in range(corners.shape[1]):
            weight, source = shares[n, r] * scale[n] * np.float32(factor), blurred[corners[n, r]]
            for c in range(len(target)):
                target[c] += weight * source[c]
