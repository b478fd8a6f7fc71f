"""Chan-Vese: active contours without edges; two regions near their mean colours, with a short border.

Chan, Vese, "Active contours without edges", IEEE Transactions on Image Processing 2001.

Idea: minimise mu * length + lambda1 * int_inside (I - c1)^2 + lambda2 * int_outside (I - c2)^2, where c1 and c2 are the mean
colours of the two sides. The curve is the zero level of a function, which moves by a semi-implicit step of the gradient descent,
so that curves can part and join. Nothing asks for edges: blurred and noisy objects are found as well.

Source: equations 9 and 11 to 14, with a Gauss-Seidel pass in turn from either end (Getreuer, IPOL 2012); colour as the mean over
channels (Chan, Sandberg, Vese 2000). The image is stretched to 0..1, so that mu does not depend on contrast. Without hints it
starts from what is brighter than the mean, and the side that holds less of the image's border is the foreground; a box or
scribble is the first inside. (A checkerboard, the usual start, has sides of nearly equal means, and decays before they part.)
Limits: two regions of nearly one colour each; a local minimum, though a wide one; no area term (nu = 0, as the paper has it).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from intarsia.classical._curve_start import foreground_side, starting_region
from intarsia.classical._pixels import as_unit_range
from intarsia.core import Array, BoolArray, Hints

__all__ = ["ChanVeseTrace", "chan_vese", "chan_vese_trace"]

RESULT = "foreground"
OPTIONAL_HINTS = ("box", "scribbles", "points")
STEP = 10.0  # the length is implicit, and allows it
FLAT = 1e-8  # keeps 1 / |grad phi| finite where phi is flat


class ChanVeseTrace(NamedTuple):
    """inside: (H, W) bool. level_set: (H, W) float64, 0 or more inside. energies: before the first iteration and after each."""

    inside: BoolArray
    level_set: Array
    energies: list[float]


def chan_vese(
    image: Array,
    hints: Hints | None = None,
    *,
    mu: float = 0.1,
    lambda1: float = 1.0,
    lambda2: float = 1.0,
    iterations: int = 60,
    tolerance: float = 1e-4,
) -> Array:
    """Part an image in two of unlike mean colour with a short border.

    Args:
        image: (H, W, C), any range of its dtype.
        hints: what is inside at the start.
        mu: cost of a pixel of border, where a pixel of white among black costs 1.
        lambda1: weight of colours inside; larger makes the inside more uniform.
        lambda2: weight of colours outside.
        iterations: at most.
        tolerance: it stops when an iteration moves the smoothed step function by less, in the mean over pixels.

    Returns:
        (H, W) bool, the foreground.
    """
    trace = chan_vese_trace(image, hints, mu=mu, lambda1=lambda1, lambda2=lambda2, iterations=iterations, tolerance=tolerance)
    return foreground_side(trace.inside) if hints is None else trace.inside


def chan_vese_trace(
    image: Array,
    hints: Hints | None = None,
    *,
    mu: float = 0.1,
    lambda1: float = 1.0,
    lambda2: float = 1.0,
    iterations: int = 60,
    tolerance: float = 1e-4,
) -> ChanVeseTrace:
    """The evolution itself, with the side that began as the inside; arguments as of `chan_vese`."""
    pixels = _stretched(image)
    size_hw = (pixels.shape[0], pixels.shape[1])
    gray = pixels.mean(2)
    phi = np.where(gray > gray.mean() if hints is None else starting_region(size_hw, hints), 1.0, -1.0)
    step, energies = _smooth_step(phi), []
    own, other = _distances(pixels, step, lambda1, lambda2)
    energies.append(_energy(step, own, other, mu))
    for iteration in range(iterations):
        _descend(phi, other - own, mu, STEP, bool(iteration % 2))
        before, step = step, _smooth_step(phi)
        own, other = _distances(pixels, step, lambda1, lambda2)
        energies.append(_energy(step, own, other, mu))
        if np.abs(step - before).mean() < tolerance:
            break
    return ChanVeseTrace(phi >= 0, phi, energies)


def _stretched(image: Array) -> Array:
    """(H, W, C) float64 from 0 to 1; 0 all over where the image is constant."""
    pixels = as_unit_range(image).astype(np.float64)
    low, high = pixels.min(), pixels.max()
    stretched: Array = (pixels - low) / (high - low if high > low else 1)
    return stretched


def _distances(pixels: Array, step: Array, lambda1: float, lambda2: float) -> tuple[Array, Array]:
    """(H, W) weighted squared distance to the mean colour of the inside, and of the outside."""
    own, other = (
        weight * ((pixels - np.tensordot(side, pixels, 2) / side.sum()) ** 2).mean(2)
        for side, weight in ((step, lambda1), (1 - step, lambda2))
    )
    return own, other


def _energy(step: Array, own: Array, other: Array, mu: float) -> float:
    down = np.diff(step, axis=0, append=step[-1:])
    across = np.diff(step, axis=1, append=step[:, -1:])
    return float((mu * np.hypot(down, across) + step * own + (1 - step) * other).sum())


def _smooth_step(phi: Array) -> Array:
    """(H, W) in 0 to 1: the step function H of equation 11, 1/2 where phi is 0."""
    step: Array = 0.5 + np.arctan(phi) / np.pi
    return step


@njit(cache=True)
def _descend(phi: Array, gain: Array, mu: float, step: float, backwards: bool) -> None:
    """One Gauss-Seidel pass over phi, in place; `gain` (H, W) is what a pixel gains by being inside."""
    height, width = phi.shape
    for index in range(height * width):
        y, x = divmod(height * width - 1 - index if backwards else index, width)
        here = phi[y, x]
        up, down = phi[max(y - 1, 0), x], phi[min(y + 1, height - 1), x]
        left, right = phi[y, max(x - 1, 0)], phi[y, min(x + 1, width - 1)]
        up_right, down_left = phi[max(y - 1, 0), min(x + 1, width - 1)], phi[min(y + 1, height - 1), max(x - 1, 0)]
        to_right = 1 / np.sqrt(FLAT + (right - here) ** 2 + (down - up) ** 2 / 4)
        to_left = 1 / np.sqrt(FLAT + (here - left) ** 2 + (down_left - phi[max(y - 1, 0), max(x - 1, 0)]) ** 2 / 4)
        to_down = 1 / np.sqrt(FLAT + (down - here) ** 2 + (right - left) ** 2 / 4)
        to_up = 1 / np.sqrt(FLAT + (here - up) ** 2 + (up_right - phi[max(y - 1, 0), max(x - 1, 0)]) ** 2 / 4)
        pace = step / (np.pi * (1 + here * here))
        around = right * to_right + left * to_left + down * to_down + up * to_up
        phi[y, x] = (here + pace * (mu * around + gain[y, x])) / (1 + pace * mu * (to_right + to_left + to_down + to_up))
