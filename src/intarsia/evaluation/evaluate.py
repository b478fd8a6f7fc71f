"""A predictor over the images of a data set: pooled scores, intervals over images, and the score of each image."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from intarsia.core import DataError, Dataset, Predictor, SettingsError, nearest_names
from intarsia.evaluation.semantic import compared_as_labels
from intarsia.metrics import Intervals, bootstrap
from intarsia.metrics.confusion import (
    ConfusionEvidence,
    ConfusionScores,
    observe_confusion,
    score_confusion,
    score_tallies,
)

__all__ = ["Evaluation", "ImageScore", "evaluate"]


class ImageScore(NamedTuple):
    """Scores of one image alone; NaN where none of its pixels has a truth."""

    miou: float
    pixel_accuracy: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a predictor reached on the images of a split.

    Args:
        predictor: its name.
        dataset: the data set's name.
        split: the name of the split.
        evidence: one row for each image and annotator.
        scores: pooled over all images.
        intervals: of the scores, over images.
        seconds: time inside the predictor, all images together; reading and counting are not part of it.
        notes: what a reader of the scores should know, one sentence each.
    """

    predictor: str
    dataset: str
    split: str
    evidence: ConfusionEvidence
    scores: ConfusionScores
    intervals: Intervals
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        return len(self.per_image)

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds if self.seconds else math.nan

    @cached_property
    def per_image(self) -> Mapping[str, ImageScore]:
        """Image by key, annotators together. An image's mIoU is over the classes in its own truth or prediction."""
        evidence = self.evidence.by_key()
        scores = score_tallies(evidence.tallies)
        pairs = zip(scores["miou"].tolist(), scores["pixel_accuracy"].tolist(), strict=True)
        return {key: ImageScore(*pair) for key, pair in zip(evidence.keys, pairs, strict=True)}

    @cached_property
    def ranking(self) -> tuple[str, ...]:
        """Keys of the images that have a score, lowest mIoU first."""
        scored = [key for key, score in self.per_image.items() if not math.isnan(score.miou)]
        return tuple(sorted(scored, key=lambda key: self.per_image[key].miou))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN becomes None."""
        return {
            "predictor": self.predictor,
            "dataset": self.dataset,
            "split": self.split,
            "images": self.images,
            "scores": self.scores.to_dict(),
            "intervals": self.intervals.to_dict(),
            "seconds": round(self.seconds, 3),
            "images_per_second": None if math.isnan(self.images_per_second) else round(self.images_per_second, 2),
            "notes": list(self.notes),
            "per_image": {
                key: {name: None if math.isnan(value) else value for name, value in score._asdict().items()}
                for key, score in self.per_image.items()
            },
        }


def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    split: str = "val",
    *,
    keys: Sequence[str] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Evaluation:
    """Score a predictor on the images of a split, at their own size.

    Each annotator of an image is a row of evidence of its own. Classes are matched by name; objects and panoptic maps are scored
    by the class of each pixel, which a note then says.

    Args:
        predictor: any.
        dataset: any with truths.
        split: "val", "test", "train" or what the data set has.
        keys: these images of the split alone.
        progress: called after each image with its number, the count and its key.

    Raises:
        SettingsError: no such split, no image, or kinds of segmentation that cannot be compared.
        ClassSpaceError: classes that do not fit together.
        DataError: an image without truth, or not one pixel to score.
    """
    keys = list(_keys_of(dataset, split) if keys is None else keys)
    if not keys:
        raise SettingsError(f"There is no image to score: the split {split!r} of {dataset.name} is empty.")
    rows: list[ConfusionEvidence] = []
    notes: dict[str, None] = {}
    seconds = 0.0
    for number, key in enumerate(keys, 1):
        sample = dataset.read(key)
        truths = sample.truths or (sample.truth,)  # the second says in words that there is none
        start = time.perf_counter()
        prediction = predictor.predict(sample.image)
        seconds += time.perf_counter() - start
        for truth in truths:
            labels, true_labels, said = compared_as_labels(prediction, truth)
            notes.update(dict.fromkeys(said))
            rows.append(observe_confusion(labels, true_labels, key))
        if progress is not None:
            progress(number, len(keys), key)
    evidence = ConfusionEvidence.concatenate(rows)
    scores = score_confusion(evidence)
    intervals = bootstrap(evidence, score_tallies)
    notes.update(dict.fromkeys(_remarks(scores, intervals, f"{dataset.name} {split}")))
    return Evaluation(predictor.name, dataset.name, split, evidence, scores, intervals, seconds, tuple(notes))


def _keys_of(dataset: Dataset, split: str) -> Sequence[str]:
    if split not in dataset.splits:
        near = nearest_names(split, dataset.splits)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise SettingsError(f"{dataset.name} has no split {split!r}.{hint} Its splits: {', '.join(dataset.splits)}.")
    return dataset.splits[split]


def _remarks(scores: ConfusionScores, intervals: Intervals, where: str) -> list[str]:
    """What keeps the scores from meaning what they seem to."""
    if not scores.share_scored > 0:
        raise DataError(
            f"Not one pixel of {where} has a truth: all of them are the ignore id {scores.classes.ignore_id}. The values that "
            "mean `ignore` are probably those of a class; see the declaration of classes."
        )
    remarks = []
    if scores.share_scored < 0.5:
        remarks.append(f"Only {scores.share_scored:.1%} of the pixels have a truth and were scored.")
    present = [name for name, pixels in zip(scores.classes.names, scores.truth_pixels, strict=True) if pixels]
    if len(present) == 1 and len(scores.classes) > 1:
        remarks.append(
            f"All scored pixels are {present[0]!r} in the truth, so the scores say nothing about telling classes apart."
        )
    absent = [name for name, iou in zip(scores.classes.names, scores.iou, strict=True) if math.isnan(iou)]
    if absent:
        remarks.append(
            f"In neither the truth nor the prediction of any image, and so left out of the means: {', '.join(absent)}."
        )
    return [*remarks, intervals.note] if intervals.note else remarks
