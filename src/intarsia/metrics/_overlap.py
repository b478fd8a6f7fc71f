"""Pixels that objects share, from their packed masks: no full-size mask is ever made."""

from __future__ import annotations

import numpy as np

from intarsia.core import Array, InstanceMasks, SegmentationError

__all__ = ["intersections", "pairwise_iou"]


def intersections(one: InstanceMasks, other: InstanceMasks) -> Array:
    """(P, G) int64 pixels that mask p of `one` and mask g of `other` share. Masks may overlap within a side.

    Raises:
        SegmentationError: images of different sizes.
    """
    if one.size_hw != other.size_hw:
        raise SegmentationError(
            f"The objects lie in images of different sizes: {one.size_hw} and {other.size_hw} (height, width). Compare them at "
            "the size of the truth."
        )
    shared = np.zeros((len(one), len(other)), np.int64)
    low = np.maximum(one.boxes_xyxy[:, None, :2], other.boxes_xyxy[None, :, :2])
    high = np.minimum(one.boxes_xyxy[:, None, 2:], other.boxes_xyxy[None, :, 2:])
    touching: Array = np.all(low < high, axis=-1)
    crops = {int(g): other.crop(int(g)) for g in np.flatnonzero(touching.any(0))}
    for p in np.flatnonzero(touching.any(1)).tolist():
        own, (own_x, own_y) = one.crop(p), one.boxes_xyxy[p, :2]
        for g in np.flatnonzero(touching[p]).tolist():
            (x0, y0), (x1, y1), (left, top) = low[p, g], high[p, g], other.boxes_xyxy[g, :2]
            theirs = crops[g][y0 - top : y1 - top, x0 - left : x1 - left]
            shared[p, g] = np.count_nonzero(own[y0 - own_y : y1 - own_y, x0 - own_x : x1 - own_x] & theirs)
    return shared


def pairwise_iou(one: InstanceMasks, other: InstanceMasks) -> Array:
    """(P, G) float64 intersection over union of masks; 0 where both are empty."""
    shared = intersections(one, other)
    union = one.areas()[:, None] + other.areas()[None] - shared
    iou: Array = np.divide(shared, union, out=np.zeros(shared.shape), where=union > 0)
    return iou
