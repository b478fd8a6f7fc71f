"""What TernausNetV2 learns: where objects are, and where two of them touch.

Iglovikov et al., "TernausNetV2: Fully Convolutional Network for Instance Segmentation", CVPR workshops 2018, section 3.
"""

from __future__ import annotations

import numpy as np

from intarsia.core import Array, SettingsError
from intarsia.data.targets._objects import IGNORED, Truth, objects_of, two_nearest

__all__ = ["touching_borders"]


def touching_borders(truth: Truth, *, width: float = 2.0) -> Array:
    """Objects, and pixels that are within `width` of two of them, which are those where two objects grown by it overlap.

    What an object is says `objects_of`: to keep objects that touch apart, the truth has to number them, as instances do, and
    regions without classes. The paper does not say how wide its borders are.

    Args:
        truth: instances, a panoptic map, numbers of regions with 0 for the background, or classes.
        width: pixels, between pixel centres; the pixels of an object are at 0 from it.

    Returns:
        (T + 1, H, W) uint8: 1 on objects of each of the T classes of things, one without classes; last, 1 on borders; `IGNORED`
        in all where the truth is ignored.

    Raises:
        SettingsError: the width is less than 1, so that nothing touches.
    """
    if width < 1:
        raise SettingsError(f"The borders are {width} pixels wide; neighbours are 1 apart, so that it is 1 or more.")
    objects = objects_of(truth)
    label = objects.thing_label()
    borders = two_nearest(objects.ids, width)[1] <= width
    target = np.stack([*(label == index for index in range(1, objects.things + 1)), borders]).astype(np.uint8)
    target[:, objects.ignored] = IGNORED
    return target
