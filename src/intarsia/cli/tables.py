"""Results as tables in the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

    from intarsia.evaluation import Evaluation, ObjectEvaluation, ScoreRefused

__all__ = ["print_evaluation", "print_outcome"]


def print_outcome(console: Console, outcome: Evaluation | ObjectEvaluation | ScoreRefused) -> None:
    """The scores, or why there are none."""
    if isinstance(outcome, Exception):
        console.print(str(outcome), highlight=False, markup=False, soft_wrap=True)
    else:
        print_evaluation(console, outcome)


def print_evaluation(console: Console, evaluation: Evaluation | ObjectEvaluation) -> None:
    """Warnings, official scores, the per-class table, the pooled scores with what they rest on, and the notes."""
    for warning in evaluation.warnings:
        console.print(f"warning: {warning}", highlight=False, markup=False, soft_wrap=True)
    if evaluation.official:
        said = ", ".join(f"{name} {_score(value)}" for name, value in evaluation.official.items())
        console.print(f"official score of {evaluation.dataset}: {said}", highlight=False, markup=False, soft_wrap=True)
    from intarsia.evaluation import ObjectEvaluation

    if isinstance(evaluation, ObjectEvaluation):
        _print_objects(console, evaluation)
    else:
        _print_classes(console, evaluation)
    for note in evaluation.notes:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)


def _print_objects(console: Console, evaluation: ObjectEvaluation) -> None:
    from intarsia.evaluation import object_rows

    metric, main = evaluation.main
    scores, intervals = evaluation.scores[metric], evaluation.intervals[metric]
    rows = object_rows(evaluation)
    names = list(rows[0].values) if rows else []
    title = Text(f"{evaluation.predictor} on {evaluation.dataset} {evaluation.split}")
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("class")
    for name in (names[0], f"{intervals.level:.0%} interval", *names[1:]):
        table.add_column(name, justify="right")
    for row in rows:
        cells = [f"{v:.0f}" if n in ("found", "invented", "missed") else _score(v) for n, v in row.values.items()]
        table.add_row(Text(row.name), cells[0], _interval(row.interval), *cells[1:])
    table.add_section()
    table.add_row("mean", _score(evaluation.score), _interval(intervals.of(main)))
    console.print(table)
    if evaluation.task == "instance":
        said = (
            f"AP {_score(scores['ap'])}, AP50 {_score(scores['ap_50'])}, AP of boxes "
            f"{_score(evaluation.scores['coco_box_ap']['ap'])}, mean precision "
            f"{_score(evaluation.scores['mean_precision']['mean_precision'])}, AJI per image "
            f"{_score(evaluation.scores['aji']['per_image_aji'])}"
        )
    else:
        parts = (("", ""), (" of things", "_things"), (" of stuff", "_stuff"))
        said = ", ".join(f"{name.upper()}{of} {_score(scores[name + end])}" for of, end in parts for name in ("pq", "sq", "rq"))
    console.print(
        f"{said}; {evaluation.images} images, {evaluation.images_per_second:.1f} images/s", highlight=False, soft_wrap=True
    )


def _print_classes(console: Console, evaluation: Evaluation) -> None:
    from intarsia.evaluation import class_rows

    level = f"{evaluation.intervals.level:.0%}"
    title = Text(f"{evaluation.predictor} on {evaluation.dataset} {evaluation.split}")  # Text: names are not markup
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("class")
    for name in ("IoU", f"{level} interval", "recall", "precision", "share of pixels"):
        table.add_column(name, justify="right")
    for row in class_rows(evaluation):
        cells = (_score(row.iou), _interval(row.interval), _score(row.recall), _score(row.precision), f"{row.truth_share:.1%}")
        table.add_row(Text(row.name), *cells)
    scores, declared = evaluation.scores, len(evaluation.classes)
    classes = f"{declared - len(evaluation.absent)} of {declared}" if evaluation.absent else str(declared)
    table.add_section()
    table.add_row("mean", _score(scores.miou), _interval(evaluation.intervals.of("miou")), _score(scores.mean_accuracy))
    console.print(table)
    console.print(
        f"mIoU {_score(scores.miou)} over {classes} classes and {evaluation.images} images, "
        f"{scores.share_scored:.1%} of their pixels scored; pixel accuracy {_score(scores.pixel_accuracy)}, "
        f"frequency-weighted IoU {_score(scores.fwiou)}; {evaluation.images_per_second:.1f} images/s",
        highlight=False,
        soft_wrap=True,
    )


def _score(value: float) -> str:
    return "NaN" if math.isnan(value) else f"{value:.3f}"


def _interval(bounds: tuple[float, float]) -> str:
    return "" if math.isnan(bounds[0]) else f"{bounds[0]:.3f} to {bounds[1]:.3f}"
