"""Pooled confusion: pixel and mean accuracy, IoU of each class, mIoU, frequency-weighted IoU, F1, precision, recall, kappa.

Pixels of all images are counted together before anything is divided, as the benchmarks do (PASCAL VOC, Cityscapes), so an image
counts by its area and a small image cannot decide a class. The evidence keeps one row for each image, which makes intervals over
images free (`intarsia.metrics.bootstrap`). Counts add up, so it merges over images, processes and tiles of one image alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from intarsia.core import Array, ClassSpace, LabelMap, SegmentationError, SettingsError
from intarsia.metrics._pairing import need_same_classes, shared_classes
from intarsia.metrics._scores import mean_defined, ratio

__all__ = [
    "ConfusionEvidence",
    "ConfusionScores",
    "observe_confusion",
    "score_confusion",
    "score_tallies",
]


@dataclass(frozen=True, eq=False)
class ConfusionEvidence:
    """Counts of pixels by class of the truth and class of the prediction, one row for each image. Merges by `+`.

    Args:
        classes: the K classes.
        keys: I names of images. A key may come again: another annotator, or another tile of the image.
        counts: (I, K, K + 1) int64, truth by prediction; the last column counts pixels that the prediction left void.
        ignored: (I,) int64 pixels without truth, which count nowhere else.
    """

    classes: ClassSpace
    keys: tuple[str, ...]
    counts: Array
    ignored: Array

    def __post_init__(self) -> None:
        expected = (len(self.keys), len(self.classes), len(self.classes) + 1)
        if self.counts.shape != expected or self.ignored.shape != expected[:1]:
            raise SegmentationError(
                f"ConfusionEvidence has counts of shape {self.counts.shape} and ignored of shape {self.ignored.shape}; "
                f"{expected} and {expected[:1]} fit its keys and classes."
            )

    def __add__(self, other: ConfusionEvidence) -> ConfusionEvidence:
        return self.concatenate([self, other])

    @staticmethod
    def concatenate(parts: Sequence[ConfusionEvidence]) -> ConfusionEvidence:
        """Merge many at once; `a + b + c + ...` copies again at every step.

        Raises:
            SettingsError: nothing to merge.
            ClassSpaceError: evidence of other classes.
        """
        if not parts:
            raise SettingsError("There is no evidence to merge: nothing was observed.")
        classes = parts[0].classes
        for part in parts[1:]:
            need_same_classes(part.classes, classes, "Evidence of two class spaces does not merge")
        return ConfusionEvidence(
            classes,
            tuple(key for part in parts for key in part.keys),
            np.concatenate([part.counts for part in parts]),
            np.concatenate([part.ignored for part in parts]),
        )

    def by_key(self) -> ConfusionEvidence:
        """The same evidence with one row for each key, in order of first appearance: annotators and tiles added up."""
        position = {key: index for index, key in enumerate(dict.fromkeys(self.keys))}
        if len(position) == len(self.keys):
            return self
        owner = [position[key] for key in self.keys]
        counts = np.zeros((len(position), *self.counts.shape[1:]), np.int64)
        ignored = np.zeros(len(position), np.int64)
        np.add.at(counts, owner, self.counts)
        np.add.at(ignored, owner, self.ignored)
        return replace(self, keys=tuple(position), counts=counts, ignored=ignored)

    @property
    def pooled(self) -> Array:
        """(K, K + 1) int64, the counts of all images together."""
        total: Array = self.counts.sum(0)
        return total

    @property
    def tallies(self) -> Array:
        """(I, 3, K) int64: pixels right, pixels of the truth, pixels predicted among those with truth. All that scores need."""
        right = np.diagonal(self.counts, axis1=1, axis2=2)
        return np.stack([right, self.counts.sum(2), self.counts[:, :, :-1].sum(1)], axis=1)


@dataclass(frozen=True, eq=False)
class ConfusionScores:
    """Scores of pixels pooled over images, each in [0, 1], kappa in [-1, 1]; NaN where nothing defines one.

    Args:
        classes: the K classes.
        pixel_accuracy: share of the scored pixels that are right.
        mean_accuracy: mean recall over the classes that the truth contains.
        miou: mean IoU over the classes that the truth or the prediction contains.
        fwiou: mean IoU weighted by each class's share of the truth.
        mean_f1: mean F1 over the same classes as `miou`.
        kappa: agreement beyond chance, (accuracy - c) / (1 - c) with c the accuracy of labels drawn by the shares of both sides.
        iou: (K,) right / (truth + predicted - right).
        f1: (K,) 2 right / (truth + predicted), which is also the Dice score.
        precision: (K,) right / predicted.
        recall: (K,) right / truth, also called class accuracy.
        truth_pixels: (K,) int64.
        share_scored: share of all pixels that have a truth; a score means little where it is small.
        rows: rows of evidence: images, times annotators where there are several.
    """

    classes: ClassSpace
    pixel_accuracy: float
    mean_accuracy: float
    miou: float
    fwiou: float
    mean_f1: float
    kappa: float
    iou: Array
    f1: Array
    precision: Array
    recall: Array
    truth_pixels: Array
    share_scored: float
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN becomes None."""
        of_all = ("pixel_accuracy", "mean_accuracy", "miou", "fwiou", "mean_f1", "kappa", "share_scored")
        of_class = ("iou", "f1", "precision", "recall")
        return {
            "pooling": "pixels of all images counted together",
            **{name: _plain(getattr(self, name)) for name in of_all},
            "rows": self.rows,
            "classes": [
                {
                    "name": name,
                    **{score: _plain(getattr(self, score)[index]) for score in of_class},
                    "truth_pixels": int(self.truth_pixels[index]),
                }
                for index, name in enumerate(self.classes.names)
            ],
        }


