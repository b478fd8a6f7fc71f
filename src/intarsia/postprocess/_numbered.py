"""A map of object numbers to masks, classes and scores, one object at a time."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from intarsia.core import Array, InstanceMasks

__all__ = ["objects_of_ids"]


def objects_of_ids(ids: Array, class_index: Array, confidence: Array, min_size: int) -> tuple[InstanceMasks, Array, Array]:
    """Objects of a map, each cropped to its box.

    Args:
        ids: (H, W) integer object numbers, 0 = none.
        class_index: (Q,) of the numbers 1..Q.
        confidence: (H, W); an object's score is its mean over the object.
        min_size: objects of fewer pixels are dropped, empty ones always.

    Returns:
        Masks, class index and float32 score of the objects that are kept, in the order of their numbers.
    """
    height, width = ids.shape
    count = len(class_index)
    areas = np.bincount(ids.ravel(), minlength=count + 1)[1:]
    totals = np.bincount(ids.ravel(), confidence.ravel(), minlength=count + 1)[1:]
    kept = np.flatnonzero(areas >= max(min_size, 1))
    boxes = ndimage.find_objects(ids, max_label=count) if count else []
    crops = (((boxes[i][0].start, boxes[i][1].start), ids[boxes[i]] == i + 1) for i in kept)
    score = (totals[kept] / areas[kept]).astype(np.float32)
    return InstanceMasks.pack_crops(crops, (height, width)), class_index[kept], score
