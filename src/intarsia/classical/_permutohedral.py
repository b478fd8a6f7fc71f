"""Gaussian filtering of many points in few operations: a permutohedral lattice. Importing this file imports numba.

Adams, Baek, Davis, "Fast high-dimensional filtering using the permutohedral lattice", Eurographics 2010.

Idea: y_i = sum_j exp(-|f_i - f_j|^2 / 2) x_j without its N^2 terms. Points in d dimensions are lifted to the plane of R^(d+1)
whose coordinates add to 0, which the lattice cuts into simplices; each point hands its value to the d + 1 corners around it
(splat), corners are blurred with [1/2, 1, 1/2] along d + 1 axes, and each point reads from its corners (slice).

The points are cut into parts, by their number alone, and each part numbers its corners anew: one thread at a time adds up a
part's values there, and a corner of the lattice gathers what the parts have. So each sum is taken in a fixed order, and runs are
equal to the bit, whatever the threads. These are Python's own, as the loops release the interpreter; they sleep where OpenMP's
would spin.

Limits: the filter is approximate, and keeps 0.9 (d = 2) to 0.5 (d = 5) of the Gaussian's mass on pictures; normalise where the
weight matters. A point is its own neighbour. The axes are blurred one after the other, so the filter is not quite symmetric.
Corners that hold no point pass nothing on, so few points in many dimensions are filtered more narrowly.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import Any, Literal

import numpy as np
from numba import njit

from intarsia.core import Array, SettingsError

__all__ = ["FEW_VALUES", "Lattice", "Normalization", "in_blocks", "in_parts", "permutohedral"]

Normalization = Literal["symmetric", "before", "after", "none"]

MOST_PARTS, SMALL_PART = 8, 16384  # more threads than parts find no work in splat; a small part is not worth a thread
FEW_VALUES = 1 << 20  # in the corners of a lattice, below which its blur is faster without waiting for threads at each axis
MIXER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: neighbouring keys land far apart


def in_blocks(task: Callable[[int, int], object], size: int, pool: Executor | None, least: int = SMALL_PART) -> None:
    """Call `task(start, stop)` for consecutive blocks of 0..size, in the threads of a pool or one after the other."""
    block = max(least, -(-size // MOST_PARTS))
    starts = range(0, size, block)
    stops = [min(start + block, size) for start in starts]
    run = map if pool is None or len(starts) < 2 else pool.map
    list(run(task, starts, stops))


def in_parts(task: Callable[[int, int, int], object], size: int, pool: Executor | None) -> list[Any]:
    """The results of `task(part, start, stop)` for the parts of 0..size, in the threads of a pool or one after the other."""
    parts = range(min(max(size // SMALL_PART, 1), MOST_PARTS))
    bounds = [size * part // len(parts) for part in (*parts, len(parts))]
    run = map if pool is None or len(parts) < 2 else pool.map
    return list(run(task, parts, bounds[:-1], bounds[1:]))


@dataclass(frozen=True, eq=False)
class Lattice:
    """The filter of N points in d dimensions by M corners, as a linear map K of N values.

    Args:
        corners: (N, d + 1) int32, the corners around each point, in the numbering of its part.
        shares: (N, d + 1) float32, barycentric: what of the point belongs to each, adding to 1.
        members: (S,) int32, the corners of one part after the other, in the numbering of the lattice.
        starts: where in `members` each part begins, and where the last one ends.
        first: (M + 1,) int64, where each corner's entries begin.
        entries: (S,) int32, positions in `members`, by corner of the lattice.
        neighbours: (d + 1, M, 2) int32, the corners before and after along each axis; M stands for none.
        before: (N,) float32, what values are multiplied with before the filter.
        after: (N,) float32, and after it.
    """

    corners: Array
    shares: Array
    members: Array
    starts: list[int]
    first: Array
    entries: Array
    neighbours: Array
    before: Array
    after: Array

    def __len__(self) -> int:
        return len(self.first) - 1

    def filter(self, values: Array, *, transpose: bool = False, pool: Executor | None = None) -> Array:
        """K applied to values (N, C) of float32 or float64, or its transpose (for gradients); returns the same."""
        out, sums = np.zeros_like(values), np.zeros((len(self.members), values.shape[1]), values.dtype)
        in_parts(lambda part, a, b: self.splat(values[a:b], sums, part, a, transpose=transpose), len(values), pool)
        blurred = self.blur(sums, transpose=transpose, pool=pool)
        in_parts(lambda part, a, b: self.slice(blurred, out[a:b], part, a, transpose=transpose), len(values), pool)
        return out

    def splat(self, values: Array, sums: Array, part: int, start: int, *, transpose: bool = False) -> None:
        """Add values (n, C) of the points of a part from `start` on to the sums (S, C) of the parts' corners."""
        stop = start + len(values)
        scale = (self.after if transpose else self.before)[start:stop]
        of_part = sums[self.starts[part] : self.starts[part + 1]]
        _splat(values, self.corners[start:stop], self.shares[start:stop], scale, of_part)

    def blur(self, sums: Array, *, transpose: bool = False, pool: Executor | None = None) -> Array:
        """The sums (S, C) of all parts, gathered and blurred: (M + 1, C), of which the last row is 0."""
        size = len(self)
        here, there = (np.empty((size + 1, sums.shape[1]), sums.dtype) for _ in range(2))
        here[size] = there[size] = 0
        least = FEW_VALUES // sums.shape[1]
        in_blocks(partial(_gather, sums, self.first, self.entries, here), size, pool, least)
        for axis in self.neighbours[::-1] if transpose else self.neighbours:
            in_blocks(partial(_blur, here, axis, there), size, pool, least)
            here, there = there, here
        return here

    def slice(self, blurred: Array, out: Array, part: int, start: int, *, factor: float = 1, transpose: bool = False) -> None:
        """Add `factor` times the filtered values of the points of a part from `start` on to out (n, C)."""
        stop = start + len(out)
        scale = (self.before if transpose else self.after)[start:stop]
        members = self.members[self.starts[part] : self.starts[part + 1]]
        _slice(blurred, members, self.corners[start:stop], self.shares[start:stop], scale, float(factor), out)


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
    if features.ndim != 2 or 0 in features.shape:
        raise SettingsError(f"The features of a lattice have shape {features.shape}; (N, d) finite numbers are expected.")
    lift = _lift(features.shape[1])
    ranges = np.array(in_parts(lambda part, a, b: _range(features[a:b]), len(features), pool))
    base, strides = _names(ranges[:, 0].min(0), ranges[:, 1].max(0), lift)
    steps = _steps(features.shape[1]) @ strides
    shape = (len(features), len(lift))
    corners, shares = np.empty(shape, np.int32), np.empty(shape, np.float32)

    def enclose(part: int, a: int, b: int) -> Array:
        return _enclose(features[a:b], lift, base, strides, steps, corners[a:b], shares[a:b])

    found: list[Array] = in_parts(enclose, len(features), pool)
    members, names, slots = _number(np.concatenate(found))
    first, entries = _list_entries(members, len(names))
    neighbours = np.empty((len(lift), len(names), 2), np.int32)
    for axis, step in enumerate(steps):
        in_blocks(partial(_look_up, names, slots, step, neighbours[axis]), len(names), pool)
    ones = np.ones(len(features), np.float32)
    alpha = np.float32(1 / (1 + 2.0 ** -features.shape[1]))  # undoes the gain of the blur, as in the authors' code
    starts = [0, *accumulate(len(names) for names in found)]
    lattice = Lattice(corners, shares, members, starts, first, entries, neighbours, ones, ones * alpha)
    if normalization == "none":
        return lattice
    share = alpha / lattice.filter(ones[:, None], pool=pool)[:, 0]
    root = np.sqrt(share)
    scales: dict[Normalization, tuple[Array, Array]] = {
        "symmetric": (root, root),
        "before": (share, ones),
        "after": (ones, share),
    }
    before, after = scales[normalization]
    return replace(lattice, before=before, after=after)