def observe_confusion(prediction: LabelMap, truth: LabelMap, key: str) -> ConfusionEvidence:
    """Count one image: which class each pixel has in the truth and in the prediction.

    Pixels that the truth ignores are set aside. A pixel with a truth that the prediction left void (its ignore id) is wrong: it
    counts in the last column, for no predicted class. Merges over images and over tiles that do not overlap.

    Args:
        prediction: label map with classes.
        truth: label map of the same size, with classes of the same names in the same order; the ignore ids may differ.
        key: names the image.

    Raises:
        SegmentationError: regions without classes, sizes that differ, or an id that is no class.
        ClassSpaceError: other classes.
    """
    from intarsia.metrics._count import count_pairs

    classes = shared_classes(prediction, truth, key)
    void = (prediction.classes or classes).ignore_id
    counts = count_pairs(truth.ids, prediction.ids, len(classes), classes.ignore_id, void)
    if counts.sum() != truth.ids.size:
        for side, segmentation in (("truth", truth), ("prediction", prediction)):
            _refuse_strays(segmentation.ids, segmentation.classes or classes, f"{key}: the {side}")
    return ConfusionEvidence(classes, (key,), counts[None, :-1], counts[-1:].sum(1))


def score_confusion(evidence: ConfusionEvidence) -> ConfusionScores:
    """The pooled scores of the evidence.

    A class that neither truth nor prediction contains has no IoU and stays out of the mean; one that is only predicted has 0.
    """
    scores = score_tallies(evidence.tallies.sum(0))
    scored, ignored = int(evidence.counts.sum()), int(evidence.ignored.sum())
    return ConfusionScores(
        classes=evidence.classes,
        pixel_accuracy=float(scores["pixel_accuracy"]),
        mean_accuracy=float(scores["mean_accuracy"]),
        miou=float(scores["miou"]),
        fwiou=float(scores["fwiou"]),
        mean_f1=float(scores["mean_f1"]),
        kappa=float(scores["kappa"]),
        iou=scores["iou"],
        f1=scores["f1"],
        precision=scores["precision"],
        recall=scores["recall"],
        truth_pixels=evidence.pooled.sum(1),
        share_scored=scored / (scored + ignored) if scored + ignored else math.nan,
        rows=len(evidence.keys),
    )


def score_tallies(tallies: Array) -> Mapping[str, Array]:
    """Scores from tallies (..., 3, K), by the names of `ConfusionScores`: (...) each, or (..., K) for those of a class."""
    right, truth, predicted = np.moveaxis(np.asarray(tallies, np.float64), -2, 0)
    pixels, all_right = truth.sum(-1), right.sum(-1)
    by_chance = (truth * predicted).sum(-1)  # times 1 / pixels^2
    iou = ratio(right, truth + predicted - right)
    f1 = ratio(2 * right, truth + predicted)
    recall = ratio(right, truth)
    return {
        "pixel_accuracy": ratio(all_right, pixels),
        "mean_accuracy": mean_defined(recall),
        "miou": mean_defined(iou),
        "fwiou": ratio(np.where(truth > 0, truth * iou, 0.0).sum(-1), pixels),
        "mean_f1": mean_defined(f1),
        "kappa": ratio(all_right * pixels - by_chance, pixels**2 - by_chance),
        "iou": iou,
        "f1": f1,
        "precision": ratio(right, predicted),
        "recall": recall,
    }


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _refuse_strays(ids: Array, classes: ClassSpace, where: str) -> None:
    """Label maps check themselves when made; only one whose array was written to afterwards gets here."""
    stray = ids[((ids < 0) | (ids >= len(classes))) & (ids != classes.ignore_id)]
    if stray.size:
        raise SegmentationError(
            f"{where} holds {np.unique(stray)[:6].tolist()} ({stray.size / ids.size:.2%} of pixels), outside the ids "
            f"0..{len(classes) - 1} of its {len(classes)} classes and not the ignore id {classes.ignore_id}. Was the array "
            "changed after the label map was made?"
        )
