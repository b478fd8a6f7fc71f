"""Average precision of objects by their masks as the Cityscapes benchmark counts it: AP over IoU 0.5, 0.55, ... 0.95, and AP50.

At each threshold a predicted object and a true one of its class and image match if their IoU is above it. Of those that match one
true object the highest score is the true positive, the others are false. One that matches nothing is false too, unless more than
the threshold of its pixels (as a share) lies on void, on groups of its class, or on true objects of its class below 100 pixels;
groups and such small objects are not counted themselves, nor is a prediction that matches one. The curve has a point for each
score and one at recall 0 with precision 1; its area adds to each precision half the recall between its neighbours. AP is the mean
over thresholds and classes with a true object.

It merges over images and processes, not over tiles, which cut objects. The variants at 50 m and 100 m need distances, which the
published truth lacks.

Source: Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016, section 3.2, and the behaviour
of its published evaluation (a group below 100 pixels counts twice as what a prediction may lie on, there and here).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from intarsia.core import Array, BoolArray, Instances, SegmentationError
from intarsia.metrics._overlap import intersections
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

__all__ = ["CityscapesApEvidence", "cityscapes_ap_of_draws", "observe_cityscapes_ap", "score_cityscapes_ap"]

THRESHOLDS = np.arange(0.5, 1.0, 0.05)  # in binary a hair off the decimals, as in the published evaluation


class CityscapesApEvidence(ImageEvidence[RankedImage]):
    """What became of each predicted object at the ten thresholds."""


def observe_cityscapes_ap(
    prediction: Instances, truth: Instances, key: str, *, void: BoolArray | None = None, min_pixels: int = 100
) -> CityscapesApEvidence:
    """Match the objects of one image.

    Args:
        prediction: objects with scores (without, all are equal), which may overlap; empty ones are left out.
        truth: of the same size and classes, not overlapping; groups are its crowds.
        key: names the image.
        void: (H, W) bool, pixels whose class is not evaluated.
        min_pixels: smaller true objects are not counted.

    Raises:
        ClassSpaceError: other classes.
        SegmentationError: another size.
    """
    need_comparable(prediction, truth, key)
    if void is not None and void.shape != truth.size_hw:
        raise SegmentationError(f"{key}: void has shape {void.shape} and the truth {truth.size_hw}; they must be the same.")
    same = prediction.class_id[:, None] == truth.class_id[None]
    shared = np.where(same, intersections(prediction.masks, truth.masks), 0)
    area, true_area = prediction.masks.areas(), truth.masks.areas()
    union = area[:, None] + true_area[None] - shared
    iou = np.where(union > 0, shared / np.maximum(union, 1), 0.0)
    crowd, small = crowd_of(truth), true_area < min_pixels
    on_void = np.array([0 if void is None else void[at][mask].sum() for at, mask in prediction.masks.crops()], np.int64)
    excused = (on_void + shared @ (crowd.astype(np.int64) + small)) / np.maximum(area, 1)
    score, counted = ranked(prediction.score, len(prediction)), ~crowd & ~small
    outcome = np.full((len(prediction), len(THRESHOLDS)), IGNORED, np.int8)
    for column, threshold in enumerate(THRESHOLDS):
        matches = iou > threshold
        outcome[~matches.any(1) & (excused <= threshold), column] = FALSE
        outcome[matches[:, counted].any(1), column] = FALSE
        for index in np.flatnonzero(counted & matches.any(0)):
            candidates = np.flatnonzero(matches[:, index])
            outcome[candidates[score[candidates].argmax()], column] = TRUE
    full = area > 0
    truths = np.bincount(truth.class_id[counted], minlength=len(truth.classes))
    image = RankedImage(prediction.class_id[full], score[full], outcome[full], truths)
    return CityscapesApEvidence(("Cityscapes average precision", truth.classes.names, min_pixels), (key,), (image,))


def score_cityscapes_ap(evidence: CityscapesApEvidence) -> RowScores:
    """The average precision over the objects of all images of the evidence, by the names of `cityscapes_ap_of_draws`."""
    return evidence.score(cityscapes_ap_of_draws(evidence))


def cityscapes_ap_of_draws(evidence: CityscapesApEvidence) -> Callable[[Array], Mapping[str, Array]]:
    """Scores of R draws of the I images.

    `bootstrap(evidence.draws, cityscapes_ap_of_draws(evidence))` gives their intervals.

    Returns:
        A function of (R, I), how often each image was drawn, that gives "ap" and "ap_50", (R,), and "ap_of_class",
        "ap_50_of_class" and "truths_of_class", (R, K).
    """

    def curve(true: Array, false: Array, truths: float) -> Array:
        predicted = true + false
        precision = np.divide(true, predicted, out=np.ones(true.shape), where=predicted > 0)
        recall = np.concatenate([np.zeros((2, true.shape[1])), true / truths, true[-1:] / truths])
        widths = (recall[2:] - recall[:-2]) / 2
        return np.asarray(widths[0] + (precision * widths[1:]).sum(0))

    def score(draws: Array) -> Mapping[str, Array]:
        ap = average_precisions(evidence, draws, curve, ties_together=True)
        of_class = {"ap": ap.mean(-1), "ap_50": ap[..., 0]}
        scores = {name: mean_defined(values) for name, values in of_class.items()}
        of_class |= {"truths": draws @ truths_by_image(evidence)}
        return scores | {f"{name}_of_class": values for name, values in of_class.items()}

    return score