def _lift(d: int) -> Array:
    """(d + 1, d): features to the hyperplane, scaled so that the blur of the lattice has the standard deviation 1 of features."""
    lift = np.triu(np.ones((d + 1, d)))
    lift[np.arange(1, d + 1), np.arange(d)] = -np.arange(1, d + 1)
    return np.asarray(lift * np.sqrt(2 / 3) * (d + 1) / np.sqrt(np.arange(1, d + 1) * np.arange(2, d + 2)))


def _names(low: Array, high: Array, lift: Array) -> tuple[Array, Array]:
    """Base and stride of the d numbers that make up a corner's name, for features between `low` and `high`.

    All coordinates of a corner are congruent modulo d + 1, so c_0 and (c_k - c_0) / (d + 1), k = 1 .. d - 1, are whole and tell
    it from the others (the last coordinate follows from their sum). In a mixed radix wide enough for neighbours beyond the
    border, a step along an axis is the same difference of names everywhere.
    """
    if not np.isfinite(high - low).all():
        raise SettingsError("The features of a lattice are not all finite numbers.")
    d = len(low)
    rows = np.concatenate([lift[:1], (lift[1:d] - lift[0]) / (d + 1)])
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


@njit(cache=True, nogil=True)
def _range(features: Array) -> Array:
    """(2, d) float64: lowest and highest of each feature, NaN where one is not finite."""
    found = np.empty((2, features.shape[1]))
    found[0], found[1] = np.inf, -np.inf
    for point in features:
        for k in range(len(point)):
            found[0, k] = min(found[0, k], point[k])
            found[1, k] = max(found[1, k], point[k])
            if not np.isfinite(point[k]):
                found[:] = np.nan
                return found
    return found


