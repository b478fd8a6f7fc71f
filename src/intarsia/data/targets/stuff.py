"""What the class map of a panoptic network learns: the stuff, and all things as one class beside it.

Kirillov, Girshick, He, Dollar: "Panoptic Feature Pyramid Networks", CVPR 2019, section 3.1.
"""

from __future__ import annotations

import numpy as np

from intarsia.core import Array, Panoptic, SegmentationError, thing_ids_of
from intarsia.data.targets._objects import IGNORED

__all__ = ["stuff"]


def stuff(truth: Panoptic) -> Array:
    """0 on any thing, crowds included, 1..S on the stuff classes in the order of their ids, `IGNORED` on void.

    Returns:
        (H, W) uint8.

    Raises:
        SegmentationError: more stuff classes than a byte can number.
    """
    stuff_ids = np.setdiff1d(np.arange(len(truth.classes)), thing_ids_of(truth.classes))
    if len(stuff_ids) >= IGNORED:
        raise SegmentationError(f"There are {len(stuff_ids)} classes of stuff; at most {IGNORED - 1} can be learnt.")
    number = np.zeros(len(truth.classes), np.uint8)
    number[stuff_ids] = np.arange(1, len(stuff_ids) + 1)
    values, inverse = np.unique(truth.ids, return_inverse=True)
    of_id = {segment.id: number[segment.class_id] for segment in truth.segments}
    target: Array = np.array([of_id.get(int(value), IGNORED) for value in values], np.uint8)[inverse].reshape(truth.ids.shape)
    return target
