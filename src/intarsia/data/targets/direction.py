"""Where the middle of an object lies, seen from each of its pixels: what the direction network of Deep Watershed learns.

Bai, Urtasun, "Deep Watershed Transform for Instance Segmentation", CVPR 2017, section 3.1.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from intarsia.core import FloatArray
from intarsia.data.targets._inside import depths
from intarsia.data.targets._objects import Truth, objects_of

__all__ = ["direction"]


def direction(truth: Truth) -> FloatArray:
    """The unit vector of the steepest rise of the depth in the object, which points away from the nearest boundary.

    The gradient is Sobel's, of the distance to the nearest pixel outside the object, as in the paper's code. There the distances
    of neighbours run into each other and vectors at the boundary are zeroed; here each object is looked at by itself, so that
    those are known too.

    Returns:
        (2, H, W) float32, its rise down the rows and along the columns; 0 outside of objects and where there is no rise, as on
        ridges.
    """
    ids = objects_of(truth).ids
    field = np.zeros((2, *ids.shape), np.float32)
    for window, mask, depth in depths(ids):
        rise = np.stack([ndimage.sobel(depth, axis, mode="nearest") for axis in (0, 1)])
        length = np.hypot(*rise)
        unit = np.divide(rise, length, out=np.zeros_like(rise), where=length > 1e-6)
        field[:, *window][:, mask] = unit[:, mask]
    return field
