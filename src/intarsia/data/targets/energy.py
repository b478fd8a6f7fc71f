"""How deep each pixel lies in its object, in sixteen levels: what the watershed network of Deep Watershed learns.

Bai, Urtasun, "Deep Watershed Transform for Instance Segmentation", CVPR 2017, section 3.2.
"""

from __future__ import annotations

import numpy as np

from intarsia.core import Array
from intarsia.data.targets._inside import depths
from intarsia.data.targets._objects import IGNORED, Truth, objects_of

__all__ = ["LEVEL_DEPTHS", "energy"]

LEVEL_DEPTHS = (1, 2, 3, 4, 5, 7, 9, 12, 15, 19, 24, 30, 37, 45, 54)
"""The largest depth of each level but the last, in pixels, as in the paper's code: level 0 is the boundary."""


def energy(truth: Truth) -> Array:
    """The level k of the depth d of each pixel, LEVEL_DEPTHS[k - 1] < d <= LEVEL_DEPTHS[k].

    Cutting at a level, which takes the pixels above it, leaves a core of each object and parts those that touch.

    Returns:
        (H, W) uint8 of 0..15, 0 outside of objects too; 255 where the truth is ignored.
    """
    objects = objects_of(truth)
    level = np.zeros(objects.ids.shape, np.uint8)
    for window, mask, depth in depths(objects.ids):
        level[window][mask] = np.searchsorted(LEVEL_DEPTHS, depth[mask])
    level[objects.ignored] = IGNORED
    return level
