"""Foreground-restricted Rand and information scores, by which the EM challenges judge how well cells are told apart.

Only pixels count that the truth gives to a cell (region number above 0; 0 is membrane). Each of them that the prediction calls
membrane is a region of its own, so that a boundary drawn too thick costs a little and joins nothing. With p the share of pixels
of true region i and predicted region j, t and s their sums over j and over i:

    Rand F = sum p^2 / (sum s^2 / 2 + sum t^2 / 2),    split = sum p^2 / sum t^2,    merge = sum p^2 / sum s^2
    info F = 2 I(S; T) / (H(S) + H(T)),                split = I(S; T) / H(S),       merge = I(S; T) / H(T)

All are 1 for equal regions; split falls when a cell is cut, merge when two are joined. Pairs of pixels are drawn with
replacement, as in the source; `skimage.metrics.adapted_rand_error` draws without, so it differs by the order of 1 / area. Each
score is the mean over images. It merges over images and processes, not over tiles, which cut cells.

The challenge thins the membranes of either side first and takes the best threshold of a membrane map; both are up to the caller
(`skimage.morphology.skeletonize`, `skimage.measure.label` of what lies below the threshold).

Source: Arganda-Carreras et al., "Crowdsourcing the creation of image segmentation algorithms for connectomics", 2015, equations
1 to 7; single pixels for predicted membrane as in the SNEMI3D evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from intarsia.core import Array, LabelMap
from intarsia.metrics._evidence import RowEvidence
from intarsia.metrics._pairing import need_same_size
from intarsia.metrics._scores import RowScores, ratio
from intarsia.metrics._shared_regions import entropy, shared_regions

__all__ = ["ForegroundRandEvidence", "observe_foreground_rand", "score_foreground_rand", "score_tallies"]

SCORES = ("rand_f", "rand_split", "rand_merge", "info_f", "info_split", "info_merge")


class ForegroundRandEvidence(RowEvidence):
    """Tallies (I, 7): the scores of an image in the order of `SCORES`, and 1; all 0 for an image without cells."""


def observe_foreground_rand(prediction: LabelMap, truth: LabelMap, key: str) -> ForegroundRandEvidence:
    """Compare the cells of one image.

    Args:
        prediction: region numbers, 0 is membrane.
        truth: likewise, of the same size.
        key: names the image.

    Raises:
        SegmentationError: sizes that differ.
    """
    need_same_size(prediction.size_hw, truth.size_hw, key)
    shared = shared_regions(truth.ids, prediction.ids, 0)
    tallies = np.zeros((1, len(SCORES) + 1))
    if shared.counts.size:
        is_membrane = shared.predicted_ids == 0
        alone = np.ones(int(shared.counts[:, is_membrane].sum()))
        joint = np.concatenate([shared.counts[:, ~is_membrane].ravel(), alone])
        predicted = np.concatenate([shared.predicted_areas[~is_membrane], alone])
        tallies[0] = *_rand(joint, shared.true_areas, predicted), *_information(joint, shared.true_areas, predicted), 1
    return ForegroundRandEvidence(("foreground Rand",), (key,), tallies)


def score_foreground_rand(evidence: ForegroundRandEvidence) -> RowScores:
    """The scores of `SCORES`; `rand_error`, which is 1 - `rand_f`, is what the leader board of 2012 lists."""
    return RowScores.of_evidence(evidence, score_tallies, "mean over images")


def score_tallies(tallies: Array) -> Mapping[str, Array]:
    """Scores from pooled tallies (R, 7), for `intarsia.metrics.bootstrap`."""
    mean = ratio(tallies[..., :-1], tallies[..., -1:])
    return {"rand_error": 1 - mean[..., 0], **{name: mean[..., index] for index, name in enumerate(SCORES)}}


def _rand(joint: Array, true: Array, predicted: Array) -> tuple[float, float, float]:
    both, of_truth, of_prediction = (float((areas.astype(np.float64) ** 2).sum()) for areas in (joint, true, predicted))
    return 2 * both / (of_truth + of_prediction), both / of_truth, both / of_prediction


def _information(joint: Array, true: Array, predicted: Array) -> tuple[float, float, float]:
    """Where a side is one region only there is nothing to cut or to join: 1."""
    of_truth, of_prediction = entropy(true), entropy(predicted)
    shared = max(0.0, of_truth + of_prediction - entropy(joint))
    both = of_truth + of_prediction
    return (
        2 * shared / both if both else 1.0,
        shared / of_prediction if of_prediction else 1.0,
        shared / of_truth if of_truth else 1.0,
    )
