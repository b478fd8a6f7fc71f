"""Objects of a label map, and how far each pixel is from the two nearest of them."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from intarsia.core import Array, FloatArray, LabelMap

__all__ = ["object_numbers", "two_nearest"]


def object_numbers(truth: LabelMap) -> Array:
    """(H, W) int32 numbers of objects, 0 where there is none.

    With classes, objects are the connected parts (4 neighbours) of each thing class; where no class is a thing, of each class but
    the first, which is then the background. Regions without classes are objects as they are, 0 aside.
    """
    ids = truth.ids
    if truth.classes is None:
        numbers: Array = np.unique(np.append(ids.ravel(), 0), return_inverse=True)[1][:-1].reshape(ids.shape).astype(np.int32)
        return numbers
    numbers = np.zeros(ids.shape, np.int32)
    things = truth.classes.thing_ids or range(1, len(truth.classes))
    last = 0
    for class_id in np.intersect1d(ids, things):
        parts, count = ndimage.label(ids == class_id)
        np.add(parts, last, out=numbers, where=parts > 0)
        last += count
    return numbers


def two_nearest(objects: Array, reach: float) -> tuple[FloatArray, FloatArray]:
    """Distances to the nearest and to the second nearest object, between pixel centres: 0 on the object, 1 beside it.

    Each object is looked at within its box and `reach` around it only, so that many small objects cost little.

    Args:
        objects: (H, W) numbers of objects, 0 where there is none.
        reach: pixels; distances above it are infinite.

    Returns:
        Two of (H, W) float32.
    """
    nearest, second = np.full((2, *objects.shape), np.inf, np.float32)
    margin = math.ceil(reach)
    for number, box in enumerate(ndimage.find_objects(objects) if objects.size else (), 1):
        if box is None:
            continue
        window = tuple(slice(max(0, side.start - margin), side.stop + margin) for side in box)
        distance = ndimage.distance_transform_edt(objects[window] != number).astype(np.float32)
        distance[distance > reach] = np.inf
        second[window] = np.minimum(second[window], np.maximum(nearest[window], distance))
        nearest[window] = np.minimum(nearest[window], distance)
    return nearest, second
