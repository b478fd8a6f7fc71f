"""Differences of depth around a pixel, and trees that ask for them.

f(x) = d(x + u / d(x)) - d(x + v / d(x)), with offsets u and v in pixel metres, so that they span the same length of a body
however far away it stands. A probe beside the body or the image reads `FAR_MM`. Probes go to the nearest pixel.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from intarsia.core import Array

__all__ = ["FAR_MM", "classify", "difference", "with_far"]

FAR_MM = 10_000


def with_far(depth_mm: Array) -> Array:
    """Depth (H, W) uint16 with `FAR_MM` where nothing was measured, and one pixel of it all around, (H + 2, W + 2)."""
    return np.pad(np.where(depth_mm == 0, np.uint16(FAR_MM), depth_mm), 1, constant_values=np.uint16(FAR_MM))


@njit(nogil=True, cache=True, inline="always")
def difference(images: Array, image: int, y: int, x: int, uy: float, ux: float, vy: float, vx: float) -> np.int32:
    """The feature in millimetres.

    A pixel with a depth is given by its image, y and x in the coordinates of `images`, (I, H + 2, W + 2) uint16 as `with_far`
    has them; the offsets are float32 pixel metres.
    """
    half = np.float32(0.5)
    per_metre = np.float32(1000) / np.float32(images[image, y, x])
    bottom, right = images.shape[1] - 1, images.shape[2] - 1
    # What leaves the image is led to its rim, which is far. Conversion to int cuts off, so -0.9 goes to the rim as well.
    row = min(max(np.int32(np.float32(y) + uy * per_metre + half), 0), bottom)
    column = min(max(np.int32(np.float32(x) + ux * per_metre + half), 0), right)
    other_row = min(max(np.int32(np.float32(y) + vy * per_metre + half), 0), bottom)
    other_column = min(max(np.int32(np.float32(x) + vx * per_metre + half), 0), right)
    return np.int32(images[image, row, column]) - np.int32(images[image, other_row, other_column])


@njit(nogil=True, cache=True)
def classify(
    images: Array, places: Array, roots: Array, offsets: Array, thresholds: Array, children: Array, prob: Array, found: Array
) -> int:
    """Add to `found`, (N, K) float32, what the leaves say that pixels reach, and return how many questions were asked.

    The image is (1, H + 2, W + 2) as `with_far` has it, the pixels are (N, 2) y and x there; `prob` is (L, K) of the leaves.
    """
    asked = 0
    for root in roots:  # the outer loop: a tree stays in the cache longer than what it adds to
        for i in range(len(places)):
            y, x = places[i, 0], places[i, 1]
            node = root
            while children[node] > 0:
                uy, ux, vy, vx = offsets[node, 0], offsets[node, 1], offsets[node, 2], offsets[node, 3]
                node = children[node] + (difference(images, 0, y, x, uy, ux, vy, vx) > thresholds[node])
                asked += 1
            leaf = -children[node]
            for k in range(prob.shape[1]):
                found[i, k] += prob[leaf, k]
    return asked
