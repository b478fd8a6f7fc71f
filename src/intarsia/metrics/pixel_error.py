"""Pixel error of the EM challenge: 1 - the best F-score of the foreground pixels over the thresholds of a probability map.

With P(c) the pixels whose probability of foreground is at least c, T the foreground of the truth and R(c) the pixels in both,
F(c) = 2 R / (P + T); the error is 1 - max F(c) over c = 0, 0.01, ... 1. Unlike the warping error it charges for every pixel, also
where an outline is only displaced, so it ranks methods otherwise than the Rand scores do. Foreground are the cells, not the
membranes; `foreground` chooses. `share_wrong` is the share of wrong pixels at 0.5, the squared distance of two binary maps.

A prediction without probabilities is taken as 0 and 1. Counts of all images are pooled before a threshold is chosen, as for the
challenge's stack, so it merges over images, processes and tiles. Choosing the threshold on the images that are scored flatters a
little; `threshold` says which it was.

Source: Arganda-Carreras et al. 2015 (ISBI 2012 challenge), which lists it beside warping and Rand error.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from intarsia.core import Array, ClassSpaceError, LabelMap
from intarsia.metrics._evidence import RowEvidence
from intarsia.metrics._pairing import shared_classes
from intarsia.metrics._probabilities import need_probabilities
from intarsia.metrics._scores import RowScores, ratio

__all__ = ["PixelErrorEvidence", "observe_pixel_error", "score_pixel_error", "score_tallies"]

THRESHOLDS = np.arange(101) / 100


class PixelErrorEvidence(RowEvidence):
    """Tallies (I, 4, 101) int64 by threshold: pixels right, pixels predicted, pixels of the truth, and all that have a truth.

    `about` holds the names of the classes and the foreground.
    """


def observe_pixel_error(prediction: LabelMap, truth: LabelMap, key: str, *, foreground: int = 1) -> PixelErrorEvidence:
    """Count the foreground of one image at each threshold.

    Args:
        prediction: label map with classes, with `prob` or without.
        truth: label map of the same size, with classes of the same names in the same order.
        key: names the image.
        foreground: id of the class that is foreground.

    Raises:
        SegmentationError: regions without classes, sizes that differ, or probabilities outside [0, 1].
        ClassSpaceError: other classes, or none of that id.
    """
    classes = shared_classes(prediction, truth, key)
    if not 0 <= foreground < len(classes):
        raise ClassSpaceError(
            f"{key}: the foreground is class {foreground}; the {len(classes)} classes are 0..{len(classes) - 1}."
        )
    valid = truth.ids != classes.ignore_id
    if prediction.prob is None:
        prob = (prediction.ids[valid] == foreground).astype(np.float64)
    else:
        need_probabilities(prediction.prob, key)
        prob = prediction.prob[foreground][valid]
    true = truth.ids[valid] == foreground
    reached = np.searchsorted(THRESHOLDS, prob, side="right") - 1  # the highest threshold that a pixel passes
    counts = [np.bincount(steps, minlength=len(THRESHOLDS)) for steps in (reached[true], reached)]
    right, predicted = (count[::-1].cumsum()[::-1] for count in counts)
    tallies = np.stack([right, predicted, np.full_like(right, true.sum()), np.full_like(right, true.size)])
    return PixelErrorEvidence((classes.names, classes.names[foreground]), (key,), tallies[None])


def score_pixel_error(evidence: PixelErrorEvidence) -> RowScores:
    """`pixel_error`, the `threshold` that reaches it, and `share_wrong`."""
    return RowScores.of_evidence(evidence, score_tallies, "pixels of all images counted together")


def score_tallies(tallies: Array) -> Mapping[str, Array]:
    """Scores from pooled tallies (R, 4, 101), for `intarsia.metrics.bootstrap`."""
    right, predicted, truth, pixels = np.moveaxis(np.asarray(tallies, np.float64), -2, 0)
    f1 = ratio(2 * right, predicted + truth)
    defined = truth[..., 0] > 0
    best = np.where(np.isnan(f1), -1, f1).argmax(-1)
    return {
        "pixel_error": np.where(defined, 1 - np.take_along_axis(f1, best[..., None], -1)[..., 0], np.nan),
        "threshold": np.where(defined, THRESHOLDS[best], np.nan),
        "share_wrong": ratio(predicted + truth - 2 * right, pixels)[..., 50],
    }
