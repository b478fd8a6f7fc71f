"""Distance-regularised level set: a contour that edges stop, whose level set keeps slope 1 by itself.

Li, Xu, Gui, Fox, "Distance regularized level set evolution and its application to image segmentation", IEEE Transactions on
Image Processing 2010.

Idea: minimise mu int p(|grad phi|) + lambda int g delta(phi) |grad phi| + alpha int g H(-phi). The first, a double well, pulls
the slope to 1 near the contour and to 0 far from it, so that nothing is ever reinitialised; the second shortens the contour where
it costs least, at edges; the third drives it.

Source: equations 16, 25 and 30 with the paper's parameters: dt 5 (mu = 0.2 / dt), lambda 5, eps 1.5, a start of -2
inside and 2 outside. The last `refinement` steps have alpha 0. Without hints the contour starts near the frame of the image and
shrinks; it shrinks from a box and grows from points and scribbles.
Limits: it stops at the first strong edges on its way; about a third of a pixel per step, so that the frame of a large image
takes many. mu * dt must stay below 1/4.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from intarsia.classical._curve_start import edge_indicator, starting_region
from intarsia.core import Array, Hints, SettingsError

__all__ = ["distance_regularised_level_set", "evolve"]

RESULT = "foreground"
OPTIONAL_HINTS = ("box", "scribbles", "points")
EPSILON = 1.5
HEIGHT = 2.0


def distance_regularised_level_set(
    image: Array,
    hints: Hints | None = None,
    *,
    length: float = 5.0,
    drive: float = 1.5,
    step: float = 5.0,
    sigma: float = 1.5,
    edge: float = 3.0,
    iterations: int = 300,
    refinement: int = 10,
) -> Array:
    """Shrink or grow a region until edges hold its border.

    Args:
        image: (H, W, C), any range of its dtype.
        hints: the region at the start.
        length: lambda, weight of the length.
        drive: |alpha|, weight of the area; its sign follows the start.
        step: in time; mu is 0.2 / step.
        sigma: of the blur before slopes are taken, in pixels.
        edge: slope at which g is a half, in grey levels (of 255) per pixel.
        iterations: how many steps.
        refinement: of which so many at the end have no drive.

    Returns:
        (H, W) bool, the foreground.
    """
    g = edge_indicator(image, sigma, edge)
    phi = np.where(starting_region((g.shape[0], g.shape[1]), hints), -HEIGHT, HEIGHT)
    alpha = drive if hints is None or hints.boxes_xyxy is not None else -drive
    phi = evolve(phi, g, 0.2 / step, length, alpha, step, iterations - refinement)
    return np.asarray(evolve(phi, g, 0.2 / step, length, 0.0, step, refinement) < 0)


def evolve(phi: Array, g: Array, mu: float, length: float, alpha: float, step: float, iterations: int) -> Array:
    """Gradient descent of the energy.

    Args:
        phi: (H, W), below 0 inside.
        g: (H, W) edge indicator.
        mu: weight of the distance regularisation.
        length: lambda.
        alpha: weight of the area; above 0 shrinks.
        step: in time.
        iterations: how many.

    Raises:
        SettingsError: mu * step is 1/4 or more.
    """
    if mu * step >= 0.25:
        raise SettingsError(f"mu * step is {mu * step}; the evolution is stable below 1/4.")
    phi = phi.astype(np.float64)
    flux = np.empty((4, *phi.shape))
    for _ in range(iterations):
        phi = _descend(phi, g, flux, mu, length, alpha, step)
    return phi


@njit(cache=True)
def _descend(phi: Array, g: Array, flux: Array, mu: float, length: float, alpha: float, step: float) -> Array:
    """One step; divergences are of fluxes on the pixels' lower and right sides, so that nothing crosses the border."""
    height, width = phi.shape
    flux[:] = 0.0
    for y in range(height):
        y0, y1 = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width):
            x0, x1 = max(x - 1, 0), min(x + 1, width - 1)
            for axis in range(2):
                if (axis == 0 and y1 == y) or (axis == 1 and x1 == x):
                    continue
                if axis == 0:
                    along = phi[y1, x] - phi[y, x]
                    across = (phi[y, x1] - phi[y, x0] + phi[y1, x1] - phi[y1, x0]) / 4
                    cost = (g[y, x] + g[y1, x]) / 2
                else:
                    along = phi[y, x1] - phi[y, x]
                    across = (phi[y1, x] - phi[y0, x] + phi[y1, x1] - phi[y0, x1]) / 4
                    cost = (g[y, x] + g[y, x1]) / 2
                slope = np.sqrt(along * along + across * across)
                if slope < 1e-10:
                    rate = 1.0
                elif slope <= 1:
                    rate = np.sin(2 * np.pi * slope) / (2 * np.pi * slope)
                else:
                    rate = 1 - 1 / slope
                flux[axis, y, x] = rate * along
                flux[2 + axis, y, x] = cost * along / max(slope, 1e-10)
    moved = np.empty_like(phi)
    for y in range(height):
        for x in range(width):
            here = phi[y, x]
            delta = (1 + np.cos(np.pi * here / EPSILON)) / (2 * EPSILON) if abs(here) <= EPSILON else 0.0
            regular = flux[0, y, x] + flux[1, y, x]
            shorter = flux[2, y, x] + flux[3, y, x]
            if y > 0:
                regular, shorter = regular - flux[0, y - 1, x], shorter - flux[2, y - 1, x]
            if x > 0:
                regular, shorter = regular - flux[1, y, x - 1], shorter - flux[3, y, x - 1]
            moved[y, x] = here + step * (mu * regular + delta * (length * shorter + alpha * g[y, x]))
    return moved
