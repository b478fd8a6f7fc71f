"""How deep each pixel lies inside of its object."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from intarsia.core import Array, BoolArray, FloatArray

__all__ = ["depths"]

BOUNDLESS = 1e4
"""Depth in pixels where an object fills the image, so that it has no boundary."""


def depths(ids: Array) -> Iterator[tuple[tuple[slice, ...], BoolArray, FloatArray]]:
    """The Euclidean distance of each pixel of an object to the nearest pixel that is not of it: 1 at its boundary.

    Beyond the border of the image nothing is known, and an object that it cuts is not taken to end there.

    Args:
        ids: (H, W) integer numbers of objects, 0 where there is none.

    Yields:
        For each object: its box and a pixel around it, as far as that is in the image; within, its mask; and there the depth,
        float64, 0 outside the object.
    """
    for number, box in enumerate(ndimage.find_objects(ids) if ids.size else (), 1):
        if box is None:
            continue
        window = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in box)
        mask = ids[window] == number
        yield window, mask, np.full(mask.shape, BOUNDLESS) if mask.all() else ndimage.distance_transform_edt(mask)
