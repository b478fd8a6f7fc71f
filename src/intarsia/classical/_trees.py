"""Decision trees as flat arrays, evaluated together. Importing this file imports numba.

Every node of all trees is one position of the arrays, so trees are saved as they are, without pickle. A point walks from a root
to a leaf; a forest answers with the mean of the class shares in its leaves. Points are taken in blocks, one tree after the other,
so that the tree and the block stay in the cache; blocks are divided among threads, as the walk releases the interpreter.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numba import njit

from intarsia.classical._threads import THREADS
from intarsia.core import Array, BoolArray

__all__ = ["Trees"]

BLOCK = 2048  # points


@dataclass(frozen=True, eq=False)
class Trees:
    """T trees of M nodes and L leaves together, for points of F features and K classes.

    Args:
        roots: (T,) int32 node where each tree begins.
        feature: (M,) int16, what a node looks at; -1 at a leaf.
        threshold: (M,) float32; a point whose feature is greater goes right, any other left.
        child: (M,) int32 left child, the right one being the next node; of a leaf its row in `posterior`.
        posterior: (L, K) float32 class shares, each row adding to 1.

    Raises:
        ValueError: arrays that do not fit together.
    """

    roots: Array
    feature: Array
    threshold: Array
    child: Array
    posterior: Array

    def __post_init__(self) -> None:
        nodes, leaf = len(self.feature), self.feature < 0
        inner = self.child[~leaf] if self.child.shape == (nodes,) else np.array([-1])
        fits = (
            self.threshold.shape == (nodes,)
            and self.posterior.ndim == 2
            and len(self.roots) > 0
            and _within(self.roots, nodes)
            and bool((inner > np.flatnonzero(~leaf)).all())  # children lie behind, so every walk ends
            and _within(inner + 1, nodes)
            and _within(self.child[leaf], len(self.posterior))
        )
        if not fits:
            raise ValueError("the arrays of its trees contradict each other")

    def __len__(self) -> int:
        return len(self.roots)

    @property
    def classes(self) -> int:
        return int(self.posterior.shape[1])

    def predict(self, points: Array, *, skip: BoolArray | None = None, threads: int = THREADS) -> Array:
        """The mean of the trees' class shares.

        Args:
            points: (F, N) float32, one row for each feature: neighbours in an image mostly look at the same one.
            skip: (T, N), trees that are left out for a point, such as those that learnt from it.
            threads: that share the points.

        Returns:
            (N, K) float32, each row adding to 1; a row of zeros for a point that every tree is left out for.
        """
        points = np.ascontiguousarray(points, np.float32)
        left_out = np.zeros((0, 0), np.bool_) if skip is None else skip
        count = points.shape[1]
        sums = np.zeros((count, self.classes), np.float32)

        def walk(start: int) -> None:
            _walk(points, *self._arrays, left_out, start, min(start + BLOCK, count), sums)

        starts = range(0, count, BLOCK)
        if threads > 1 and len(starts) > 1:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(walk, starts))
        else:
            for start in starts:
                walk(start)
        asked = len(self) if skip is None else np.maximum(len(self) - skip.sum(0, dtype=np.int64), 1)[:, None]
        return np.asarray(sums / np.asarray(asked, np.float32))

    def by_vote(self) -> Self:
        """The same trees, each giving one vote to the class with the largest share in its leaf (ties: the first)."""
        return replace(self, posterior=np.eye(self.classes, dtype=np.float32)[self.posterior.argmax(1)])

    def tree(self, number: int) -> Self:
        """One of the trees."""
        return replace(self, roots=self.roots[number : number + 1])

    def path_lengths(self, points: Array) -> Array:
        """(N, T) int32 decisions that each tree takes for each of (F, N) points."""
        lengths = np.zeros((points.shape[1], len(self)), np.int32)
        _measure(np.ascontiguousarray(points, np.float32), self.roots, self.feature, self.threshold, self.child, lengths)
        return lengths

    @property
    def _arrays(self) -> tuple[Array, Array, Array, Array, Array]:
        return self.roots, self.feature, self.threshold, self.child, self.posterior

    def to_arrays(self) -> dict[str, Array]:
        return dict(zip(NAMES, self._arrays, strict=True))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        """Inverse of `to_arrays`.

        Raises:
            KeyError: an array is missing.
            ValueError: they do not fit together.
        """
        return cls(*(arrays[name] for name in NAMES))

    @classmethod
    def join(cls, parts: list[Self]) -> Self:
        """Trees of several objects in one."""
        nodes = np.cumsum([0, *(len(part.feature) for part in parts)])
        leaves = np.cumsum([0, *(len(part.posterior) for part in parts)])
        child = [
            np.where(part.feature < 0, part.child + leaf, part.child + node)
            for part, node, leaf in zip(parts, nodes, leaves, strict=False)
        ]
        return cls(
            np.concatenate([part.roots + node for part, node in zip(parts, nodes, strict=False)]).astype(np.int32),
            np.concatenate([part.feature for part in parts]),
            np.concatenate([part.threshold for part in parts]),
            np.concatenate(child).astype(np.int32),
            np.concatenate([part.posterior for part in parts]),
        )


NAMES = ("roots", "feature", "threshold", "child", "posterior")


def _within(values: Array, count: int) -> bool:
    return not len(values) or (int(values.min()) >= 0 and int(values.max()) < count)


@njit(nogil=True, cache=True)
def _walk(
    points: Array,
    roots: Array,
    feature: Array,
    threshold: Array,
    child: Array,
    posterior: Array,
    left_out: Array,
    start: int,
    stop: int,
    sums: Array,
) -> None:
    """Add the leaves' shares to `sums`. Points that are not at a leaf yet step down together: the processor need not guess."""
    # Indices without a sign: numba checks each one that has it for counting from the end, which takes as long as the walk.
    node, active = np.empty(stop - start, np.uint32), np.empty(stop - start, np.uint32)
    first = np.uint32(start)
    for tree in range(len(roots)):
        waiting = 0
        for i in range(stop - start):
            node[i] = roots[tree]
            active[waiting] = i
            waiting += not (left_out.shape[0] and left_out[tree, start + i])
        asked = active[:waiting].copy()
        if feature[roots[tree]] < 0:
            waiting = 0
        while waiting:
            below = 0
            for j in range(waiting):
                i = active[j]
                here = node[i]
                here = np.uint32(child[here]) + np.uint32(points[np.uint32(feature[here]), first + i] > threshold[here])
                node[i] = here
                active[below] = i
                below += feature[here] >= 0
            waiting = below
        for i in asked:
            leaf = np.uint32(child[node[i]])
            for k in range(np.uint32(posterior.shape[1])):
                sums[first + i, k] += posterior[leaf, k]


@njit(nogil=True, cache=True)
def _measure(points: Array, roots: Array, feature: Array, threshold: Array, child: Array, lengths: Array) -> None:
    for tree in range(len(roots)):
        for i in range(points.shape[1]):
            node = roots[tree]
            while feature[node] >= 0:
                node = child[node] + (points[feature[node], i] > threshold[node])
                lengths[i, tree] += 1
