"""Closed contours of points: where they start, one semi-implicit step, what is inside."""

from __future__ import annotations

import numpy as np

from intarsia.classical._curve_start import starting_region
from intarsia.core import Array, BoolArray, Hints

__all__ = ["filled", "follow", "sampled", "starting_contour", "stiffness"]


def starting_contour(size_hw: tuple[int, int], hints: Hints | None, points: int) -> Array:
    """(P, 2) y, x of the ellipse in the box around the first region (see `starting_region`)."""
    rows, columns = (np.flatnonzero(starting_region(size_hw, hints).any(axis)) for axis in (1, 0))
    angle = 2 * np.pi * np.arange(points) / points
    axes = [((side[0] + side[-1]) / 2, (side[-1] - side[0]) / 2) for side in (rows, columns)]
    (y, height), (x, width) = axes
    return np.stack([y + height * np.sin(angle), x + width * np.cos(angle)], 1)


def stiffness(points: int, alpha: float, beta: float) -> Array:
    """(P // 2 + 1,) eigenvalues of the circulant matrix A of a closed snake: alpha d + beta d^2, d = 2 - 2 cos t."""
    d = 2 - 2 * np.cos(2 * np.pi * np.arange(points // 2 + 1) / points)
    values: Array = alpha * d + beta * d**2
    return values


def follow(contour: Array, force: Array, alpha: float, beta: float, gamma: float, pressure: float, iterations: int) -> Array:
    """Take the semi-implicit step (A + gamma I) x' = gamma x + force(x) again and again, by the Fourier transform of x.

    Args:
        contour: (P, 2) y, x.
        force: (2, H, W) along y and x; bilinear between pixels, that of the border beyond it.
        alpha: tension.
        beta: rigidity.
        gamma: 1 over the length of a step in time.
        pressure: force along the inner normal.
        iterations: how many steps.
    """
    count, last = len(contour), np.array(force.shape[1:]) - 1
    inverse = 1 / (stiffness(count, alpha, beta) + gamma)[:, None]
    for _ in range(iterations):
        along = np.roll(contour, -1, 0) - np.roll(contour, 1, 0)
        inward = np.stack([along[:, 1], -along[:, 0]], 1) / np.maximum(np.hypot(*along.T), 1e-9)[:, None]
        pushed = gamma * contour + sampled(force, contour) + pressure * inward
        contour = np.clip(np.fft.irfft(np.fft.rfft(pushed, axis=0) * inverse, count, 0), 0, last)
    return contour


def sampled(field: Array, points_yx: Array) -> Array:
    """(P, 2) the field (2, H, W) at points."""
    from scipy.ndimage import map_coordinates

    return np.stack([map_coordinates(part, points_yx.T, order=1, mode="nearest") for part in field], 1)


def filled(contour: Array, size_hw: tuple[int, int]) -> BoolArray:
    """(H, W) pixels whose centres lie inside the contour."""
    from skimage.draw import polygon2mask

    return np.asarray(polygon2mask(size_hw, contour), bool)
