"""Curve evolution on binary masks: the operators of morphological snakes."""

from __future__ import annotations

import numpy as np

from intarsia.core import Array, BoolArray

__all__ = ["crosses", "shifted", "smooth_curve"]

LINES = (((0, -1), (0, 1)), ((-1, 0), (1, 0)), ((-1, -1), (1, 1)), ((-1, 1), (1, -1)))


def shifted(mask: BoolArray) -> dict[tuple[int, int], BoolArray]:
    """The mask at each pixel's eight neighbours, by (dy, dx); the border repeats."""
    height, width = mask.shape
    padded = np.pad(mask, 1, mode="edge")
    steps = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return {(dy, dx): padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width] for dy, dx in steps}


def crosses(mask: BoolArray) -> tuple[Array, Array]:
    """Where the mask differs across a pixel down and across: (H, W) int8 in -1, 0, 1 each, twice its central difference."""
    near = {step: view.astype(np.int8) for step, view in shifted(mask).items() if 0 in step}
    return near[1, 0] - near[-1, 0], near[0, 1] - near[0, -1]


def smooth_curve(mask: BoolArray, inward_first: bool) -> BoolArray:
    """One step of motion by mean curvature (SI o IS or IS o SI); taken in turn, the two have no bias.

    Marquez-Neila, Baumela, Alvarez 2014, section 3.3: of the four lines of three pixels through a pixel, SI keeps it if one lies
    wholly inside, IS if none lies wholly outside.
    """
    first, second = (_sup_inf, _inf_sup) if inward_first else (_inf_sup, _sup_inf)
    return second(first(mask))


def _sup_inf(mask: BoolArray) -> BoolArray:
    near = shifted(mask)
    lines = [near[one] & near[other] for one, other in LINES]
    return mask & (lines[0] | lines[1] | lines[2] | lines[3])


def _inf_sup(mask: BoolArray) -> BoolArray:
    return ~_sup_inf(~mask)
