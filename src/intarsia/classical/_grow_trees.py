"""Growing decision trees on binned features. Importing this file imports numba.

Breiman, "Random Forests", Machine Learning 2001; Gini impurity as in Breiman, Friedman, Olshen, Stone, "Classification and
Regression Trees", 1984.

Each feature is cut into at most 256 bins of like many points, once for all trees; where it has no more values than that, nothing
is lost. A node sorts its points by the bin of a feature (a counting sort, linear in their number) and tries every border between
two bins. The threshold lies midway between the greatest value on the left and the least on the right.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit

from intarsia.classical._threads import THREADS
from intarsia.classical._trees import Trees
from intarsia.core import Array

__all__ = ["Bins", "bootstrap_counts", "grow_trees"]

MOST_BINS = 256
MULTIPLIER, INCREMENT = np.uint64(6364136223846793005), np.uint64(1442695040888963407)
"""Of a linear congruential generator modulo 2^64 (Knuth, "The Art of Computer Programming" 2, section 3.3.4): cheap in a loop."""


@dataclass(frozen=True, eq=False)
class Bins:
    """How the values of F features fall into bins, of which each feature may have another number.

    Args:
        lowest: (F, 256) float32 least value of each bin that was seen, ascending; infinite for bins that a feature has not.
        highest: (F, 256) float32 greatest value of each bin that was seen.
    """

    lowest: Array
    highest: Array

    @classmethod
    def of(cls, points: Array) -> Bins:
        """Bins for the features of (F, N) float32 points: their values, or of more than 256 the quantiles."""
        lowest = np.full((len(points), MOST_BINS), np.inf, np.float32)
        highest = lowest.copy()
        for row, values in enumerate(points):
            ordered = np.sort(values)
            starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
            if len(starts) > MOST_BINS:
                wanted = ordered[np.arange(MOST_BINS) * len(ordered) // MOST_BINS]
                starts = np.unique(np.searchsorted(ordered, wanted))
            lowest[row, : len(starts)] = ordered[starts]
            highest[row, : len(starts)] = ordered[np.append(starts[1:], len(ordered)) - 1]
        return cls(lowest, highest)

    def sort(self, points: Array) -> Array:
        """(F, N) uint8 bins of (F, N) points; values below the first bin are in it."""
        codes = [np.searchsorted(low, values, side="right") for low, values in zip(self.lowest, points, strict=True)]
        return np.stack([(code - 1).clip(0, MOST_BINS - 1).astype(np.uint8) for code in codes])


def bootstrap_counts(groups: Array, trees: int, rng: np.random.Generator) -> Array:
    """(T, N) int32, how often each of N points is drawn for each tree: groups are drawn with replacement, as many as there are.

    Args:
        groups: (N,) integer group of each point, from 0; each point a group of its own is Breiman's bootstrap.
        trees: T.
        rng: what draws.
    """
    count = int(groups.max()) + 1
    drawn = [np.bincount(rng.integers(count, size=count), minlength=count)[groups] for _ in range(trees)]
    return np.stack(drawn).astype(np.int32)


def grow_trees(
    points: Array,
    labels: Array,
    weights: Array,
    *,
    classes: int,
    bins: Bins | None = None,
    candidates: int,
    depth: int,
    min_leaf: int,
    rng: np.random.Generator,
    threads: int = THREADS,
) -> Trees:
    """Grow a tree for each row of weights.

    Args:
        points: (F, N) float32.
        labels: (N,) integer classes, below `classes`.
        weights: (T, N), not negative; a tree does not see points of weight 0.
        classes: K.
        bins: of the features; None makes them from the points.
        candidates: features that a node looks at, drawn anew for each; those that are constant there do not count.
        depth: decisions at most.
        min_leaf: points in a leaf at least.
        rng: what draws candidates.
        threads: that share the trees. The trees do not depend on it.

    Returns:
        T trees.
    """
    bins = Bins.of(points) if bins is None else bins
    codes = bins.sort(points)
    labels = np.asarray(labels, np.int32)
    seeds = rng.integers(2**31, size=len(weights))

    def grow(tree: int) -> Trees:
        weight = np.asarray(weights[tree], np.float64)
        seen = np.flatnonzero(weight > 0).astype(np.int32)
        most = 2 * max(1, len(seen)) - 1
        feature, low, high = np.full(most, -1, np.int16), np.zeros(most, np.uint8), np.zeros(most, np.uint8)
        child, counts = np.zeros(most, np.int32), np.zeros((len(seen) + 1, classes))
        nodes, leaves = _grow(
            codes, labels, weight, seen, candidates, depth, min_leaf, seeds[tree], feature, low, high, child, counts
        )
        feature, low, high, counts = feature[:nodes], low[:nodes], high[:nodes], counts[:leaves]
        left, right = bins.highest[feature, low], bins.lowest[feature, high]
        middle = (left.astype(np.float64) + right) / 2
        threshold = np.where(middle.astype(np.float32) < right, middle.astype(np.float32), left)  # never up to the right one
        threshold = np.where(feature < 0, np.float32(0), threshold)
        posterior = (counts / counts.sum(1, keepdims=True)).astype(np.float32)
        return Trees(np.zeros(1, np.int32), feature, threshold, child[:nodes], posterior)

    if threads > 1 and len(weights) > 1:
        with ThreadPoolExecutor(threads) as pool:
            return Trees.join(list(pool.map(grow, range(len(weights)))))
    return Trees.join([grow(tree) for tree in range(len(weights))])


@njit(nogil=True, cache=True)
def _grow(
    codes: Array,
    labels: Array,
    weight: Array,
    seen: Array,
    candidates: int,
    depth: int,
    min_leaf: int,
    seed: int,
    feature: Array,
    low: Array,
    high: Array,
    child: Array,
    counts: Array,
) -> tuple[int, int]:
    """Fill the arrays of one tree, whose nodes come in the order of breadth; return how many nodes and leaves it has.

    `seen` is reordered so that the points of each node lie together. At an inner node `low` and `high` are the bins on the two
    sides of the border.
    """
    state = np.uint64(seed)
    features, classes = len(codes), counts.shape[1]
    order, queue = np.arange(features), np.zeros((len(feature), 3), np.int64)
    queue[0] = 0, len(seen), 0
    nodes, leaves, node = 1, 0, 0
    totals, left = np.zeros(classes), np.zeros(classes)
    spare = np.empty(len(seen), np.int32)
    while node < nodes:
        start, stop, level = queue[node]
        totals[:] = 0
        for i in range(start, stop):
            totals[labels[seen[i]]] += weight[seen[i]]
        total, squares = totals.sum(), (totals * totals).sum()
        best, chosen, middle = -1.0, -1, 0
        if level < depth and stop - start >= 2 * min_leaf and totals.max() < total:
            looked = 0
            for drawn in range(features):
                state = state * MULTIPLIER + INCREMENT
                other = drawn + np.int64((state >> np.uint64(33)) % np.uint64(features - drawn))
                order[drawn], order[other] = order[other], order[drawn]
                code = codes[order[drawn]]
                if not _sort(code, seen, start, stop, spare):
                    continue
                left[:] = 0
                left_total, left_squares, right_squares = 0.0, 0.0, squares
                for i in range(start, stop - min_leaf):
                    point = spare[i]
                    c, w = labels[point], weight[point]
                    left_squares += w * (2 * left[c] + w)
                    right_squares -= w * (2 * (totals[c] - left[c]) - w)
                    left[c] += w
                    left_total += w
                    if i + 1 - start < min_leaf or code[point] == code[spare[i + 1]]:
                        continue
                    score = left_squares / left_total + right_squares / (total - left_total)
                    if score > best * (1 + 1e-12):  # the first of equals, whatever the rounding
                        best, chosen, middle = score, order[drawn], i + 1
                        low[node], high[node] = code[point], code[spare[i + 1]]
                looked += 1
                if looked >= candidates:
                    break
        if chosen < 0:
            child[node] = leaves
            counts[leaves] = totals
            leaves += 1
        else:
            _sort(codes[chosen], seen, start, stop, spare)
            seen[start:stop] = spare[start:stop]
            feature[node], child[node] = chosen, nodes
            queue[nodes] = start, middle, level + 1
            queue[nodes + 1] = middle, stop, level + 1
            nodes += 2
        node += 1
    return nodes, leaves


@njit(nogil=True, cache=True)
def _sort(code: Array, seen: Array, start: int, stop: int, spare: Array) -> bool:
    """Put `seen[start:stop]` by rising code into `spare[start:stop]`; False if all have one code."""
    place = np.zeros(257, np.int64)
    for i in range(start, stop):
        place[code[seen[i]] + 1] += 1
    if place[code[seen[start]] + 1] == stop - start:
        return False
    for value in range(256):
        place[value + 1] += place[value]
    for i in range(start, stop):
        point = seen[i]
        spare[start + place[code[point]]] = point
        place[code[point]] += 1
    return True
