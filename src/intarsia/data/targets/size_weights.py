"""Weights by which small objects count as much as large ones, but for their shape.

Bai, Urtasun, "Deep Watershed Transform for Instance Segmentation", CVPR 2017, sections 3.1 and 3.2.
"""

from __future__ import annotations

import numpy as np

from intarsia.core import FloatArray
from intarsia.data.targets._objects import Truth, objects_of

__all__ = ["size_weights"]


def size_weights(truth: Truth, *, min_size: int = 100) -> FloatArray:
    """`200 / sqrt(area)` of the object that a pixel belongs to, so that all its pixels together weigh as its diameter; 0 outside.

    The paper's code leaves objects of fewer than 100 pixels out. Here they are in, and their pixels weigh as those of an object
    of `min_size`: else a few of them would weigh more than all others.

    Returns:
        (H, W) float32.
    """
    ids = objects_of(truth).ids
    areas = np.bincount(ids.ravel(), minlength=1)
    weight_of_id = (200 / np.sqrt(areas.clip(min_size))).astype(np.float32)
    weight_of_id[0] = 0
    weights: FloatArray = weight_of_id[ids]
    return weights
