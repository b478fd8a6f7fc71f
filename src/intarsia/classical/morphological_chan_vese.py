"""Chan-Vese by morphology: two regions, each near its mean colour, by binary steps in place of a differential equation.

Márquez-Neila, Baumela, Alvarez, "A morphological approach to curvature-based evolution of curves and surfaces", PAMI 2014.

Idea: on a binary mask the steps of Chan-Vese become set operations. A pixel of the border goes to the side whose mean colour is
nearer, and motion by curvature becomes two passes of "is one line of three pixels through me wholly inside". No step length, no
reinitialisation, no numerical trouble.

Source: section 4.2 with the operators of section 3.3; the data term is the mean over channels. Without hints it starts from a
checkerboard, and the side that holds less of the image's border is the foreground; a box or scribble is the first inside.
Limits: two regions of nearly one colour each; a local minimum; details finer than the smoothing vanish.
"""

from __future__ import annotations

import numpy as np

from intarsia.classical._curve_start import checkerboard, foreground_side, starting_region
from intarsia.classical._morphology import crosses, smooth_curve
from intarsia.classical._pixels import as_unit_range
from intarsia.core import Array, Hints

__all__ = ["morphological_chan_vese"]

RESULT = "foreground"
OPTIONAL_HINTS = ("box", "scribbles", "points")


def morphological_chan_vese(
    image: Array,
    hints: Hints | None = None,
    *,
    iterations: int = 100,
    smoothing: int = 1,
    lambda1: float = 1.0,
    lambda2: float = 1.0,
) -> Array:
    """Part an image in two of unlike mean colour.

    Args:
        image: (H, W, C), any range of its dtype.
        hints: what is inside at the start.
        iterations: at most; it stops when nothing changes any more.
        smoothing: curvature steps per iteration, 0 or more.
        lambda1: weight of colours inside; larger makes the inside more uniform.
        lambda2: weight of colours outside.

    Returns:
        (H, W) bool, the foreground.
    """
    pixels = as_unit_range(image)
    size_hw = (pixels.shape[0], pixels.shape[1])
    inside = checkerboard(size_hw) > 0 if hints is None else starting_region(size_hw, hints)
    inward_first, still = False, 0
    for _ in range(iterations):
        before, sides = inside, (inside, ~inside)
        if not (sides[0].any() and sides[1].any()):
            break
        own, other = (((pixels - pixels[side].mean(0)) ** 2).mean(2) for side in sides)
        force = lambda1 * own - lambda2 * other
        down, across = crosses(inside)
        border = (down != 0) | (across != 0)
        inside = np.where(border & (force != 0), force < 0, inside)
        for _ in range(smoothing):
            inside = smooth_curve(inside, inward_first)
            inward_first = not inward_first
        still = still + 1 if np.array_equal(inside, before) else 0
        if still == 2:  # once for each order of the curvature steps
            break
    return foreground_side(inside) if hints is None else inside
