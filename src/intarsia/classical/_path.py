"""The cheapest path between two pixels, by Dijkstra's method."""

from __future__ import annotations

import heapq

import numpy as np
from numba import njit

from intarsia.core import Array

__all__ = ["cheapest_path"]


def cheapest_path(costs: Array, steps_yx: Array, start_yx: Array, stop_yx: Array) -> Array:
    """(L, 2) pixels from start to stop, both among them.

    Args:
        costs: (H, W, D) of the step from a pixel in each direction, 0 or more; infinite where it leaves the image.
        steps_yx: (D, 2) what the directions are.
        start_yx: (2,).
        stop_yx: (2,).
    """
    height, width, count = costs.shape
    offsets = steps_yx[:, 0] * width + steps_yx[:, 1]
    start, stop = (int(y) * width + int(x) for y, x in (start_yx, stop_yx))
    came_from = _search(costs.reshape(height * width, count), offsets.astype(np.int64), start, stop)
    path = [stop]
    while path[-1] != start:
        path.append(came_from[path[-1]])
    return np.stack(np.divmod(np.array(path[::-1]), width), 1)


@njit(cache=True)
def _search(costs: Array, offsets: Array, start: int, stop: int) -> Array:
    """(N,) the pixel before each on the cheapest path from the start, as far as the search had to go."""
    distance = np.full(len(costs), np.inf)
    done = np.zeros(len(costs), np.bool_)
    came_from = np.full(len(costs), -1, np.int64)
    distance[start] = 0.0
    heap = [(0.0, start)]
    while len(heap) > 0:
        reached, pixel = heapq.heappop(heap)
        if pixel == stop:
            break
        if done[pixel]:
            continue
        done[pixel] = True
        for direction in range(len(offsets)):
            step = costs[pixel, direction]
            if step < np.inf:
                other = pixel + offsets[direction]
                if reached + step < distance[other]:
                    distance[other] = reached + step
                    came_from[other] = pixel
                    heapq.heappush(heap, (reached + step, other))
    return came_from
