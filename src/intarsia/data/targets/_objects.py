"""Objects of a truth, one number for each pixel, and how far each pixel is from the two nearest of them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from intarsia.core import Array, BoolArray, FloatArray, Instances, LabelMap, Panoptic, SegmentationError, thing_ids_of

__all__ = ["IGNORED", "Objects", "Truth", "object_numbers", "objects_of", "two_nearest"]

Truth = LabelMap | Instances | Panoptic

IGNORED = 255
"""In targets of uint8, where the truth is ignored."""


class Objects(NamedTuple):
    """The objects of a truth, seen from above.

    ids: (H, W) int32 numbers 1..Q, 0 where there is none. A number may be missing, of an object hidden by others.
    thing_index: (Q,) int64 position of each object's class among the classes of things; 0 where there are no classes.
    things: T, the number of those classes, at least 1.
    ignored: (H, W) bool, void and crowds, where nothing is known; never on an object.
    """

    ids: Array
    thing_index: Array
    things: int
    ignored: BoolArray

    def thing_label(self) -> Array:
        """(H, W) int64: 0 where there is no object, and 1 + the thing index where there is one."""
        label: Array = np.append(0, self.thing_index + 1)[self.ids]
        return label


def objects_of(truth: Truth) -> Objects:
    """The objects of any truth that has some.

    Instances and the things of a panoptic truth are objects as they are; of instances that overlap the earlier is seen. What a
    label map has, `object_numbers` says.

    Raises:
        SegmentationError: an instance whose class is not one of things.
    """
    if isinstance(truth, LabelMap):
        return _of_label_map(truth)
    ids, ignored = np.zeros(truth.size_hw, np.int32), np.zeros(truth.size_hw, np.bool_)
    if isinstance(truth, Panoptic):
        ignored = truth.ids == 0
        truth = truth.to_instances()
    crowd = np.zeros(len(truth), np.bool_) if truth.is_crowd is None else truth.is_crowd
    for index in range(len(truth) - 1, -1, -1):
        x0, y0, x1, y1 = truth.masks.boxes_xyxy[index]
        (ignored if crowd[index] else ids)[y0:y1, x0:x1][truth.masks.crop(index)] = index + 1
    things = np.array(thing_ids_of(truth.classes))
    thing_index = np.searchsorted(things, truth.class_id)
    strange = things[thing_index.clip(max=len(things) - 1)] != truth.class_id
    if strange.any():
        names = sorted({truth.classes.names[int(class_id)] for class_id in truth.class_id[strange]})
        raise SegmentationError(
            f"The truth has objects of {', '.join(names)}, which are no classes of things; these are "
            f"{', '.join(truth.classes.names[i] for i in things)}. Declare all classes whose objects are counted as things."
        )
    return Objects(ids, thing_index, len(things), ignored & (ids == 0))


def _of_label_map(truth: LabelMap) -> Objects:
    ids = object_numbers(truth)
    count = int(ids.max(initial=0))
    if truth.classes is None:
        return Objects(ids, np.zeros(count, np.int64), 1, np.zeros(ids.shape, np.bool_))
    things = np.array(thing_ids_of(truth.classes))
    thing_index = np.zeros(count + 1, np.int64)
    thing_index[ids] = np.searchsorted(things, truth.ids).clip(max=len(things) - 1)
    return Objects(ids, thing_index[1:], len(things), truth.ids == truth.classes.ignore_id)


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
    last = 0
    for class_id in np.intersect1d(ids, thing_ids_of(truth.classes)):
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
