"""Results as tables in the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

    from intarsia.evaluation import Evaluation

__all__ = ["print_evaluation"]


def print_evaluation(console: Console, evaluation: Evaluation) -> None:
    """The per-class table, the pooled scores with the share of pixels they rest on, and the notes."""
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
    scores = evaluation.scores
    table.add_section()
    table.add_row("mean", _score(scores.miou), _interval(evaluation.intervals.of("miou")), _score(scores.mean_accuracy))
    console.print(table)
    console.print(
        f"mIoU {_score(scores.miou)} over {evaluation.images} images, {scores.share_scored:.1%} of their pixels scored; "
        f"pixel accuracy {_score(scores.pixel_accuracy)}, frequency-weighted IoU {_score(scores.fwiou)}; "
        f"{evaluation.images_per_second:.1f} images/s",
        highlight=False,
        soft_wrap=True,
    )
    for note in evaluation.notes:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)


def _score(value: float) -> str:
    return "none" if math.isnan(value) else f"{value:.3f}"


def _interval(bounds: tuple[float, float]) -> str:
    return "" if math.isnan(bounds[0]) else f"{bounds[0]:.3f} to {bounds[1]:.3f}"