@njit(cache=True, nogil=True)
def _enclose(features: Array, lift: Array, base: Array, strides: Array, steps: Array, corners: Array, shares: Array) -> Array:
    """Corners and shares of the points of a part; returns the names of its corners, in order of first occurrence."""
    width = len(lift)
    point, origin, rank = np.empty(width), np.empty(width), np.empty(width, np.int64)
    share, found, known = np.empty(width + 1), np.empty(width, np.int64), np.empty(width, np.int64)
    names, count = np.empty(1024, np.int64), 0
    slots = _table(names, 0)
    for n in range(len(features)):
        _simplex(features[n], lift, point, origin, rank, share)
        name = (np.int64(origin[0]) * width - base[0]) * strides[0]
        for k in range(1, width - 1):
            name += (np.int64(origin[k] - origin[0]) - base[k]) * strides[k]
        for k in range(width):
            found[width - 1 - rank[k]] = steps[k]
        if count + width > len(names):
            names = np.concatenate((names, names))
            slots = _table(names, count)
        for r in range(width):
            step, shares[n, r] = found[r], share[r]
            if n and name == known[r]:  # pixels in a row mostly share their simplex
                corners[n, r] = corners[n - 1, r]
            else:
                known[r] = name
                at = _slot(name, names, slots)
                if slots[at] < 0:
                    names[count], slots[at] = name, count
                    count += 1
                corners[n, r] = slots[at]
            name -= step
    return names[:count].copy()


@njit(inline="always")
def _simplex(feature: Array, lift: Array, point: Array, origin: Array, rank: Array, share: Array) -> None:
    """The simplex around a point: `origin` times d + 1 is its corner of remainder 0, and `share` the barycentric coordinates.

    From corner r to r + 1 leads the step against the axis of rank d - r.
    """
    d = len(feature)
    total = 0.0
    for i in range(d + 1):
        point[i] = 0.0
        for k in range(d):
            point[i] += lift[i, k] * feature[k]
        origin[i] = np.floor(point[i] / (d + 1) + 0.5)
        total += origin[i]
        point[i] -= origin[i] * (d + 1)
    rank[:] = np.int64(total)  # 0 where the rounded point lies on the hyperplane; else the last ranks move on by d + 1
    for i in range(d + 1):
        for k in range(i + 1, d + 1):
            less = np.int64(point[i] < point[k])
            rank[i] += less
            rank[k] += 1 - less
    share[:] = 0.0
    for i in range(d + 1):
        turns = np.int64(rank[i] < 0) - np.int64(rank[i] > d)
        rank[i] += turns * (d + 1)
        origin[i] += turns
        rest = point[i] / (d + 1) - turns
        share[d - rank[i]] += rest
        share[d + 1 - rank[i]] -= rest
    share[0] += 1.0 + share[d + 1]


