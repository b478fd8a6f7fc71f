"""Mean precision over thresholds, as the 2018 Data Science Bowl scores nuclei: TP / (TP + FP + FN) at IoU 0.5, 0.55, ... 0.95.

At each threshold an object of the truth is found (TP) if a predicted one has a larger IoU with it; above 0.5 at most one of
non-overlapping objects can, so nothing has to be matched. What is left are false positives and false negatives. The precision
TP / (TP + FP + FN) is averaged over the ten thresholds, then over images, so every image counts alike. Scores and classes of the
objects play no part; crowds of the truth, and predicted objects of which more than half lies on one, count nowhere. It merges
over images and processes, not over tiles, which cut objects.

Source: Caicedo et al., "Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl", Nature Methods 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intarsia.core import Array, Instances
from intarsia.metrics._evidence import RowEvidence
from intarsia.metrics._sides import shared_without_crowds

__all__ = ["MeanPrecisionEvidence", "MeanPrecisionScores", "observe_mean_precision", "score_mean_precision", "score_precisions"]

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


class MeanPrecisionEvidence(RowEvidence):
    """Tallies (I, 14): 1 for the row, the ten precisions, then objects found, false positives and negatives at 0.5."""


@dataclass(frozen=True)
class MeanPrecisionScores:
    """Scores over images, each in [0, 1].

    Args:
        mean_precision: mean over images and thresholds.
        precision_at: threshold to the mean over images at that threshold.
        found, invented, missed: objects at IoU 0.5, all images together.
        rows: rows of evidence: images, times annotators where there are several.
    """

    mean_precision: float
    precision_at: Mapping[float, float]
    found: int
    invented: int
    missed: int
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "pooling": "mean over images",
            "mean_precision": self.mean_precision,
            "precision_at": {f"{threshold:.2f}": value for threshold, value in self.precision_at.items()},
            "found": self.found,
            "invented": self.invented,
            "missed": self.missed,
            "rows": self.rows,
        }


def observe_mean_precision(prediction: Instances, truth: Instances, key: str) -> MeanPrecisionEvidence:
    """Compare the objects of one image. An image without objects in truth and prediction has precision 1.

    Args:
        prediction: objects that do not overlap one another.
        truth: likewise, of the same image size.
        key: names the image.

    Raises:
        SegmentationError: images of different sizes.
    """
    shared, area, true_area = shared_without_crowds(prediction, truth)
    iou = shared / np.maximum(area[:, None] + true_area[None] - shared, 1)
    hits = np.array([_found(iou, threshold) for threshold in THRESHOLDS])
    total = len(area) + len(true_area) - hits  # TP + FP + FN
    precision = np.divide(hits, total, out=np.ones(len(THRESHOLDS)), where=total > 0)
    counts = [hits[0], len(area) - hits[0], len(true_area) - hits[0]]
    return MeanPrecisionEvidence(("mean precision",), (key,), np.concatenate([[1.0], precision, counts])[None])


def score_mean_precision(evidence: MeanPrecisionEvidence) -> MeanPrecisionScores:
    """The mean over the images of the evidence."""
    rows, *precision, found, invented, missed = evidence.pooled.tolist()
    means = [value / rows for value in precision]
    at = dict(zip(THRESHOLDS, means, strict=True))
    return MeanPrecisionScores(sum(means) / len(means), at, int(found), int(invented), int(missed), int(rows))


def score_precisions(tallies: Array) -> Mapping[str, Array]:
    """Scores from pooled tallies (R, 14), for `intarsia.metrics.bootstrap`."""
    means = tallies[..., 1:11] / tallies[..., :1]
    return {"mean_precision": means.mean(-1), "precision_at_50": means[..., 0], "precision_at_75": means[..., 5]}


def _found(iou: Array, threshold: float) -> int:
    return int((iou > threshold).any(0).sum()) if iou.size else 0
