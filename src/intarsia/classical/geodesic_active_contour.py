"""Geodesic active contour: the shortest curve in a metric in which edges are cheap, by a partial differential equation.

Caselles, Kimmel, Sapiro, "Geodesic active contours", International Journal of Computer Vision 1997.

Idea: phi_t = g |grad phi| (curvature + balloon) + grad g . grad phi moves the zero level of phi to curves along which the
sum of g is least; g is near 0 at edges, and the last term pulls into them from both sides. Curves can part and join.

Source: equation 15, phi above 0 inside; the balloon and the pull are upwind (Osher, Sethian 1988), the curvature is central.
Every 20 steps phi becomes the signed distance again, and keeps its zero level. Without hints the curve starts near the frame
of the image and shrinks; it shrinks from a box and grows from points and scribbles.
Limits: it stops at the first strong edges on its way; at most a pixel in about three steps; gaps let it through. The
balloon holds it up to a pixel short of an edge.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from intarsia.classical._curve_start import edge_indicator, starting_region
from intarsia.core import Array, BoolArray, Hints

__all__ = ["evolve", "geodesic_active_contour", "restored", "signed_distance"]

RESULT = "foreground"
OPTIONAL_HINTS = ("box", "scribbles", "points")
RESTORE = 20


def geodesic_active_contour(
    image: Array,
    hints: Hints | None = None,
    *,
    balloon: float = 1.0,
    curvature: float = 0.2,
    pull: float = 3.0,
    sigma: float = 1.5,
    edge: float = 3.0,
    iterations: int = 800,
) -> Array:
    """Shrink or grow a region until its border is short and on edges.

    Args:
        image: (H, W, C), any range of its dtype.
        hints: the region at the start.
        balloon: speed where the image is flat, inwards or outwards as the start asks for.
        curvature: weight of the curvature.
        pull: weight of the attraction by edges.
        sigma: of the blur before slopes are taken, in pixels.
        edge: slope at which g is a half, in grey levels (of 255) per pixel.
        iterations: steps in time, each as long as is stable.

    Returns:
        (H, W) bool, the foreground.
    """
    g = edge_indicator(image, sigma, edge)
    inside = starting_region((g.shape[0], g.shape[1]), hints)
    speed = -balloon if hints is None or hints.boxes_xyxy is not None else balloon
    padded = np.pad(g, 1, mode="edge")
    slope = (np.abs(padded[2:, 1:-1] - padded[:-2, 1:-1]) + np.abs(padded[1:-1, 2:] - padded[1:-1, :-2])) / 2
    step = 0.9 / max(float((g * (np.sqrt(2) * abs(balloon) + 4 * curvature) + pull * slope).max()), 1e-9)
    phi, still = signed_distance(inside), 0
    for start in range(0, iterations, RESTORE):
        phi = restored(evolve(phi, g, speed, curvature, pull, step, min(RESTORE, iterations - start)))
        before, inside = inside, phi > 0
        still = still + 1 if np.array_equal(before, inside) else 0
        if still == 5:
            break
    return inside


def signed_distance(inside: BoolArray) -> Array:
    """(H, W) distance to the border between pixels, above 0 inside; constant where one side is missing."""
    from scipy.ndimage import distance_transform_edt

    if inside.all() or not inside.any():
        return np.where(inside, 1.0, -1.0)
    distance: Array = np.where(inside, distance_transform_edt(inside) - 0.5, 0.5 - distance_transform_edt(~inside))
    return distance


def restored(phi: Array) -> Array:
    """(H, W) the signed distance to the zero level of phi, which between the pixels beside it stays where it is."""
    padded = np.pad(phi, 1, mode="edge")
    slope = np.hypot(padded[2:, 1:-1] - padded[:-2, 1:-1], padded[1:-1, 2:] - padded[1:-1, :-2]) / 2
    distance = signed_distance(phi > 0)
    return np.where(np.abs(distance) < 1, np.clip(phi / np.maximum(slope, 1e-3), -1, 1), distance)


def evolve(phi: Array, g: Array, balloon: float, curvature: float, pull: float, step: float, iterations: int) -> Array:
    """Explicit steps of phi_t = g |grad phi| (curvature * kappa + balloon) + pull * grad g . grad phi.

    Args:
        phi: (H, W), above 0 inside.
        g: (H, W) edge indicator.
        balloon: above 0 grows.
        curvature: weight of the curvature kappa.
        pull: weight of the attraction by edges.
        step: in time.
        iterations: how many.
    """
    phi = phi.astype(np.float64)
    for _ in range(iterations):
        phi = _move(phi, g, balloon, curvature, pull, step)
    return phi


@njit(cache=True)
def _move(phi: Array, g: Array, balloon: float, curvature: float, pull: float, step: float) -> Array:
    height, width = phi.shape
    moved = np.empty_like(phi)
    for y in range(height):
        y0, y1 = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width):
            x0, x1 = max(x - 1, 0), min(x + 1, width - 1)
            here, cost = phi[y, x], g[y, x]
            up, down, left, right = here - phi[y0, x], phi[y1, x] - here, here - phi[y, x0], phi[y, x1] - here
            py, px = (up + down) / 2, (left + right) / 2
            pyy, pxx = down - up, right - left
            pxy = (phi[y1, x1] - phi[y1, x0] - phi[y0, x1] + phi[y0, x0]) / 4
            bent = (pxx * py * py - 2 * px * py * pxy + pyy * px * px) / (px * px + py * py + 1e-12)
            sign = 1.0 if balloon > 0 else -1.0  # the upwind side is that where phi is on its way from
            slope = np.sqrt(
                min(sign * up, 0.0) ** 2 + max(sign * down, 0.0) ** 2 + min(sign * left, 0.0) ** 2 + max(sign * right, 0.0) ** 2
            )
            gy, gx = (g[y1, x] - g[y0, x]) / 2, (g[y, x1] - g[y, x0]) / 2
            drift = gy * (down if gy > 0 else up) + gx * (right if gx > 0 else left)
            moved[y, x] = here + step * (cost * (curvature * bent + balloon * slope) + pull * drift)
    return moved
