"""What a predictor of objects or panoptic maps reached on a split, as it is printed, saved and reported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple, Self

import numpy as np

from intarsia.core import ClassSpace, DataError, thing_ids_of
from intarsia.evaluation.tallies import ImageObjects
from intarsia.metrics import Intervals, RowScores

__all__ = ["ObjectClassRow", "ObjectEvaluation", "object_rows"]

MAIN = {"instance": ("coco_mask_ap", "ap"), "panoptic": ("panoptic_quality", "pq")}


@dataclass(frozen=True, eq=False)
class ObjectEvaluation:
    """What a predictor reached on the images of a split.

    Args:
        task: what was compared: objects or panoptic maps.
        predictor: its name.
        dataset: the data set's name.
        split: the name of the split.
        classes: of the truth.
        scores: metric to its scores.
        intervals: metric to the intervals of its scores, over images.
        per_image: image by key, annotators together.
        seconds: time inside the predictor, all images together.
        notes: what a reader of the scores should know, one sentence each.
        warnings: why the scores do not mean what they seem to, one sentence each; only where that was allowed.
        official: the scores that the makers of the data set report, by name; empty where it names none.
    """

    task: Literal["instance", "panoptic"]
    predictor: str
    dataset: str
    split: str
    classes: ClassSpace
    scores: Mapping[str, RowScores]
    intervals: Mapping[str, Intervals]
    per_image: Mapping[str, ImageObjects]
    seconds: float
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    official: Mapping[str, float] = field(default_factory=dict)

    @property
    def main(self) -> tuple[str, str]:
        """Metric and name of the score that stands first."""
        return MAIN[self.task]

    @property
    def score(self) -> float:
        """AP of masks, or PQ."""
        metric, name = self.main
        return self.scores[metric][name]

    @property
    def images(self) -> int:
        return len(self.per_image)

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds if self.seconds else math.nan

    @cached_property
    def ranking(self) -> tuple[str, ...]:
        """Keys of the images that have a score, lowest first."""
        scored = [key for key, row in self.per_image.items() if not math.isnan(row.score)]
        return tuple(sorted(scored, key=lambda key: self.per_image[key].score))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN becomes None. `from_dict` reads them back."""
        speed = self.images_per_second
        return {
            "task": self.task,
            "predictor": self.predictor,
            "dataset": self.dataset,
            "split": self.split,
            "images": self.images,
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "official": {name: None if math.isnan(value) else value for name, value in self.official.items()},
            "scores": {name: scores.to_dict() for name, scores in self.scores.items()},
            "intervals": {name: intervals.to_dict() for name, intervals in self.intervals.items()},
            "seconds": self.seconds,
            "images_per_second": None if math.isnan(speed) else round(speed, 2),
            "class_space": self.classes.to_dict(),
            "per_image": {
                key: {**row._asdict(), "score": None if math.isnan(row.score) else row.score}
                for key, row in self.per_image.items()
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises:
            DataError: values that are missing or of another form, as in a file of an earlier version.
        """
        try:
            per_image = {
                key: ImageObjects(math.nan if row["score"] is None else float(row["score"]), *(row[n] for n in _COUNTS))
                for key, row in data["per_image"].items()
            }
            return cls(
                task=data["task"],
                predictor=str(data["predictor"]),
                dataset=str(data["dataset"]),
                split=str(data["split"]),
                classes=ClassSpace.from_dict(data["class_space"]),
                scores={name: _scores(saved) for name, saved in data["scores"].items()},
                intervals={name: _intervals(saved) for name, saved in data["intervals"].items()},
                per_image=per_image,
                seconds=float(data["seconds"]),
                notes=tuple(data["notes"]),
                warnings=tuple(data["warnings"]),
                official={name: math.nan if v is None else float(v) for name, v in data.get("official", {}).items()},
            )
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise DataError(f"The scores cannot be read ({type(error).__name__}: {error}); score again.") from error


_COUNTS = ImageObjects._fields[1:]


def _scores(saved: Mapping[str, Any]) -> RowScores:
    alone = {name: _number(value) for name, value in saved.items() if name not in ("pooling", "rows", "classes")}
    of_class = saved.get("classes", [])
    names = [name for name in (of_class[0] if of_class else ()) if name != "name"]
    each = {name: np.array([_number(row[name]) for row in of_class]) for name in names}
    columns = tuple(str(row["name"]) for row in of_class)
    return RowScores(saved["pooling"], columns, {n: np.asarray(v) for n, v in (alone | each).items()}, int(saved["rows"]))


def _intervals(saved: Mapping[str, Any]) -> Intervals:
    bounds = {name: np.array(pairs, np.float64).T for name, pairs in saved["bounds"].items()}
    return Intervals(bounds, saved["level"], saved["samples"], saved["images"], saved["note"])


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


class ObjectClassRow(NamedTuple):
    """One class: its values by the name of the column, the first of which is the main score; NaN where it has none.

    interval: lower and upper bound of the main score.
    """

    name: str
    color: tuple[int, int, int]
    is_thing: bool
    interval: tuple[float, float]
    values: Mapping[str, float]


COLUMNS = {
    "instance": {"AP": "ap", "AP50": "ap_50", "AP75": "ap_75", "AR": "ar_100"},
    "panoptic": {"PQ": "pq", "SQ": "sq", "RQ": "rq", "found": "found", "invented": "invented", "missed": "missed"},
}


def object_rows(evaluation: ObjectEvaluation) -> list[ObjectClassRow]:
    """One row for each class that can have a score, in the order of the classes; of panoptic maps things first, then stuff."""
    metric, main = evaluation.main
    scores, intervals = evaluation.scores[metric], evaluation.intervals[metric]
    things = thing_ids_of(evaluation.classes)
    stuff = [index for index in range(len(evaluation.classes)) if index not in things]
    rows = []
    for index in (*things, *(stuff if evaluation.task == "panoptic" else ())):
        entry = evaluation.classes.classes[index]
        values = {column: float(scores.values[f"{name}_of_class"][index]) for column, name in COLUMNS[evaluation.task].items()}
        interval = intervals.of(f"{main}_of_class", index)
        rows.append(ObjectClassRow(entry.name, entry.color, index in things, interval, values))
    return rows
