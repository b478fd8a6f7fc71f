"""Boundary IoU: IoU of the bands along the outlines, which does not forgive a bad outline for a large inside.

The band of a class is what d erosions by a square of 3 x 3 take away from its mask, with nothing outside the image: its pixels at
most d steps, along rows, columns and diagonals, from a pixel of another class or from the outside. Boundary IoU is the IoU of the
band of the prediction and that of the truth. For label maps it is pooled: pixels of all images are counted together, class by
class. Pixels that the truth ignores count nowhere, and they make no outline where a class ends at them.

The bands of all classes, or of all objects of a map, come from one pass for the edges and one dilation of these, whatever their
number. Counts add up over images and processes; over tiles they do not, since the edge of a tile is taken for an outline.

Source: Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", CVPR 2021, equation 2; d there is
2 % of the diagonal on COCO and LVIS and 0.5 % on Cityscapes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from intarsia.core import Array, LabelMap, SegmentationError, SettingsError
from intarsia.metrics._evidence import RowEvidence
from intarsia.metrics._pairing import need_same_size, shared_classes
from intarsia.metrics._scores import RowScores, mean_defined, ratio

__all__ = [
    "BoundaryIouEvidence",
    "band_width",
    "observe_boundary_iou",
    "pairwise_boundary_iou",
    "score_boundary_iou",
    "score_tallies",
]


class BoundaryIouEvidence(RowEvidence):
    """Tallies (I, 3, K) int64: pixels in both bands, in the band of the truth, in the band of the prediction, by class.

    `about` holds the names of the classes, the width in pixels or None, and the share of the diagonal.
    """


def band_width(size_hw: tuple[int, int], *, width_px: int | None = None, diagonal_share: float = 0.02) -> int:
    """Width of the band in pixels, at least 1.

    Args:
        size_hw: of the image.
        width_px: the width itself; None takes a share of the diagonal.
        diagonal_share: width as a share of the diagonal, in (0, 1).

    Raises:
        SettingsError: a width below 1, or a share outside (0, 1).
    """
    if width_px is not None:
        if width_px < 1:
            raise SettingsError(f"The boundary is {width_px} pixels wide; at least 1 is needed.")
        return width_px
    if not 0 < diagonal_share < 1:
        raise SettingsError(
            f"The boundary is {diagonal_share} of the diagonal wide; a share in (0, 1) fits, such as 0.02. Give a width in "
            "pixels as `width_px`."
        )
    return max(1, round(diagonal_share * math.hypot(*size_hw)))


def observe_boundary_iou(
    prediction: LabelMap, truth: LabelMap, key: str, *, width_px: int | None = None, diagonal_share: float = 0.02
) -> BoundaryIouEvidence:
    """Count the pixels of the bands of one image.

    Args:
        prediction: label map with classes.
        truth: label map of the same size, with classes of the same names in the same order.
        key: names the image.
        width_px: see `band_width`.
        diagonal_share: see `band_width`.

    Raises:
        SegmentationError: regions without classes, or sizes that differ.
        ClassSpaceError: other classes.
        SettingsError: a width that cannot be used.
    """
    classes = shared_classes(prediction, truth, key)
    width = band_width(truth.size_hw, width_px=width_px, diagonal_share=diagonal_share)
    from intarsia.metrics._edges import bands, count_in_bands, edges

    true_band, predicted_band = (
        bands(edges(side.ids, truth.ids, classes.ignore_id, corners=True, border=True), width) for side in (truth, prediction)
    )
    tallies = count_in_bands(truth.ids, prediction.ids, true_band, predicted_band, classes.ignore_id, len(classes))
    return BoundaryIouEvidence((classes.names, width_px, diagonal_share), (key,), tallies[None])


def score_boundary_iou(evidence: BoundaryIouEvidence) -> RowScores:
    """The pooled scores: `boundary_iou` of each class, and `mean_boundary_iou` over the classes that occur."""
    return RowScores.of_evidence(evidence, score_tallies, "band pixels of all images counted together", evidence.about[0])


def score_tallies(tallies: Array) -> Mapping[str, Array]:
    """Scores from pooled tallies (R, 3, K), for `intarsia.metrics.bootstrap`."""
    both, truth, predicted = np.moveaxis(np.asarray(tallies, np.float64), -2, 0)
    iou = ratio(both, truth + predicted - both)
    return {"mean_boundary_iou": mean_defined(iou), "boundary_iou": iou}


def pairwise_boundary_iou(prediction_ids: Array, truth_ids: Array, predicted: Array, true: Array, width: int) -> Array:
    """Boundary IoU of every pair of objects of two maps that number their objects.

    The paper's AP and PQ take, for each pair, the smaller of mask IoU and boundary IoU.

    Args:
        prediction_ids: (H, W) integer object numbers.
        truth_ids: (H, W) likewise.
        predicted: (P,) numbers of the predicted objects to compare.
        true: (G,) numbers of the true ones.
        width: of the band in pixels, see `band_width`.

    Returns:
        (P, G) float64; 0 for an object that is not there.

    Raises:
        SegmentationError: maps of different sizes.
        SettingsError: a width below 1.
    """
    need_same_size(prediction_ids.shape, truth_ids.shape, "Objects")
    if len(np.unique(predicted)) < len(predicted) or len(np.unique(true)) < len(true):
        raise SegmentationError("An object is listed twice; each number can stand for one object only.")
    width = band_width((1, 1), width_px=width)
    from intarsia.metrics._edges import bands, count_pairs_in_bands, edges

    sides = [(ids, bands(edges(ids, ids, -1, corners=True, border=True), width)) for ids in (prediction_ids, truth_ids)]
    rows, columns = np.argsort(predicted), np.argsort(true)
    counts = count_pairs_in_bands(*sides[0], *sides[1], np.asarray(predicted)[rows], np.asarray(true)[columns])
    both = counts[:-1, :-1]
    union = counts.sum(1)[:-1, None] + counts.sum(0)[None, :-1] - both
    iou = np.empty(both.shape)
    iou[np.ix_(rows, columns)] = np.divide(both, union, out=np.zeros(both.shape), where=union > 0)
    return iou
