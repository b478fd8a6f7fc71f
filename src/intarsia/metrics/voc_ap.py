"""mAP^r: average precision of objects by their masks as PASCAL VOC counts it, at IoU 0.5 and 0.7, for results on VOC and SBD.

The predicted objects of a class go in the order of their scores, over all images. Each is compared with the true object of its
class in its image with which it has the largest IoU: at or above the threshold the first to come is a true positive, each later
one a false positive, though another true object may be near; below the threshold it is a false positive. A crowd of the truth is
treated as the devkit treats difficult objects: it is not counted, nor is what is compared with it. The average precision is the
mean of the interpolated precision at the recalls 0, 0.1, ... 1, as MNC and FCIS report it, or the area under it; the mAP is over
the classes with a true object. Equal scores keep the order of images and objects.

It merges over images and processes, not over tiles, which cut objects.

Source: Hariharan et al., "Simultaneous Detection and Segmentation", ECCV 2014; Everingham et al., "The PASCAL Visual Object
Classes (VOC) Challenge", IJCV 2010, section 4.2, for the eleven points and for matches at the threshold, which its devkit
accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from intarsia.core import Array, Instances
from intarsia.metrics._overlap import pairwise_iou
from intarsia.metrics._ranking import (
    FALSE,
    IGNORED,
    TRUE,
    ImageEvidence,
    RankedImage,
    average_precisions,
    ranked,
    truths_by_image,
)
from intarsia.metrics._scores import RowScores, mean_defined
from intarsia.metrics._sides import crowd_of, need_comparable

__all__ = ["VocApEvidence", "observe_voc_ap", "score_voc_ap", "voc_ap_of_draws"]

THRESHOLDS = (0.5, 0.7)
Interpolation = Literal["eleven points", "area"]


class VocApEvidence(ImageEvidence[RankedImage]):
    """What became of each predicted object at IoU 0.5 and 0.7."""


def observe_voc_ap(prediction: Instances, truth: Instances, key: str) -> VocApEvidence:
    """Match the objects of one image.

    Args:
        prediction: objects with scores (without, all are equal), which may overlap.
        truth: of the same size and classes.
        key: names the image.

    Raises:
        ClassSpaceError: other classes.
        SegmentationError: another size.
    """
    need_comparable(prediction, truth, key)
    iou = pairwise_iou(prediction.masks, truth.masks)
    iou[prediction.class_id[:, None] != truth.class_id[None]] = -1.0
    score, crowd = ranked(prediction.score, len(prediction)), crowd_of(truth)
    outcome = np.full((len(prediction), len(THRESHOLDS)), FALSE, np.int8)
    taken = np.zeros((len(truth), len(THRESHOLDS)), np.bool_)
    for index in np.argsort(-score, kind="stable") if len(truth) else ():
        nearest = int(iou[index].argmax())
        for column, threshold in enumerate(THRESHOLDS):
            if iou[index, nearest] >= threshold:
                outcome[index, column] = IGNORED if crowd[nearest] else FALSE if taken[nearest, column] else TRUE
                taken[nearest, column] = True
    truths = np.bincount(truth.class_id[~crowd], minlength=len(truth.classes))
    image = RankedImage(prediction.class_id, score, outcome, truths)
    return VocApEvidence(("VOC average precision", truth.classes.names), (key,), (image,))


def score_voc_ap(evidence: VocApEvidence, interpolation: Interpolation = "eleven points") -> RowScores:
    """The average precision over the objects of all images of the evidence, by the names of `voc_ap_of_draws`."""
    return evidence.score(voc_ap_of_draws(evidence, interpolation))


def voc_ap_of_draws(
    evidence: VocApEvidence, interpolation: Interpolation = "eleven points"
) -> Callable[[Array], Mapping[str, Array]]:
    """Scores of R draws of the I images.

    `bootstrap(evidence.draws, voc_ap_of_draws(evidence))` gives their intervals.

    Returns:
        A function of (R, I), how often each image was drawn, that gives "map_50" and "map_70", (R,), and "ap_50_of_class",
        "ap_70_of_class" and "truths_of_class", (R, K).
    """

    def curve(true: Array, false: Array, truths: float) -> Array:
        recall, precision = true / truths, true / np.maximum(true + false, 1)
        if interpolation == "area":
            envelope = np.maximum.accumulate(precision[::-1], 0)[::-1]
            return np.asarray((np.diff(recall, axis=0, prepend=0) * envelope).sum(0))
        return np.asarray(np.mean([np.where(recall >= level, precision, 0.0).max(0) for level in np.arange(11) / 10], 0))

    def score(draws: Array) -> Mapping[str, Array]:
        ap = average_precisions(evidence, draws, curve, ties_together=False)
        at_50, at_70 = ap[..., 0], ap[..., 1]
        of_class = {"ap_50_of_class": at_50, "ap_70_of_class": at_70, "truths_of_class": draws @ truths_by_image(evidence)}
        return {"map_50": mean_defined(at_50), "map_70": mean_defined(at_70), **of_class}

    return score
