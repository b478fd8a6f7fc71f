"""The two loops over pixels of `_polygons`: walking along the edges of a mask, and filling rings."""

from __future__ import annotations

import numpy as np
from numba import njit

from intarsia.core import Array

__all__ = ["fill_rings", "trace_rings"]


@njit(nogil=True, cache=True)
def trace_rings(mask: Array) -> tuple[Array, Array]:
    """The rings of a mask (h, w) whose border is empty: corners (N, 2) int32, and where each ring ends.

    Walks along the edges with the mask on the right. Where two pixels touch at a corner the way stays with its own; when a ring
    comes to such a corner again, what lies between is a ring of its own, cut off at once. Between the two ways through a corner
    lies no mask, always on their left, so these cuts never cross.
    """
    height, width = mask.shape
    count = 0
    for y in range(1, height):
        for x in range(1, width):
            a, b, c, d = mask[y - 1, x - 1], mask[y - 1, x], mask[y, x - 1], mask[y, x]
            if (a ^ b) ^ (c ^ d):
                count += 1
            elif a == d and b == c and a != b:
                count += 2
    way, found, ends = np.empty((count, 2), np.int32), np.empty((count, 2), np.int32), np.empty(count, np.int64)
    place = np.full((height, width), -1, np.int64)  # where in `way` a corner is
    walked = np.zeros((height, width), np.bool_)  # the upper edge of a pixel
    number = size = used = 0
    for top in range(1, height):
        for left in range(1, width):
            if not mask[top, left] or mask[top - 1, left] or walked[top, left]:
                continue
            begin = last = used  # places of older rings are below
            x, y, heading = left, top, 0  # right, down, left, up
            while True:
                if heading == 0:
                    walked[y, x] = True
                    x += 1
                elif heading == 1:
                    y += 1
                elif heading == 2:
                    x -= 1
                else:
                    y -= 1
                right = mask[y - (heading >= 2), x - (heading == 1 or heading == 2)]
                if right and not mask[y - (heading == 0 or heading == 3), x - (heading >= 2)]:
                    continue
                heading = (heading + (3 if right else 1)) % 4
                before = place[y, x]
                if before >= begin:
                    cut = last - before
                    found[size : size + cut] = way[before:last]
                    size += cut
                    ends[number] = size
                    number += 1
                    last = before + 1
                else:
                    way[last, 0], way[last, 1] = x, y
                    place[y, x] = last
                    last += 1
                    used = max(used, last)
                if x == left and y == top and heading == 0:
                    break
            found[size : size + last - begin] = way[begin:last]
            size += last - begin
            ends[number] = size
            number += 1
    return found[:size], ends[:number]


@njit(nogil=True, cache=True)
def fill_rings(points: Array, starts: Array, top: int, left: int, inside: Array) -> None:
    """Mark the pixels whose centre is inside the rings; `inside` (h, w + 1) is empty, and its last column takes the overflow."""
    height, width = inside.shape
    for ring in range(len(starts) - 1):
        before = starts[ring + 1] - 1
        for corner in range(starts[ring], starts[ring + 1]):
            upper, lower = before, corner
            before = corner
            if points[upper, 1] > points[lower, 1]:
                upper, lower = lower, upper
            (x0, y0), (x1, y1) = points[upper], points[lower]
            first = int(min(max(np.ceil(y0 - 0.5) - top, 0.0), float(height)))
            end = int(min(max(np.ceil(y1 - 0.5) - top, 0.0), float(height)))
            for row in range(first, end):
                x = x0 + (top + row + 0.5 - y0) / (y1 - y0) * (x1 - x0)
                column = int(min(max(np.ceil(x - 0.5) - left, 0.0), float(width - 1)))
                inside[row, column] = not inside[row, column]
    for row in range(height):
        odd = False
        for column in range(width):
            odd ^= inside[row, column]
            inside[row, column] = odd
