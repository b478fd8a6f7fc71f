"""Per-image mIoU: IoU is computed in each image and then averaged, so every image counts alike, however large its objects are.

It is another number than the pooled mIoU of `confusion`, in which one large object outweighs many small ones; the two are not to
be mixed in one table. `per_image_miou` is the mean over images of the mean over the classes that the image's truth or prediction
contains; `per_image_iou` of a class is the mean over the images in which it occurs, and `per_image_class_miou` the mean of these.
It merges over images and processes; not over tiles, which are not images.

Source: Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013; Wang et al., "Revisiting
Evaluation Metrics for Semantic Segmentation", NeurIPS 2023, who write mIoU^I and mIoU^C for the two means.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from intarsia.core import Array, LabelMap
from intarsia.metrics import confusion
from intarsia.metrics._evidence import RowEvidence
from intarsia.metrics._scores import RowScores, mean_defined, ratio

__all__ = [
    "PerImageMiouEvidence",
    "observe_per_image_miou",
    "per_image_miou_from_confusion",
    "score_per_image_miou",
    "score_tallies",
]


class PerImageMiouEvidence(RowEvidence):
    """Tallies (I, 2, K + 1): IoU of each class and, last, mIoU of the image; below them 1 where there is one, else 0 in both.

    `about` holds the names of the classes.
    """


def observe_per_image_miou(prediction: LabelMap, truth: LabelMap, key: str) -> PerImageMiouEvidence:
    """IoU of the classes of one image.

    Args:
        prediction: label map with classes.
        truth: label map of the same size, with classes of the same names in the same order.
        key: names the image.

    Raises:
        SegmentationError: regions without classes, sizes that differ, or an id that is no class.
        ClassSpaceError: other classes.
    """
    return per_image_miou_from_confusion(confusion.observe_confusion(prediction, truth, key))


def per_image_miou_from_confusion(evidence: confusion.ConfusionEvidence) -> PerImageMiouEvidence:
    """The same from confusion that was counted already, each row of which is one image by one annotator."""
    scores = confusion.score_tallies(evidence.tallies)
    iou = np.concatenate([scores["iou"], scores["miou"][:, None]], axis=1)
    tallies = np.stack([np.nan_to_num(iou), ~np.isnan(iou)], axis=1)
    return PerImageMiouEvidence((evidence.classes.names,), evidence.keys, tallies)


def score_per_image_miou(evidence: PerImageMiouEvidence) -> RowScores:
    """`per_image_miou`, `per_image_class_miou`, and `per_image_iou` of each class."""
    return RowScores.of_evidence(evidence, score_tallies, "mean over images", evidence.about[0])


def score_tallies(tallies: Array) -> Mapping[str, Array]:
    """Scores from pooled tallies (R, 2, K + 1), for `intarsia.metrics.bootstrap`."""
    mean = ratio(tallies[..., 0, :], tallies[..., 1, :])
    iou = mean[..., :-1]
    return {"per_image_miou": mean[..., -1], "per_image_class_miou": mean_defined(iou), "per_image_iou": iou}
