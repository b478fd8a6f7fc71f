"""Aggregated Jaccard index of objects: pixels shared over pixels covered, by each true object with its best predicted one.

Each true object G takes the predicted object S of largest IoU with it (the first of equals, none where nothing overlaps); with U
the predicted objects that none took,

    AJI = sum of |G and S| / (sum of |G or S| + sum of |U|).

As in the paper, one predicted object may be taken by several true ones, and no least IoU is asked for. Scores and classes play no
part; crowds of the truth, and predicted objects of which more than half lies on one, count nowhere. Pixels add up, so it merges
over images and processes; not over tiles, which cut objects.

Source: Kumar et al., "A Dataset and a Technique for Generalized Nuclear Segmentation for Computational Pathology", IEEE TMI 2017,
algorithm 1. What a true object without any overlap takes is not said there: nothing, so that its own pixels are covered.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from intarsia.core import Array, Instances
from intarsia.metrics._evidence import RowEvidence
from intarsia.metrics._scores import RowScores, ratio
from intarsia.metrics._sides import shared_without_crowds

__all__ = ["AjiEvidence", "observe_aji", "score_aji", "score_shares"]


class AjiEvidence(RowEvidence):
    """Tallies (I, 4) float64: pixels shared, pixels covered, the AJI of the image, and 1 if it has one (else both are 0)."""


def observe_aji(prediction: Instances, truth: Instances, key: str) -> AjiEvidence:
    """Compare the objects of one image.

    Args:
        prediction: objects that do not overlap one another.
        truth: likewise, of the same image size.
        key: names the image.

    Raises:
        SegmentationError: images of different sizes.
    """
    shared, area, true_area = shared_without_crowds(prediction, truth)
    inside = covered = 0
    if shared.size:
        union = area[:, None] + true_area[None] - shared
        iou = np.divide(shared, union, out=np.zeros(shared.shape), where=union > 0)
        best, columns = iou.argmax(0), np.arange(len(true_area))
        takes = shared[best, columns] > 0
        best, columns = best[takes], columns[takes]
        inside = int(shared[best, columns].sum())
        covered = int(union[best, columns].sum())
        true_area = true_area[~takes]
        area = np.delete(area, best)
    covered += int(true_area.sum() + area.sum())
    tallies = np.array([[inside, covered, inside / max(covered, 1), covered > 0]])
    return AjiEvidence(("aggregated Jaccard index",), (key,), tallies)


def score_aji(evidence: AjiEvidence) -> RowScores:
    """The scores of the evidence, by the names of `score_shares`."""
    return RowScores.of_evidence(
        evidence, score_shares, "aji: pixels of all images counted together; per_image_aji: mean over images"
    )


def score_shares(tallies: Array) -> Mapping[str, Array]:
    """Scores from pooled tallies (..., 4), for `intarsia.metrics.bootstrap`.

    Returns:
        "aji", in which large images and objects weigh more, and "per_image_aji", the mean over the images with an object; NaN
        where there is none.
    """
    shared, covered, total, images = np.moveaxis(tallies, -1, 0)
    return {"aji": ratio(shared, covered), "per_image_aji": ratio(total, images)}
