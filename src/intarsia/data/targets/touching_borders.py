"""What TernausNetV2 learns: where objects are, and where two of them touch.

Iglovikov et al., "TernausNetV2: Fully Convolutional Network for Instance Segmentation", CVPR workshops 2018, section 3.
"""

from __future__ import annotations

import numpy as np

from intarsia.core import Array, LabelMap, SettingsError
from intarsia.data.targets._objects import object_numbers, two_nearest

__all__ = ["touching_borders"]

IGNORED = 255
"""In the target, where the truth is ignored."""


def touching_borders(truth: LabelMap, *, width: float = 2.0) -> Array:
    """Objects, and pixels that are within `width` of two of them, which are those where two objects grown by it overlap.

    What an object is says `object_numbers`: to keep objects that touch apart, the truth has to number them, as regions without
    classes do. The paper does not say how wide its borders are.

    Args:
        truth: numbers of regions with 0 for the background, or classes.
        width: pixels, between pixel centres; the pixels of an object are at 0 from it.

    Returns:
        (2, H, W) uint8: 1 on objects; 1 on borders; `IGNORED` in both where the truth is ignored.

    Raises:
        SettingsError: the width is less than 1, so that nothing touches.
    """
    if width < 1:
        raise SettingsError(f"The borders are {width} pixels wide; neighbours are 1 apart, so that it is 1 or more.")
    objects = object_numbers(truth)
    target = np.stack([objects > 0, two_nearest(objects, width)[1] <= width]).astype(np.uint8)
    if truth.classes is not None:
        target[:, truth.ids == truth.classes.ignore_id] = IGNORED
    return target
