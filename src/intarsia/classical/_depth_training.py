"""Growing a tree of depth differences, breadth first: all nodes of a level at once, each with its own candidates.

Shotton et al. 2011, section 3.3: of random features and thresholds, a node takes the pair that gains most about the class,
G = H(Q) - sum_s |Q_s| / |Q| H(Q_s) with the entropy H of the classes. For each feature all thresholds are judged in one pass,
from a histogram of classes between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numba import njit

from intarsia.classical._depth_feature import difference
from intarsia.core import Array

__all__ = ["Examples", "Tree", "draw_offsets", "find_splits", "grow_tree"]

_BLOCK = 1024
"""Nodes whose candidates are in memory at a time."""
_LEAST = 1e-9
"""Bits below which a gain is rounding."""
_FEW = 16
"""Nodes of a level, below which the candidates are divided between threads and not the nodes."""


class Examples(NamedTuple):
    """Pixels to learn from.

    images: (I, H + 2, W + 2) uint16 millimetres, see `with_far`.
    pixels: (N, 3) int32 image, y and x there; training is quickest if they are sorted by image.
    label: (N,) class ids.
    """

    images: Array
    pixels: Array
    label: Array


class Tree(NamedTuple):
    """A tree with its nodes in order of depth.

    offsets: (M, 4) float32, the feature of each node that asks.
    thresholds: (M,) int32 millimetres; what is larger goes to the second child.
    children: (M,) int32, the first of two children that follow each other; -leaf where it ends.
    counts: (L, K) int32 pixels of each class in each leaf.
    """

    offsets: Array
    thresholds: Array
    children: Array
    counts: Array


def grow_tree(
    examples: Examples,
    num_classes: int,
    *,
    depth: int,
    candidates: int,
    thresholds: int,
    reach: float,
    min_pixels: int,
    rng: np.random.Generator,
    pool: Executor,
    workers: int,
) -> Tree:
    """Grow a tree. The result does not depend on the number of workers.

    Args:
        examples: N pixels.
        num_classes: K.
        depth: most questions from the root to a leaf.
        candidates: features tried at each node.
        thresholds: tried with each feature.
        reach: longest offset in pixel metres.
        min_pixels: a node with fewer is a leaf.
        rng: draws the candidates.
        pool: where the work goes.
        workers: threads there.
    """
    order = np.arange(len(examples.pixels), dtype=np.int32)
    spare = np.empty_like(order)
    log_table = _n_log_n(len(order))
    offsets, cuts, children, counts = [np.zeros((1, 4), np.float32)], [np.zeros(1, np.int32)], [np.zeros(1, np.int32)], []
    spans = np.array([[0, len(order)]], np.int64)
    total, leaves = 1, 0
    for level in range(depth + 1):
        gain = np.zeros(len(spans))
        busy = np.flatnonzero(spans[:, 1] - spans[:, 0] >= min_pixels) if level < depth else np.zeros(0, np.int64)
        for block in np.array_split(busy, max(1, -(-len(busy) // _BLOCK))):
            tried = draw_offsets(rng, (len(block), candidates), reach)
            picks = (rng.random((len(block), thresholds)) * (spans[block, 1] - spans[block, 0])[:, None]).astype(np.int64)
            fixed = partial(find_splits, examples, order, num_classes=num_classes, log_table=log_table)
            gain[block], chosen, cuts[-1][block] = _search(fixed, spans[block], tried, picks, pool, workers)
            offsets[-1][block] = tried[np.arange(len(block)), chosen]
        splits = gain > 0
        middles = _part(examples, order, spare, spans, splits, offsets[-1], cuts[-1])
        number = np.cumsum(splits) - 1
        children[-1][:] = np.where(splits, total + 2 * number, -(leaves + np.cumsum(~splits) - 1))
        counts.append(_count(examples.label, order, spans[~splits], num_classes))
        leaves += int((~splits).sum())
        inner, middle = spans[splits], middles[splits]
        spans = np.stack([inner[:, 0], middle, middle, inner[:, 1]], 1).reshape(-1, 2)
        if not len(spans):
            break
        total += len(spans)
        offsets.append(np.zeros((len(spans), 4), np.float32))
        cuts.append(np.zeros(len(spans), np.int32))
        children.append(np.zeros(len(spans), np.int32))
    return Tree(np.concatenate(offsets), np.concatenate(cuts), np.concatenate(children), np.concatenate(counts))


def draw_offsets(rng: np.random.Generator, shape: Sequence[int], reach: float) -> Array:
    """Random features, (*shape, 4) float32: offsets any way and up to `reach` long; half compare with the pixel itself."""
    angle = rng.random((*shape, 2), np.float32) * np.float32(2 * np.pi)
    length = rng.random((*shape, 2), np.float32) * np.float32(reach)
    length[..., 1] *= rng.random(shape, np.float32) < 0.5
    return np.stack([length * np.sin(angle), length * np.cos(angle)], -1).reshape(*shape, 4)


def _search(
    find: Callable[..., tuple[Array, Array, Array]], spans: Array, tried: Array, picks: Array, pool: Executor, workers: int
) -> tuple[Array, Array, Array]:
    """`find_splits` by several threads: each takes some of the nodes, or of few nodes some of the candidates."""
    if len(spans) < _FEW:
        edges = np.linspace(0, tried.shape[1], workers + 1).astype(int)
        jobs = [pool.submit(find, spans, tried[:, a:b].copy(), picks) for a, b in pairwise(edges)]
        gain, chosen, cuts = (np.stack(column) for column in zip(*(job.result() for job in jobs), strict=True))
        best, every = gain.argmax(0), np.arange(len(spans))
        return gain[best, every], (chosen + edges[:-1, None])[best, every], cuts[best, every]
    shares = [rows for rows in np.array_split(np.arange(len(spans)), 8 * workers) if len(rows)]
    jobs = [pool.submit(find, spans[rows], tried[rows], picks[rows]) for rows in shares]
    gain, chosen, cuts = (np.concatenate(column) for column in zip(*(job.result() for job in jobs), strict=True))
    return gain, chosen, cuts


@njit(nogil=True, cache=True)
def find_splits(
    examples: Examples, order: Array, spans: Array, tried: Array, picks: Array, num_classes: int, log_table: Array
) -> tuple[Array, Array, Array]:
    """The best question of each node.

    Args:
        examples: N pixels.
        order: (N,) int32 pixels, those of a node one behind the other.
        spans: (S, 2) int64, where in `order` each node has its pixels.
        tried: (S, C, 4) features.
        picks: (S, T) int64, pixels of the node whose answers are the thresholds.
        num_classes: K.
        log_table: n log2 n.

    Returns:
        (S,) float64 gain in bits, 0 where no question parts the pixels; (S,) which candidate; (S,) int32 its threshold.
    """
    images, pixels, label = examples.images, examples.pixels, examples.label
    num_tried, num_cuts = tried.shape[1], picks.shape[1]
    best = np.zeros(len(spans))
    chosen = np.zeros(len(spans), np.int64)
    threshold = np.zeros(len(spans), np.int32)
    cuts = np.empty((num_tried, num_cuts), np.int32)
    slot = np.empty(num_classes, np.int64)
    for s in range(len(spans)):
        start, stop = spans[s]
        # Deep nodes know few of the classes: only those are counted.
        slot[:] = -1
        known = 0
        for i in range(start, stop):
            k = label[order[i]]
            if slot[k] < 0:
                slot[k] = known
                known += 1
        if known < 2:
            continue
        for c in range(num_tried):
            for t in range(num_cuts):
                i = order[start + picks[s, t]]
                uy, ux, vy, vx = tried[s, c, 0], tried[s, c, 1], tried[s, c, 2], tried[s, c, 3]
                cuts[c, t] = difference(images, pixels[i, 0], pixels[i, 1], pixels[i, 2], uy, ux, vy, vx)
            cuts[c].sort()
        histogram = np.zeros((num_tried, num_cuts + 1, known), np.int32)
        for i in range(start, stop):
            image, y, x = pixels[order[i], 0], pixels[order[i], 1], pixels[order[i], 2]
            k = slot[label[order[i]]]
            for c in range(num_tried):
                value = difference(images, image, y, x, tried[s, c, 0], tried[s, c, 1], tried[s, c, 2], tried[s, c, 3])
                above = 0
                for t in range(num_cuts):
                    above += value > cuts[c, t]
                histogram[c, above, k] += 1
        whole = np.zeros(known, np.int64)
        for row in histogram[0]:
            whole += row
        n = stop - start
        impurity = log_table[n]  # n H = n log n - sum of n_k log n_k, and likewise for either side
        for k in range(known):
            impurity -= log_table[whole[k]]
        low = np.empty(known, np.int64)
        for c in range(num_tried):
            low[:] = 0
            below = 0
            for t in range(num_cuts):
                for k in range(known):
                    low[k] += histogram[c, t, k]
                    below += histogram[c, t, k]
                if below == 0 or below == n or (t + 1 < num_cuts and cuts[c, t] == cuts[c, t + 1]):
                    continue
                left = log_table[below] + log_table[n - below]
                for k in range(known):
                    left -= log_table[low[k]] + log_table[whole[k] - low[k]]
                gain = (impurity - left) / n
                if gain > best[s] and gain > _LEAST:
                    best[s], chosen[s], threshold[s] = gain, c, cuts[c, t]
    return best, chosen, threshold


@njit(nogil=True, cache=True)
def _part(examples: Examples, order: Array, spare: Array, spans: Array, splits: Array, offsets: Array, cuts: Array) -> Array:
    """Sort the pixels of each node that splits by its answer, else keeping their order; returns where the second part begins."""
    images, pixels = examples.images, examples.pixels
    middles = np.zeros(len(spans), np.int64)
    for s in range(len(spans)):
        if not splits[s]:
            continue
        first, second = spans[s, 0], 0
        for i in range(spans[s, 0], spans[s, 1]):
            image, y, x = pixels[order[i], 0], pixels[order[i], 1], pixels[order[i], 2]
            if difference(images, image, y, x, offsets[s, 0], offsets[s, 1], offsets[s, 2], offsets[s, 3]) > cuts[s]:
                spare[second] = order[i]
                second += 1
            else:
                order[first] = order[i]
                first += 1
        order[first : spans[s, 1]] = spare[:second]
        middles[s] = first
    return middles


def _count(label: Array, order: Array, spans: Array, num_classes: int) -> Array:
    counts = np.zeros((len(spans), num_classes), np.int32)
    for row, (start, stop) in zip(counts, spans, strict=True):
        row[:] = np.bincount(label[order[start:stop]], minlength=num_classes)
    return counts


def _n_log_n(most: int) -> Array:
    """(most + 1,) float64: n log2 n."""
    n = np.arange(most + 1, dtype=np.float64)
    return n * np.log2(np.maximum(n, 1))
