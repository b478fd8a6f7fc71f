"""Boundary F1 (BF score): which share of the outlines of truth and prediction lies near the other's.

The outline of a class are its pixels with a pixel of another class on one of their four sides; the edge of the image is none.
Precision is the share of the predicted outline within a distance (Euclidean, between pixel centres) of the true outline of that
class, recall the share of the true outline within that distance of the predicted one, F1 = 2 P R / (P + R). The distance is
0.75 % of the diagonal, as in the source, or a number of pixels.

Two ways to combine images stand side by side: *pooled*, outlines of all images counted together, and *per image*, the mean over
the images in which truth or prediction has an outline of the class, as in the source. Pixels that the truth ignores make no
outline. It merges over images and processes, not over tiles, beyond whose edges nothing is near.

Source: Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013, section 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from intarsia.core import Array, LabelMap, SettingsError
from intarsia.metrics._evidence import RowEvidence
from intarsia.metrics._pairing import shared_classes
from intarsia.metrics._scores import RowScores, mean_defined, ratio

__all__ = ["BoundaryF1Evidence", "observe_boundary_f1", "score_boundary_f1", "score_tallies"]


class BoundaryF1Evidence(RowEvidence):
    """Tallies (I, 6, K), by class: predicted outline near the true one, predicted outline, true outline near the predicted one,
    true outline, all in pixels; then the image's own F1, and 1 where it has one.

    `about` holds the names of the classes, the distance in pixels or None, and the share of the diagonal.
    """


def observe_boundary_f1(
    prediction: LabelMap, truth: LabelMap, key: str, *, distance_px: float | None = None, diagonal_share: float = 0.0075
) -> BoundaryF1Evidence:
    """Compare the outlines of one image.

    Args:
        prediction: label map with classes.
        truth: label map of the same size, with classes of the same names in the same order.
        key: names the image.
        distance_px: how far apart outlines may be; None takes a share of the diagonal.
        diagonal_share: distance as a share of the diagonal, in (0, 1).

    Raises:
        SegmentationError: regions without classes, or sizes that differ.
        ClassSpaceError: other classes.
        SettingsError: a negative distance, or a share outside (0, 1).
    """
    classes = shared_classes(prediction, truth, key)
    if (distance_px is not None and distance_px < 0) or not 0 < diagonal_share < 1:
        raise SettingsError(
            f"Outlines may be {distance_px} pixels or {diagonal_share} of the diagonal apart; a distance of at least 0 and a "
            "share in (0, 1) fit."
        )
    distance = diagonal_share * math.hypot(*truth.size_hw) if distance_px is None else distance_px
    from intarsia.metrics._edges import count_near, edges

    sides = [(edges(side.ids, truth.ids, classes.ignore_id), side.ids) for side in (prediction, truth)]
    counts = [count_near(*sides[i], *sides[1 - i], len(classes), distance) for i in range(2)]
    tallies = np.concatenate([*counts, np.zeros((2, len(classes)))])
    own = _f1(tallies)
    tallies[4:] = np.nan_to_num(own), ~np.isnan(own)
    return BoundaryF1Evidence((classes.names, distance_px, diagonal_share), (key,), tallies[None])


def score_boundary_f1(evidence: BoundaryF1Evidence) -> RowScores:
    """`f1`, `precision`, `recall` (pooled) and `f1_per_image` of each class; `mean_f1`, `mean_f1_per_image` over classes."""
    pooling = "outlines of all images counted together; `per_image`: mean over the images with an outline of the class"
    return RowScores.of_evidence(evidence, score_tallies, pooling, evidence.about[0])


def score_tallies(tallies: Array) -> Mapping[str, Array]:
    """Scores from pooled tallies (R, 6, K), for `intarsia.metrics.bootstrap`."""
    near_truth, predicted, near_prediction, truth, own, defined = np.moveaxis(np.asarray(tallies, np.float64), -2, 0)
    f1, per_image = _f1(tallies), ratio(own, defined)
    return {
        "mean_f1": mean_defined(f1),
        "mean_f1_per_image": mean_defined(per_image),
        "f1": f1,
        "f1_per_image": per_image,
        "precision": ratio(near_truth, predicted),
        "recall": ratio(near_prediction, truth),
    }


def _f1(tallies: Array) -> Array:
    """(..., K), NaN without any outline; an outline on one side alone is 0."""
    near_truth, predicted, near_prediction, truth = np.moveaxis(np.asarray(tallies, np.float64), -2, 0)[:4]
    precision, recall = (np.nan_to_num(ratio(*pair)) for pair in ((near_truth, predicted), (near_prediction, truth)))
    f1 = np.nan_to_num(ratio(2 * precision * recall, precision + recall))
    return np.where(predicted + truth > 0, f1, np.nan)
