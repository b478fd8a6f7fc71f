"""Which class of things each pixel shows: what gates Deep Watershed."""

from __future__ import annotations

import numpy as np

from intarsia.core import Array
from intarsia.data.targets._objects import IGNORED, Truth, objects_of

__all__ = ["thing_label"]


def thing_label(truth: Truth) -> Array:
    """0 where there is no object, and 1 + t on objects of the class of things at position t.

    Returns:
        (H, W) uint8, 255 where the truth is ignored.
    """
    objects = objects_of(truth)
    label = objects.thing_label().astype(np.uint8)
    label[objects.ignored] = IGNORED
    return label
