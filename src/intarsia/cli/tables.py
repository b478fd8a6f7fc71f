"""Results as tables in the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

    from intarsia.evaluation import Evaluation, ScoreRefused

__all__ = ["print_evaluation", "print_outcome"]


def print_outcome(console: Console, outcome: Evaluation | ScoreRefused) -> None:
    """The scores, or why there are none."""
    if isinstance(outcome, Exception):
        console.print(str(outcome), highlight=False, markup=False, soft_wrap=True)
    else:
        print_evaluation(console, outcome)


def print_evaluation(console: Console, evaluation: Evaluation) -> None:
    """Warnings, the per-class table, the pooled scores with what they rest on, and the notes."""
    from intarsia.evaluation import class_rows

    for warning in evaluation.warnings:
        console.print(f"warning: {warning}", highlight=False, markup=False, soft_wrap=True)
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
    for note in evaluation.notes:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)


def _score(value: float) -> str:
    return "NaN" if math.isnan(value) else f"{value:.3f}"


def _interval(bounds: tuple[float, float]) -> str:
    return "" if math.isnan(bounds[0]) else f"{bounds[0]:.3f} to {bounds[1]:.3f}"
