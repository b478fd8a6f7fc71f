"""Expected calibration error (ECE): how far confidence is from the share of pixels that are right, overall and of each class.

Pixels are sorted into B bins of equal width by a probability. With n pixels in a bin, p the mean probability there and a the
share of them that are right,

    ECE = sum over bins n / N |a - p|,    maximum calibration error (MCE) = max over bins |a - p|

`ece` is that of the largest probability, right where its class is the true one. The ECE of a class sorts *all* pixels by the
probability of that class, right where it is the true one; `class_ece` is the mean of these over the classes. Bins are open below
and closed above. 0 is perfect; a value below 1 / sqrt(pixels of a bin) is noise.

Counts and sums add up, so it merges over images, processes and tiles; pixels of all images share the bins.

Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equations 3 and 5; by class: Nixon et al., "Measuring
Calibration in Deep Learning", 2019 (static calibration error).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from intarsia.core import Array, LabelMap, SettingsError
from intarsia.metrics._evidence import RowEvidence
from intarsia.metrics._pairing import shared_classes
from intarsia.metrics._probabilities import need_probabilities
from intarsia.metrics._scores import RowScores, mean_defined, ratio

__all__ = [
    "CalibrationEvidence",
    "Reliability",
    "observe_calibration_error",
    "reliability",
    "score_calibration_error",
    "score_tallies",
]


class CalibrationEvidence(RowEvidence):
    """Tallies (I, K + 1, B, 3) float64, by class and, last, of the largest probability: pixels, sum of probabilities,
    pixels right.

    `about` holds the names of the classes and B.
    """


class Reliability(NamedTuple):
    """A reliability diagram: what confidence promised and what came, by bin; NaN in an empty one.

    confidence: (B,) mean probability.
    accuracy: (B,) share of the pixels that are right.
    pixels: (B,).
    """

    confidence: Array
    accuracy: Array
    pixels: Array


def observe_calibration_error(prediction: LabelMap, truth: LabelMap, key: str, *, bins: int = 15) -> CalibrationEvidence:
    """Sort the pixels of one image that have a truth into bins.

    Args:
        prediction: label map with classes and `prob`.
        truth: label map of the same size, with classes of the same names in the same order.
        key: names the image.
        bins: their number.

    Raises:
        SegmentationError: regions without classes, sizes that differ, no probabilities, or some outside [0, 1].
        ClassSpaceError: other classes.
        SettingsError: no bin.
    """
    classes = shared_classes(prediction, truth, key)
    if bins < 1:
        raise SettingsError(f"There are {bins} bins; at least 1 is needed, and 15 are usual.")
    prob = need_probabilities(prediction.prob, key)
    from intarsia.metrics._count_bins import count_bins

    tallies = count_bins(prob, truth.ids, classes.ignore_id, bins)
    return CalibrationEvidence((classes.names, bins), (key,), tallies[None])


def score_calibration_error(evidence: CalibrationEvidence) -> RowScores:
    """`ece` and `mce` of the largest probability, `class_ece` over classes, and `ece_of_class` of each."""
    return RowScores.of_evidence(evidence, score_tallies, "pixels of all images counted together", evidence.about[0])


def score_tallies(tallies: Array) -> Mapping[str, Array]:
    """Scores from pooled tallies (R, K + 1, B, 3), for `intarsia.metrics.bootstrap`."""
    pixels, confidence, right = np.moveaxis(np.asarray(tallies, np.float64), -1, 0)
    gap = np.abs(right - confidence)
    ece = ratio(gap.sum(-1), pixels.sum(-1))
    largest = np.where(pixels[..., -1, :] > 0, ratio(gap, pixels)[..., -1, :], -1).max(-1)
    return {
        "ece": ece[..., -1],
        "mce": np.where(largest < 0, np.nan, largest),
        "class_ece": mean_defined(ece[..., :-1]),
        "ece_of_class": ece[..., :-1],
    }


def reliability(evidence: CalibrationEvidence, class_id: int = -1) -> Reliability:
    """The reliability diagram of a class, or of the largest probability (-1)."""
    pixels, confidence, right = evidence.pooled[class_id].T
    return Reliability(ratio(confidence, pixels), ratio(right, pixels), pixels)
