"""Geodesic active contour by morphology: a curve that shrinks or grows until edges hold it, on a binary mask.

Márquez-Neila, Baumela, Alvarez, "A morphological approach to curvature-based evolution of curves and surfaces", PAMI 2014.

Idea: the three forces of the geodesic active contour become three set operations: the balloon erodes or dilates where the image
is flat, attraction moves a border pixel to the side that lies nearer to the edge, and curvature smooths by lines of three pixels.

Source: section 4.1; g is that of Caselles, Kimmel, Sapiro 1997. Without hints the curve starts near the frame of the image and
shrinks; it shrinks from a box and grows from points and scribbles.
Limits: it stops at the first strong edges on its way, of the background too; gaps in an edge let it through.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from intarsia.classical._curve_start import edge_indicator, starting_region
from intarsia.classical._morphology import crosses, shifted, smooth_curve
from intarsia.core import Array, Hints

__all__ = ["morphological_geodesic"]

RESULT = "foreground"
OPTIONAL_HINTS = ("box", "scribbles", "points")


def morphological_geodesic(
    image: Array,
    hints: Hints | None = None,
    *,
    iterations: int = 300,
    smoothing: int = 1,
    balloon: Literal["auto", "shrink", "grow", "none"] = "auto",
    sigma: float = 2.0,
    edge: float = 3.0,
    threshold: float = 0.5,
) -> Array:
    """Shrink or grow a region until its border lies on edges.

    Args:
        image: (H, W, C), any range of its dtype.
        hints: the region at the start.
        iterations: at most, a pixel each; it stops when nothing changes any more.
        smoothing: curvature steps per iteration, 0 or more.
        balloon: where the border is driven; "auto" grows from points and scribbles and shrinks otherwise.
        sigma: of the blur before slopes are taken, in pixels.
        edge: slope at which g is a half, in grey levels (of 255) per pixel.
        threshold: the balloon moves pixels whose g is above this.

    Returns:
        (H, W) bool, the foreground.
    """
    g = edge_indicator(image, sigma, edge)
    padded = np.pad(g, 1, mode="edge")
    slope = padded[2:, 1:-1] - padded[:-2, 1:-1], padded[1:-1, 2:] - padded[1:-1, :-2]
    inside = starting_region((g.shape[0], g.shape[1]), hints)
    if balloon == "auto":
        balloon = "shrink" if hints is None or hints.boxes_xyxy is not None else "grow"
    driven, inward_first, still = g > threshold, False, 0
    for _ in range(iterations):
        before = inside
        if balloon == "grow":
            inside = inside | (driven & np.any(list(shifted(inside).values()), 0))
        elif balloon == "shrink":
            inside = inside & ~(driven & ~np.all(list(shifted(inside).values()), 0))
        down, across = crosses(inside)
        pull = slope[0] * down + slope[1] * across
        inside = np.where(pull == 0, inside, pull > 0)
        for _ in range(smoothing):
            inside = smooth_curve(inside, inward_first)
            inward_first = not inward_first
        still = still + 1 if np.array_equal(inside, before) else 0
        if still == 2:  # once for each order of the curvature steps
            break
    return inside
