"""Intelligent scissors: a few points along an outline, joined by the cheapest path along edges of the image.

Mortensen, Barrett, "Intelligent Scissors for Image Composition", SIGGRAPH 1995.

Idea: a step from a pixel to its neighbour is cheap where the Laplacian changes its sign, the gradient is large, and the step goes
along the edge at both ends. The cheapest path between two points then follows the outline between them.

Source: section 3 with weights 0.43, 0.43 and 0.14; the direction term as in the authors' later text (Graphical Models and Image
Processing 1998), 2 / (3 pi) (acos d_p + acos d_q), which reaches 1.
Deviation: a step costs its cost times its length, so that without any edge the shortest path is taken; the original weighs only
the gradient term by length.
Limits: the points go around the outline in order, three at least; luma only, so that a border of equal brightness is not seen.
"""

from __future__ import annotations

import numpy as np

from intarsia.classical._path import cheapest_path
from intarsia.classical._pixels import as_gray
from intarsia.core import Array, Hints, SettingsError

__all__ = ["intelligent_scissors", "outline", "step_costs"]

RESULT = "hinted"
HINTS = ("points",)
ZERO_CROSSING, DIRECTION, GRADIENT = 0.43, 0.43, 0.14
STEPS_YX = np.array([(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)])


def intelligent_scissors(image: Array, hints: Hints, *, sigma: float = 1.5) -> Array:
    """Fill the outline through the points of each class; the points of a class go around its region in order.

    Args:
        image: (H, W, C), any range of its dtype; colour is read as luma.
        hints: points, of class 1 for one region.
        sigma: blur before derivatives are taken, in pixels.

    Returns:
        (H, W) int32 class ids, 0 outside of all outlines; a later class lies over an earlier one.

    Raises:
        SettingsError: a point outside the image or of class 0, less than three points of a class, a negative sigma.
    """
    import cv2

    size = image.shape[0], image.shape[1]
    hints.seeds(size)  # says when a point is outside
    points, numbers = np.asarray(hints.points_yx), np.asarray(hints.point_class)
    if (numbers < 1).any():
        raise SettingsError("A point has class 0; the points of intelligent scissors lie on outlines, and have the class inside.")
    costs = step_costs(image, sigma=sigma)
    ids = np.zeros(size, np.int32)
    for number in np.unique(numbers):
        corners = points[numbers == number]
        if len(corners) < 3:
            raise SettingsError(f"Class {number} has {len(corners)} points; an outline needs three at least, in order around it.")
        path = outline(costs, corners)
        cv2.fillPoly(ids, [np.ascontiguousarray(path[:, ::-1], np.int32)], int(number))
    return ids


def outline(costs: Array, points_yx: Array) -> Array:
    """(L, 2) pixels of the closed path through (P, 2) points, which begins and ends at the first."""
    following = np.roll(points_yx, -1, axis=0)
    legs = [cheapest_path(costs, STEPS_YX, start, stop) for start, stop in zip(points_yx, following, strict=True)]
    return np.concatenate([legs[0][:1], *(leg[1:] for leg in legs)])


def step_costs(image: Array, *, sigma: float = 1.5) -> Array:
    """(H, W, 8) cost of the step from each pixel in each direction of `STEPS_YX`; infinite where it leaves the image.

    Args:
        image: (H, W, C).
        sigma: blur, in pixels.

    Raises:
        SettingsError: a negative sigma.
    """
    from scipy.ndimage import gaussian_filter, sobel

    if sigma < 0:
        raise SettingsError(f"sigma is {sigma}; it is 0 or more.")
    gray = gaussian_filter(as_gray(image).astype(np.float64), sigma, mode="nearest")
    gradient = np.stack([sobel(gray, axis, mode="nearest") for axis in (0, 1)], 2)
    size = np.hypot(gradient[..., 0], gradient[..., 1])
    largest = size.max()
    weak = 1 - size / largest if largest > 1e-9 else np.ones_like(size)  # f_G
    unit = np.divide(gradient, size[..., None], out=np.zeros_like(gradient), where=size[..., None] > 1e-9)
    along = np.stack([unit[..., 1], -unit[..., 0]], 2)  # D', the gradient turned by 90 degrees
    node = ZERO_CROSSING * ~_zero_crossings(gray) + GRADIENT * weak
    costs = np.full((*gray.shape, 8), np.inf)
    for number, (dy, dx) in enumerate(STEPS_YX):
        length = np.hypot(dy, dx)
        here, there = _ends(gray.shape, dy, dx)
        d_p = (along[here] @ np.array([dy, dx])) / length
        d_q = (along[there] @ np.array([dy, dx])) / length * np.where(d_p < 0, -1, 1)
        direction = 2 / (3 * np.pi) * (np.arccos(np.abs(d_p).clip(0, 1)) + np.arccos(d_q.clip(-1, 1)))
        costs[(*here, number)] = length * (node[there] + DIRECTION * direction)
    return costs


def _zero_crossings(gray: Array) -> Array:
    """(H, W) bool: the Laplacian has another sign than that of a neighbour, and is nearer to 0."""
    laplacian = np.pad(gray, 1, mode="edge")
    laplacian = laplacian[:-2, 1:-1] + laplacian[2:, 1:-1] + laplacian[1:-1, :-2] + laplacian[1:-1, 2:] - 4 * gray
    laplacian[np.abs(laplacian) < 1e-9] = 0
    crossing = np.zeros(gray.shape, np.bool_)
    for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        here, there = _ends(gray.shape, dy, dx)
        crossing[here] |= (laplacian[here] * laplacian[there] < 0) & (np.abs(laplacian[here]) <= np.abs(laplacian[there]))
    return crossing


def _ends(shape: tuple[int, ...], dy: int, dx: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a step starts, and where it leads, of all steps that stay in the image."""
    height, width = shape
    here = slice(max(0, -dy), height - max(0, dy)), slice(max(0, -dx), width - max(0, dx))
    there = slice(max(0, dy), height - max(0, -dy)), slice(max(0, dx), width - max(0, -dx))
    return here, there
