"""Fast marching: fronts leave the scribbles at the speed that the image allows, and the first to arrive takes a pixel.

Sethian, "A fast marching level set method for monotonically advancing fronts", PNAS 1996.

Idea: a front that moves at speed F arrives at the time T with |grad T| F = 1. Times only ever depend on earlier ones, so one pass
in the order of a heap solves the equation, as Dijkstra's method does for paths. Fronts of several classes that slow down at edges
meet there.

Source: the upwind quadratic of the paper; differences of second order where two known neighbours lie in a row (Sethian 1999,
section 8.3). Speed is 1 / (1 + (slope / edge)^2) of the blurred colours, and never below 1/1000.
Limits: a front leaks through gaps of an edge; where nothing stops them, fronts meet half-way between the scribbles. Around a
single pixel the first differences are of order one, and their error travels on.
"""

from __future__ import annotations

import heapq

import numpy as np
from numba import njit

from intarsia.classical._pixels import as_unit_range
from intarsia.core import Array, Hints, SettingsError

__all__ = ["arrival_time", "fast_marching", "march"]

RESULT = "hinted"
HINTS = ("scribbles", "points")
SLOWEST = 1e-3


def fast_marching(image: Array, hints: Hints, *, sigma: float = 1.0, edge: float = 3.0, order: int = 2) -> Array:
    """Give each pixel the class whose front arrives first.

    Args:
        image: (H, W, C), any range of its dtype.
        hints: points and scribbles of the classes.
        sigma: of the blur before slopes are taken, in pixels.
        edge: slope at which fronts are at half speed, in levels (of 255) per pixel.
        order: of the differences, 1 or 2.

    Returns:
        (H, W) int32 class ids.

    Raises:
        SettingsError: nothing is marked.
    """
    from scipy.ndimage import gaussian_gradient_magnitude

    pixels = as_unit_range(image).astype(np.float64) * 255
    slope_squared = sum(gaussian_gradient_magnitude(channel, sigma, mode="nearest") ** 2 for channel in np.moveaxis(pixels, 2, 0))
    speed = np.maximum(1 / (1 + slope_squared / (pixels.shape[2] * edge**2)), SLOWEST)
    seeds = hints.seeds((pixels.shape[0], pixels.shape[1]))
    return march(speed, np.where(seeds >= 0, 0.0, np.inf), seeds, order=order)[1]


def arrival_time(speed: Array, seeds: Array, *, order: int = 2) -> Array:
    """Solve |grad T| speed = 1 with T = 0 at the seeds.

    Args:
        speed: (H, W) in pixels per unit of time, above 0.
        seeds: (H, W) bool; or float, the times to start with, infinite elsewhere.
        order: of the differences, 1 or 2.

    Returns:
        (H, W) float64.

    Raises:
        SettingsError: no seed, a speed of 0 or below, shapes that differ, or another order.
    """
    start = np.where(seeds, 0.0, np.inf) if seeds.dtype == bool else seeds
    return march(speed, start, np.zeros(start.shape, np.int32), order=order)[0]


def march(speed: Array, start: Array, classes: Array, *, order: int = 2) -> tuple[Array, Array]:
    """Times and classes (H, W) of the fronts that arrive first.

    Args:
        speed: (H, W), above 0.
        start: (H, W) times of the seeds, infinite elsewhere.
        classes: (H, W) of the seeds.
        order: of the differences, 1 or 2.
    """
    if order not in (1, 2):
        raise SettingsError(f"order is {order}; fast marching has differences of order 1 or 2.")
    if speed.shape != start.shape:
        raise SettingsError(f"The speed is {speed.shape} and the seeds {start.shape}; they must agree.")
    if not speed.min() > 0:
        raise SettingsError(f"The slowest speed is {speed.min()}; fronts need one above 0 everywhere.")
    if not np.isfinite(start).any():
        raise SettingsError("There is no seed: fronts leave from points or scribbles, and none marks a pixel.")
    times, labels = start.astype(np.float64), classes.astype(np.int32)
    _march(1 / speed.astype(np.float64), times, labels, order)
    return times, labels


@njit(cache=True)
def _march(slowness: Array, times: Array, labels: Array, order: int) -> None:
    """Fill times and labels in place, nearest pixels first."""
    height, width = times.shape
    known, seed = np.zeros((height, width), np.bool_), times < np.inf
    heap = [(0.0, 0) for _ in range(0)]
    for y in range(height):
        for x in range(width):
            if times[y, x] < np.inf:
                heapq.heappush(heap, (times[y, x], y * width + x))
    while len(heap) > 0:
        reached, pixel = heapq.heappop(heap)
        y, x = divmod(pixel, width)
        if known[y, x] or reached != times[y, x]:  # a later estimate stands in its place
            continue
        known[y, x] = True
        for side in range(4):
            ny, nx = y + (side == 0) - (side == 1), x + (side == 2) - (side == 3)
            if not (0 <= ny < height and 0 <= nx < width) or known[ny, nx] or seed[ny, nx]:
                continue
            # per axis, a T - b is the upwind difference; squares of those that are positive sum to slowness^2
            a, b, first, earliest = np.zeros(2), np.zeros(2), np.full(2, np.inf), np.inf
            for axis in range(2):
                dy, dx = (1, 0) if axis == 0 else (0, 1)
                for sign in (-1, 1):
                    y1, x1, y2, x2 = ny + sign * dy, nx + sign * dx, ny + 2 * sign * dy, nx + 2 * sign * dx
                    if not (0 <= y1 < height and 0 <= x1 < width) or not known[y1, x1] or times[y1, x1] >= first[axis]:
                        continue
                    first[axis], a[axis], b[axis] = times[y1, x1], 1.0, times[y1, x1]
                    if times[y1, x1] < earliest:
                        earliest, labels[ny, nx] = times[y1, x1], labels[y1, x1]
                    if order == 2 and 0 <= y2 < height and 0 <= x2 < width and known[y2, x2] and times[y2, x2] <= times[y1, x1]:
                        a[axis], b[axis] = 1.5, 2 * times[y1, x1] - times[y2, x2] / 2
            cost = slowness[ny, nx]
            aa, ab, bb = (a * a).sum(), (a * b).sum(), (b * b).sum() - cost * cost
            root = ab * ab - aa * bb
            both = a[0] > 0 and a[1] > 0
            reached = (ab + np.sqrt(root)) / aa if root >= 0 else np.inf
            if (both and reached < max(first[0], first[1])) or reached == np.inf:
                nearer = 0 if first[0] <= first[1] else 1  # the later neighbour cannot have taken part
                reached = (b[nearer] + cost) / a[nearer]
            reached = max(reached, times[y, x])
            if reached != times[ny, nx]:
                times[ny, nx] = reached
                heapq.heappush(heap, (reached, ny * width + nx))
