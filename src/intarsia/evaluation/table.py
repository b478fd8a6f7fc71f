"""The per-class table as plain data, for the terminal and the report alike."""

from __future__ import annotations

from typing import NamedTuple

from intarsia.evaluation.evaluation import Evaluation

__all__ = ["ClassRow", "class_rows"]


class ClassRow(NamedTuple):
    """One class; each score in [0, 1], NaN where it has none.

    interval: lower and upper bound of the IoU.
    recall: share of the class's true pixels that were found, also called class accuracy.
    precision: share of the pixels predicted as the class that are.
    truth_share: share of the scored pixels that are the class.
    """

    name: str
    color: tuple[int, int, int]
    iou: float
    interval: tuple[float, float]
    recall: float
    precision: float
    truth_share: float


def class_rows(evaluation: Evaluation) -> list[ClassRow]:
    """One row for each class, in the order of the classes."""
    scores = evaluation.scores
    total = int(scores.truth_pixels.sum())
    return [
        ClassRow(
            name=entry.name,
            color=entry.color,
            iou=float(scores.iou[index]),
            interval=evaluation.intervals.of("iou", index),
            recall=float(scores.recall[index]),
            precision=float(scores.precision[index]),
            truth_share=int(scores.truth_pixels[index]) / total,
        )
        for index, entry in enumerate(scores.classes.classes)
    ]
