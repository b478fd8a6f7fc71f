"""Which object each pixel belongs to: what an embedding learns to tell apart."""

from __future__ import annotations

import numpy as np

from intarsia.core import Array
from intarsia.data.targets._objects import Truth, objects_of

__all__ = ["UNKNOWN", "object_ids"]

UNKNOWN = -1
"""Where the truth is ignored."""


def object_ids(truth: Truth) -> Array:
    """Numbers of the objects that are seen, 0 where there is none; of objects that overlap the earlier is seen.

    Returns:
        (H, W) int32: 0, 1..Q without gaps, or `UNKNOWN`.
    """
    objects = objects_of(truth)
    seen = np.unique(objects.ids)
    ids: Array = np.searchsorted(seen[seen > 0], objects.ids, side="right").astype(np.int32)
    ids[objects.ignored] = UNKNOWN
    return ids
