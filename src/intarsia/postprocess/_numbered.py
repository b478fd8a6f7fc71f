"""A map of object numbers to masks, classes and scores, one object at a time."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from intarsia.core import Array, InstanceMasks

__all__ = ["mean_of_ids", "objects_of_ids"]


def objects_of_ids(ids: Array, class_index: Array, score: Array, min_size: int) -> tuple[InstanceMasks, Array, Array]:
    """Objects of a map, each cropped to its box.

    Args:
        ids: (H, W) integer object numbers, 0 = none.
        class_index: (Q,) of the numbers 1..Q.
        score: (Q,) of the same numbers.
        min_size: objects of fewer pixels are dropped, empty ones always.

    Returns:
        Masks, int64 class index and float32 score of the objects that are kept, in the order of their numbers.
    """
    height, width = ids.shape
    count = len(class_index)
    areas = np.bincount(ids.ravel(), minlength=count + 1)[1:]
    kept = np.flatnonzero(areas >= max(min_size, 1))
    boxes = ndimage.find_objects(ids, max_label=count) if count else []
    crops = (((boxes[i][0].start, boxes[i][1].start), ids[boxes[i]] == i + 1) for i in kept)
    return InstanceMasks.pack_crops(crops, (height, width)), class_index[kept].astype(np.int64), score[kept].astype(np.float32)


def mean_of_ids(values: Array, ids: Array, count: int) -> Array:
    """(count,) float64 mean of `values` (H, W) over the pixels of each number 1..count; 0 of a number that no pixel has."""
    areas = np.bincount(ids.ravel(), minlength=count + 1)[1:]
    mean: Array = np.bincount(ids.ravel(), values.ravel(), minlength=count + 1)[1:] / areas.clip(1)
    return mean
