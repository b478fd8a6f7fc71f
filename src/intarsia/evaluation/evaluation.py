"""What a predictor reached on a split, as it is printed, saved and reported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np

from intarsia.core import Array, ClassSpace, DataError
from intarsia.metrics import Intervals
from intarsia.metrics.confusion import ConfusionEvidence, ConfusionScores, score_confusion
from intarsia.metrics.size_recall import SizeRecallScores

__all__ = ["Evaluation", "ImageScore", "ScoreRefused"]


class ScoreRefused(DataError):
    """A score that would not mean what it seems to. `predictor`, `dataset` and `split` say what was to be scored."""

    def __init__(self, reason: str, predictor: str, dataset: str, split: str) -> None:
        super().__init__(reason)
        self.predictor, self.dataset, self.split = predictor, dataset, split

    def to_dict(self) -> dict[str, str]:
        """Plain values for JSON, in the place of scores."""
        return {"predictor": self.predictor, "dataset": self.dataset, "split": self.split, "refused": str(self)}


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
        confusion: (K, K + 1) int64 pixels of all images, truth by prediction; the last column counts pixels left void.
        ignored_pixels: those without truth, which count nowhere else.
        scores: pooled over all images.
        intervals: of the scores, over images.
        sizes: recall of small, medium and large segments.
        per_image: image by key, annotators together. An image's mIoU is over the classes in its own truth or prediction.
        seconds: time inside the predictor, all images together; reading and counting are not part of it.
        notes: what a reader of the scores should know, one sentence each.
        warnings: why the scores do not mean what they seem to, one sentence each; only where that was allowed.
        official: the scores that the makers of the data set report, by name; empty where it names none.
    """

    predictor: str
    dataset: str
    split: str
    confusion: Array
    ignored_pixels: int
    scores: ConfusionScores
    intervals: Intervals
    sizes: SizeRecallScores
    per_image: Mapping[str, ImageScore]
    seconds: float
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    official: Mapping[str, float] = field(default_factory=dict)

    @property
    def classes(self) -> ClassSpace:
        return self.scores.classes

    @property
    def absent(self) -> tuple[str, ...]:
        """Declared classes with neither truth nor prediction, whose IoU is NaN; the means are over the others."""
        return tuple(name for name, iou in zip(self.classes.names, self.scores.iou, strict=True) if math.isnan(iou))

    @property
    def images(self) -> int:
        return len(self.per_image)

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds if self.seconds else math.nan

    @cached_property
    def ranking(self) -> tuple[str, ...]:
        """Keys of the images that have a score, lowest mIoU first."""
        scored = [key for key, score in self.per_image.items() if not math.isnan(score.miou)]
        return tuple(sorted(scored, key=lambda key: self.per_image[key].miou))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN becomes None. `from_dict` reads them back."""
        speed = self.images_per_second
        return {
            "predictor": self.predictor,
            "dataset": self.dataset,
            "split": self.split,
            "images": self.images,
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "official": {name: None if math.isnan(value) else value for name, value in self.official.items()},
            "mean_over": {
                "classes": len(self.classes) - len(self.absent),
                "declared": len(self.classes),
                "absent": list(self.absent),
            },
            "scores": self.scores.to_dict(),
            "intervals": self.intervals.to_dict(),
            "size_recall": self.sizes.to_dict(),
            "seconds": self.seconds,
            "images_per_second": None if math.isnan(speed) else round(speed, 2),
            "class_space": self.classes.to_dict(),
            "confusion": {"truth_by_prediction_then_void": self.confusion.tolist(), "ignored_pixels": self.ignored_pixels},
            "per_image": {
                key: {name: None if math.isnan(value) else value for name, value in score._asdict().items()}
                for key, score in self.per_image.items()
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises:
            DataError: values that are missing or of another form, as in a file of an earlier version.
        """
        try:
            classes = ClassSpace.from_dict(data["class_space"])
            counts = np.array(data["confusion"]["truth_by_prediction_then_void"], np.int64)
            ignored = int(data["confusion"]["ignored_pixels"])
            scores = score_confusion(ConfusionEvidence(classes, ("all images",), counts[None], np.array([ignored])))
            saved = data["intervals"]
            bounds = {name: np.array(pairs, np.float64).T for name, pairs in saved["bounds"].items()}
            per_image = {
                key: ImageScore(*(math.nan if row[name] is None else float(row[name]) for name in ImageScore._fields))
                for key, row in data["per_image"].items()
            }
            return cls(
                predictor=str(data["predictor"]),
                dataset=str(data["dataset"]),
                split=str(data["split"]),
                confusion=counts,
                ignored_pixels=ignored,
                scores=replace(scores, rows=int(data["scores"]["rows"])),
                intervals=Intervals(bounds, saved["level"], saved["samples"], saved["images"], saved["note"]),
                sizes=SizeRecallScores.from_dict(data["size_recall"], classes),
                per_image=per_image,
                seconds=float(data["seconds"]),
                notes=tuple(data["notes"]),
                warnings=tuple(data["warnings"]),
                official={name: math.nan if v is None else float(v) for name, v in data.get("official", {}).items()},
            )
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise DataError(f"The scores cannot be read ({type(error).__name__}: {error}); score again.") from error
