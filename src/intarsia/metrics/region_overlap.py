"""Regions without classes against those that people drew: probabilistic Rand index, variation of information, covering, and what
superpixels are judged by: boundary recall and precision, under-segmentation error, achievable accuracy.

With n_gp the pixels that true region g and predicted region p share, t_g and s_p their areas and N all pixels:

    Rand index                  1 - (sum t^2 / 2 + sum s^2 / 2 - sum n^2) / (N (N - 1) / 2), pairs of pixels treated alike
    variation of information    H(S | T) + H(T | S) = 2 H(T, S) - H(T) - H(S), in bits; 0 for equal regions, not bounded by 1
    covering                    sum_g t_g / N max_p IoU(g, p)
    under-segmentation error    1 / N sum_g sum_p min(n_gp, s_p - n_gp), over the p that touch g
    achievable accuracy         1 / N sum_p max_g n_gp
    boundary recall             share of the true edge pixels with a predicted one within a distance; precision the other way

An edge pixel has a pixel of another region on one of its four sides. Several people draw one image: each score is the mean over
them, which for the Rand index is the probabilistic Rand index, and then the mean over images. (The BSDS code pools the covering
over all images, where images with more annotators count more.) A region is all pixels with its number, in one piece or not. It
merges over images and processes, not over tiles, which cut regions.

Source: Unnikrishnan, Pantofaru and Hebert 2007 (probabilistic Rand); Meila 2007 (variation of information); Arbelaez et al. 2011,
section 3.1 (covering); Neubert and Protzel 2012, equation 3 (under-segmentation error); Liu et al. 2011 (achievable accuracy).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from intarsia.core import Array, LabelMap, SegmentationError, SettingsError
from intarsia.metrics._evidence import RowEvidence
from intarsia.metrics._pairing import ignored_id, need_same_size
from intarsia.metrics._scores import RowScores, ratio
from intarsia.metrics._shared_regions import SharedRegions, entropy, shared_regions

__all__ = ["RegionEvidence", "observe_region_overlap", "score_region_overlap", "score_tallies"]

SCORES = (
    "rand_index",
    "variation_of_information",
    "over_segmentation",
    "under_segmentation",
    "covering",
    "undersegmentation_error",
    "achievable_accuracy",
    "boundary_recall",
    "boundary_precision",
)
"""`over_segmentation` is H(S | T) and `under_segmentation` H(T | S), the two parts of the variation of information."""


class RegionEvidence(RowEvidence):
    """Tallies (I, 2, 9): the scores of an image in the order of `SCORES`, below them 1 where there is one, else 0 in both.

    `about` holds the distance in pixels within which edges match.
    """


def observe_region_overlap(
    prediction: LabelMap, truths: LabelMap | Sequence[LabelMap], key: str, *, distance_px: float = 2.0
) -> RegionEvidence:
    """Compare the regions of one image with those of each annotator.

    Args:
        prediction: region numbers, or classes, each of which is then a region.
        truths: one annotator or several; of maps with classes, ignored pixels count nowhere.
        key: names the image.
        distance_px: how far apart edges may be to match (Euclidean).

    Raises:
        SegmentationError: sizes that differ, or no annotator.
        SettingsError: a negative distance.
    """
    truths = [truths] if isinstance(truths, LabelMap) else truths
    if not truths:
        raise SegmentationError(f"{key}: there is no annotator to compare with; at least one truth is needed.")
    if distance_px < 0:
        raise SettingsError(f"Edges may be {distance_px} pixels apart; a distance of at least 0 fits.")
    for truth in truths:
        need_same_size(prediction.size_hw, truth.size_hw, key)
    scores = np.array([_scores(prediction, truth, distance_px) for truth in truths])
    defined = ~np.isnan(scores)
    mean = np.nan_to_num(ratio(np.nan_to_num(scores).sum(0), defined.sum(0)))
    return RegionEvidence((distance_px,), (key,), np.stack([mean, defined.any(0)])[None])


def score_region_overlap(evidence: RegionEvidence) -> RowScores:
    """The scores of `SCORES`, each the mean over the images that have it."""
    return RowScores.of_evidence(evidence, score_tallies, "mean over annotators, then over images")


def score_tallies(tallies: Array) -> Mapping[str, Array]:
    """Scores from pooled tallies (R, 2, 9), for `intarsia.metrics.bootstrap`."""
    mean = ratio(tallies[..., 0, :], tallies[..., 1, :])
    return {name: mean[..., index] for index, name in enumerate(SCORES)}


def _scores(prediction: LabelMap, truth: LabelMap, distance: float) -> list[float]:
    """In the order of `SCORES`; NaN for what nothing defines."""
    from intarsia.metrics._edges import count_near, edges

    void = ignored_id(truth)
    shared = shared_regions(truth.ids, prediction.ids, void)
    sides = [(edges(side.ids, truth.ids, void), side.ids) for side in (truth, prediction)]
    recall, precision = (float(ratio(*count_near(*sides[i], *sides[1 - i], 0, distance)[:, 0])) for i in range(2))
    if not shared.counts.size:
        return [np.nan] * len(SCORES)
    joint = entropy(shared.counts)
    over, under = (max(0.0, joint - entropy(areas)) for areas in (shared.true_areas, shared.predicted_areas))
    return [_rand_index(shared), over + under, over, under, *_shares(shared), recall, precision]


def _rand_index(shared: SharedRegions) -> float:
    pixels = float(shared.counts.sum())
    squares = [
        float((areas.astype(np.float64) ** 2).sum()) for areas in (shared.true_areas, shared.predicted_areas, shared.counts)
    ]
    pairs = pixels * (pixels - 1) / 2
    return 1 - (squares[0] / 2 + squares[1] / 2 - squares[2]) / pairs if pairs else 1.0


def _shares(shared: SharedRegions) -> tuple[float, float, float]:
    """Covering, under-segmentation error, achievable accuracy."""
    counts, true, predicted = shared.counts, shared.true_areas[:, None], shared.predicted_areas[None]
    covering = (true[:, 0] * (counts / (true + predicted - counts)).max(1)).sum()
    leaking = np.minimum(counts, predicted - counts).sum()
    pixels = counts.sum()
    return float(covering / pixels), float(leaking / pixels), float(counts.max(0).sum() / pixels)
