"""How two regions lie to each other: above, below, inside, around.

Galleguillos, Rabinovich, Belongie, "Object categorization using co-occurrence, location and appearance", CVPR 2008, quantise the
difference of heights and the overlaps of the bounding boxes to four prototypes; here the same quantities have thresholds.
"""

from __future__ import annotations

import numpy as np

from intarsia.core import Array

__all__ = ["ABOVE", "AROUND", "BELOW", "INSIDE", "UNRELATED", "relations"]

UNRELATED, ABOVE, BELOW, INSIDE, AROUND = range(5)
APART = 0.05  # of the image's height: difference of two centres that makes one the upper
BESIDE = 0.5  # of the narrower box's width: what the two have in common, below which they lie side by side
CONTAINED = 0.9  # of a box's area: what lies in the other box, if it is inside


def relations(ids: Array) -> Array:
    """What each region is to each other one, as far as boxes and centres tell.

    Args:
        ids: (H, W) region numbers from 0, each in use.

    Returns:
        (R, R) int8; row i, column j is ABOVE where region i is above region j, which is then BELOW it, and so with INSIDE and
        AROUND. A box that lies in another, larger one is inside, not above.
    """
    from scipy.ndimage import find_objects

    boxes = np.array([(y.start, x.start, y.stop, x.stop) for y, x in find_objects(ids + 1)])
    top, left, bottom, right = boxes.T
    rows = np.broadcast_to(np.arange(len(ids))[:, None], ids.shape)
    centre = np.bincount(ids.ravel(), rows.ravel()) / np.bincount(ids.ravel())
    width, area = right - left, (bottom - top) * (right - left)
    common_width = np.maximum(np.minimum.outer(right, right) - np.maximum.outer(left, left), 0)
    common_height = np.maximum(np.minimum.outer(bottom, bottom) - np.maximum.outer(top, top), 0)
    inside = (common_width * common_height >= CONTAINED * area[:, None]) & np.less.outer(area, area)
    above = (np.subtract.outer(centre, centre) < -APART * len(ids)) & (common_width >= BESIDE * np.minimum.outer(width, width))
    found = np.full(above.shape, UNRELATED, np.int8)
    found[above], found[above.T] = ABOVE, BELOW
    found[inside], found[inside.T] = INSIDE, AROUND
    return found
