"""How far people agree with one another on an image: the score to expect of a perfect method, and the noise of the truth.

Each annotator in turn is the prediction and all others are the truth. For maps with classes the result is confusion evidence, so
IoU, accuracy and kappa follow, pooled over all pairs in both orders (the chance in kappa is then that of Scott's pi); for regions
it is region evidence, so probabilistic Rand, variation of information, covering and boundary scores follow, the mean over
annotators and then over images. A method that scores higher against people than they do against one another has learned the
habits of one of them. It merges as the evidence it returns does.

Source: for regions Martin et al., "A Database of Human Segmented Natural Images", ICCV 2001, and the row "Human" in the tables of
Arbelaez et al. 2011; kappa as an agreement of annotators: Cohen 1960.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from intarsia.core import LabelMap, SegmentationError
from intarsia.metrics._scores import ratio
from intarsia.metrics.confusion import ConfusionEvidence, observe_confusion
from intarsia.metrics.region_overlap import RegionEvidence, observe_region_overlap

__all__ = ["observe_class_consistency", "observe_region_consistency"]


def observe_class_consistency(truths: Sequence[LabelMap], key: str) -> ConfusionEvidence:
    """Confusion of each annotator with each other, all of one image in one row.

    Args:
        truths: label maps of one size with the same classes, at least two. A pixel counts where the one taken as truth has a
            class; where the other has none it counts as wrong.
        key: names the image.

    Raises:
        SegmentationError: fewer than two annotators, regions without classes, or sizes that differ.
        ClassSpaceError: other classes.
    """
    _need_two(truths, key)
    pairs = [(one, other) for one in truths for other in truths if one is not other]
    return ConfusionEvidence.concatenate([observe_confusion(one, other, key) for one, other in pairs]).by_key()


def observe_region_consistency(truths: Sequence[LabelMap], key: str, *, distance_px: float = 2.0) -> RegionEvidence:
    """Region scores of each annotator against all others, the mean over annotators in one row.

    Args:
        truths: region maps of one size, at least two.
        key: names the image.
        distance_px: how far apart edges may be to match.

    Raises:
        SegmentationError: fewer than two annotators, or sizes that differ.
        SettingsError: a negative distance.
    """
    _need_two(truths, key)
    rows = [
        observe_region_overlap(one, [*truths[:index], *truths[index + 1 :]], key, distance_px=distance_px)
        for index, one in enumerate(truths)
    ]
    total, defined = RegionEvidence.concatenate(rows).pooled
    return replace(rows[0], tallies=np.stack([np.nan_to_num(ratio(total, defined)), defined > 0])[None])


def _need_two(truths: Sequence[LabelMap], key: str) -> None:
    if len(truths) < 2:
        raise SegmentationError(f"{key}: {len(truths)} annotator is not enough to compare people; at least 2 are needed.")
