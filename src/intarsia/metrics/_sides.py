"""What truth and prediction must have in common before their objects are compared, and which of them do not count."""

from __future__ import annotations

import numpy as np

from intarsia.core import Array, BoolArray, Instances, Panoptic
from intarsia.metrics._overlap import intersections
from intarsia.metrics._pairing import need_same_classes, need_same_size

__all__ = ["crowd_of", "need_comparable", "shared_without_crowds"]


def need_comparable(prediction: Instances | Panoptic, truth: Instances | Panoptic, key: str) -> None:
    """Refuse sides of other classes or sizes.

    Raises:
        ClassSpaceError: classes of other names or in another order.
        SegmentationError: images of different sizes.
    """
    need_same_classes(prediction.classes, truth.classes, f"{key}: prediction and truth do not share their classes")
    need_same_size(prediction.size_hw, truth.size_hw, key)


def crowd_of(instances: Instances) -> BoolArray:
    """(Q,) bool, which objects stand for a group."""
    return np.zeros(len(instances), np.bool_) if instances.is_crowd is None else instances.is_crowd


def shared_without_crowds(prediction: Instances, truth: Instances) -> tuple[Array, Array, Array]:
    """Pixels that objects share, (P, G) int64, and the areas (P,) and (G,) of either side, of those objects that count.

    Crowds of the truth do not, nor do predicted objects of which more than half lies on one crowd.

    Raises:
        SegmentationError: images of different sizes.
    """
    shared = intersections(prediction.masks, truth.masks)
    area, true_area = prediction.masks.areas(), truth.masks.areas()
    crowd = crowd_of(truth)
    counts = 2 * shared[:, crowd].max(1, initial=0) <= area
    return shared[counts][:, ~crowd], area[counts], true_area[~crowd]
