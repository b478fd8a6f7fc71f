"""Which classes an image holds.

Zhang et al., "Context Encoding for Semantic Segmentation", CVPR 2018, section 3 (the target of the SE-loss).
"""

from __future__ import annotations

import numpy as np

from intarsia.core import FloatArray, LabelMap, SegmentationError

__all__ = ["presence"]


def presence(truth: LabelMap) -> FloatArray:
    """1 for each class that at least one pixel has, 0 for the others; ignored pixels do not count.

    Returns:
        (K,) float32.

    Raises:
        SegmentationError: the truth has regions without classes.
    """
    if truth.classes is None:
        raise SegmentationError(
            f"The label map of {truth.size_hw[0]} x {truth.size_hw[1]} pixels has no classes, so no class can be present in it. "
            "It probably holds region numbers; give a label map with its class space."
        )
    count = len(truth.classes)
    flags = np.zeros(count, np.float32)
    ids = np.unique(truth.ids)
    flags[ids[ids < count]] = 1
    return flags
