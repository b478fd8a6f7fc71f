"""Objects from scores of objects and of the borders where they touch: islands inside of borders, grown again.

Iglovikov et al., "TernausNetV2: Fully Convolutional Network for Instance Segmentation", CVPR workshops 2018, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from scipy import ndimage
from scipy.special import expit
from skimage.segmentation import watershed

from intarsia.core import Array, InstanceMasks, SettingsError
from intarsia.postprocess._numbered import mean_of_ids, objects_of_ids

__all__ = ["decode_border_watershed"]


def decode_border_watershed(
    logits: Array,
    parts: Mapping[str, Array],
    size_hw: tuple[int, int],
    *,
    scale_yx: tuple[float, float] = (1.0, 1.0),
    threshold: float = 0.5,
    seed_threshold: float = 0.5,
    flood: Literal["flat", "score"] = "flat",
    keep_seedless: bool = False,
    min_size: int = 20,
) -> tuple[InstanceMasks, Array, Array]:
    """Cut objects apart by watershed from seeds.

    With p the probability of the class of things that a pixel has most of, and b that of a border, a pixel belongs to an object
    if p > threshold. Where p (1 - b) > seed_threshold as well, its connected parts (4 neighbours) are the seeds; from them the
    pixels of the class are flooded (8 neighbours).

    The score of an object, which the paper does not define, is the mean of p over it.

    Source: the authors' code: both thresholds 0.5, a flat landscape, objects of fewer than 20 pixels dropped, and those that have
    no seed as well.

    Args:
        logits: (T + 1, H, W), scores of objects of each class and, last, of borders.
        parts: not used.
        size_hw: H and W.
        scale_yx: pixels of the image for one of the network; not used.
        threshold: on p, in (0, 1).
        seed_threshold: on p (1 - b), in (0, 1).
        flood: "flat", all pixels at one speed; or "score", those of a high p (1 - b) first, so that the cut runs along the
            middle of a border.
        keep_seedless: an object none of whose pixels are a seed is one all the same.
        min_size: objects of fewer pixels are dropped.

    Returns:
        Q masks, (Q,) int64 class index, (Q,) float32 score.

    Raises:
        SettingsError: a threshold that is no probability, an unknown flood, or a negative size.
    """
    if not (0 < threshold < 1 and 0 < seed_threshold < 1) or min_size < 0 or flood not in ("flat", "score"):
        raise SettingsError(
            f"threshold is {threshold}, seed_threshold {seed_threshold}, flood {flood!r} and min_size {min_size}; the first two "
            'are between 0 and 1, flood is "flat" or "score", and the size is 0 or more.'
        )
    prob = expit(logits[:-1].astype(np.float32))
    inside = 1 - expit(logits[-1].astype(np.float32))
    best = prob.argmax(0)
    ids = np.zeros(size_hw, np.int32)
    class_of_id: list[int] = []
    for index, own in enumerate(prob):
        mask = (own > threshold) & (best == index)
        markers, count = ndimage.label(mask & (own * inside > seed_threshold))
        if keep_seedless:
            islands, islands_count = ndimage.label(mask, np.ones((3, 3)))
            seeded = np.zeros(islands_count + 1, np.bool_)
            seeded[islands[markers > 0]] = True
            lonely, extra = ndimage.label(mask & ~seeded[islands], np.ones((3, 3)))
            markers += np.where(lonely > 0, lonely + count, 0)
            count += extra
        if not count:
            continue
        landscape = -(own * inside) if flood == "score" else np.zeros_like(own)
        found = watershed(landscape, markers, connectivity=2, mask=mask)
        ids += np.where(found > 0, found + len(class_of_id), 0).astype(np.int32)
        class_of_id += [index] * count
    score = mean_of_ids(prob.max(0), ids, len(class_of_id))
    return objects_of_ids(ids, np.array(class_of_id, np.int64), score, min_size)