@njit(cache=True, nogil=True)
def _slot(name: int, names: Array, slots: Array) -> int:
    """Where a name stands in the table, or the free slot where it would."""
    at = np.int64((np.uint64(name) * MIXER) >> np.uint64(32)) & (len(slots) - 1)
    while slots[at] >= 0 and names[slots[at]] != name:
        at = (at + 1) & (len(slots) - 1)
    return int(at)


@njit(cache=True, nogil=True)
def _table(names: Array, count: int) -> Array:
    """The table of the first `count` names, with room for twice as many as `names` holds."""
    room = 2
    while room < 2 * len(names):
        room *= 2
    slots = np.full(room, -1, np.int32)
    for number in range(count):
        slots[_slot(names[number], names, slots)] = number
    return slots


@njit(cache=True, nogil=True)
def _number(found: Array) -> tuple[Array, Array, Array]:
    """Number of each name, the names in order of first occurrence, and the table that finds them."""
    names, numbers, count = np.empty_like(found), np.empty(len(found), np.int32), 0
    slots = _table(names, 0)
    for i in range(len(found)):
        at = _slot(found[i], names, slots)
        if slots[at] < 0:
            names[count], slots[at] = found[i], count
            count += 1
        numbers[i] = slots[at]
    return numbers, names[:count].copy(), slots


@njit(cache=True, nogil=True)
def _list_entries(members: Array, count: int) -> tuple[Array, Array]:
    """Positions in `members` sorted by corner, in their order within one, and where each corner's begin: a counting sort."""
    first = np.zeros(count + 1, np.int64)
    for corner in members:
        first[corner + 1] += 1
    for corner in range(count):
        first[corner + 1] += first[corner]
    entries = np.empty(len(members), np.int32)
    free = first.copy()
    for position, corner in enumerate(members):
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
def _splat(values: Array, corners: Array, shares: Array, scale: Array, sums: Array) -> None:
    for n in range(len(values)):
        source = values[n]
        for r in range(corners.shape[1]):
            weight, target = shares[n, r] * scale[n], sums[corners[n, r]]
            for c in range(len(source)):
                target[c] += weight * source[c]


@njit(cache=True, nogil=True)
def _gather(sums: Array, first: Array, entries: Array, out: Array, start: int, stop: int) -> None:
    for m in range(start, stop):
        target, part = out[m], sums[entries[first[m]]]
        for c in range(len(target)):
            target[c] = part[c]
        for e in range(first[m] + 1, first[m + 1]):
            part = sums[entries[e]]
            for c in range(len(target)):
                target[c] += part[c]


@njit(cache=True, nogil=True)
def _blur(source: Array, neighbours: Array, out: Array, start: int, stop: int) -> None:
    half = np.float32(0.5)
    for m in range(start, stop):
        here, left, right, target = source[m], source[neighbours[m, 0]], source[neighbours[m, 1]], out[m]
        for c in range(len(target)):
            target[c] = here[c] + half * (left[c] + right[c])


@njit(cache=True, nogil=True)
def _slice(blurred: Array, members: Array, corners: Array, shares: Array, scale: Array, factor: float, out: Array) -> None:
    for n in range(len(out)):
        target = out[n]
        for r in range(corners.shape[1]):
            weight, source = shares[n, r] * scale[n] * np.float32(factor), blurred[members[corners[n, r]]]
            for c in range(len(target)):
                target[c] += weight * source[c]
