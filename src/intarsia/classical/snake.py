"""Snake: a closed elastic curve of points that slides down to strong edges.

Kass, Witkin, Terzopoulos, "Snakes: active contour models", International Journal of Computer Vision 1988.

Idea: minimise int alpha / 2 |v'|^2 + beta / 2 |v''|^2 + E(v) over curves v, where E is low at edges. The inner forces are linear
and taken implicitly, the image's explicitly, so that every step solves one circulant system.

Source: sections 2 and 3.2 and the appendix; the circulant system is solved by its Fourier transform, exactly. E is minus the
edge strength |grad G * I|^2, scaled to 0..1. A pressure along the inner
normal (Cohen 1991) brings the curve to edges that are far away. It starts from the ellipse in the box of a hint (or in the box
around scribbles or points), else in the image less a margin.
Limits: one curve, which neither parts nor joins; without pressure it sees edges as far as their blur reaches only, and does
not enter concavities (see gvf_snake for both).
"""

from __future__ import annotations

import numpy as np

from intarsia.classical._contour import filled, follow, starting_contour
from intarsia.classical._pixels import as_gray
from intarsia.core import Array, Hints

__all__ = ["edge_map", "gradient", "snake"]

RESULT = "foreground"
OPTIONAL_HINTS = ("box", "scribbles", "points")


def snake(
    image: Array,
    hints: Hints | None = None,
    *,
    alpha: float = 0.2,
    beta: float = 0.5,
    gamma: float = 3.0,
    pressure: float = 0.1,
    edge_weight: float = 30.0,
    sigma: float = 3.0,
    points: int = 200,
    iterations: int = 500,
) -> Array:
    """Let a closed curve slide to edges and fill it.

    Args:
        image: (H, W, C), any range of its dtype.
        hints: where the curve starts.
        alpha: tension.
        beta: rigidity.
        gamma: 1 over the length of a step in time.
        pressure: force along the inner normal; below 0 it inflates.
        edge_weight: of the image's force.
        sigma: of the blur before slopes are taken, in pixels.
        points: of the curve.
        iterations: how many steps.

    Returns:
        (H, W) bool, the inside.
    """
    size_hw = (image.shape[0], image.shape[1])
    force = edge_weight * gradient(edge_map(image, sigma))
    contour = follow(starting_contour(size_hw, hints, points), force, alpha, beta, gamma, pressure, iterations)
    return filled(contour, size_hw)


def edge_map(image: Array, sigma: float) -> Array:
    """(H, W) float64 |grad G * I|^2 of the grey image, scaled to 0..1; 0 where the image is flat."""
    from scipy.ndimage import gaussian_filter

    slope = gradient(gaussian_filter(as_gray(image).astype(np.float64), sigma, mode="nearest"))
    strength: Array = (slope**2).sum(0)
    return strength / max(float(strength.max()), 1e-9)


def gradient(values: Array) -> Array:
    """(2, H, W) central differences along y and x, the border repeated."""
    padded = np.pad(values, 1, mode="edge")
    return np.stack([padded[2:, 1:-1] - padded[:-2, 1:-1], padded[1:-1, 2:] - padded[1:-1, :-2]]) / 2
