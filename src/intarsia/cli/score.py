"""intarsia score."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.table import Table

from intarsia.cli.console import open_console

if TYPE_CHECKING:
    from rich.console import Console

    from intarsia.core import Task
    from intarsia.evaluation.score import FileScores
    from intarsia.metrics import RowScores

__all__ = ["score"]

COUNTS = ("found", "invented", "missed", "truths")
"""Columns of whole numbers."""


def score(
    predictions: Annotated[str, typer.Argument(help="Folder of files that any tool made, one file, or COCO JSON.")],
    truth: Annotated[str, typer.Argument(help="The same of the truth; files pair by name up to the ending.")],
    task: Annotated[str, typer.Option(help="What the files hold: semantic, instance, panoptic or regions.")] = "semantic",
    classes: Annotated[
        str | None, typer.Option(help="Names of the ids 0, 1 ...: a,b,c or a text file. Else the ids seen.")
    ] = None,
    ignore: Annotated[
        str | None, typer.Option(help="Value of pixels without truth, or none. Else 255, where it occurs in the truth only.")
    ] = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Score even mostly ignored pixels or a single class, with a note.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Score files against the truth, whatever made them: IoU, AP, panoptic quality, region scores, with intervals.

    A score of masks that would not mean what it seems to (most pixels ignored, a single class) is refused with exit code 2.
    """
    from intarsia.evaluation import ScoreRefused
    from intarsia.workflow.score import score as run

    try:
        scores = run(predictions, truth, cast("Task", task), classes=classes, ignore=ignore, allow_partial=allow_partial)
    except ScoreRefused as refused:
        if as_json:
            typer.echo(json.dumps(refused.to_dict(), indent=2))
        raise
    if as_json:
        typer.echo(json.dumps(scores.to_dict(), indent=2, allow_nan=False))
        return
    _print(open_console(), scores)


def _print(console: Console, scores: FileScores) -> None:
    """A table for each metric and one for its classes, then the notes."""
    for metric, of_metric in scores.scores.items():
        intervals = scores.intervals[metric]
        table = Table("score", "value", f"{intervals.level:.0%} interval", title=metric, title_justify="left", box=None)
        for name, value in of_metric.values.items():
            if not value.ndim:
                bounds = intervals.of(name) if name in intervals.bounds else (math.nan, math.nan)
                table.add_row(name, _number(float(value)), "" if math.isnan(bounds[0]) else f"{bounds[0]:.3f} to {bounds[1]:.3f}")
        console.print(table)
        if len(of_metric.columns) > 1:
            console.print(_class_table(of_metric))
    console.print(f"{scores.images} images")
    for note in scores.notes:
        console.print(f"note: {note}", soft_wrap=True)


def _class_table(scores: RowScores) -> Table:
    """A row for each class that occurs; of the recalls of AP the last one only, so that it fits a terminal."""
    of_class = {name.removesuffix("_of_class"): values.tolist() for name, values in scores.values.items() if values.ndim}
    shown = [name for name in of_class if not name.startswith("ar_") or name == "ar_100"]
    table = Table("class", *shown, box=None)
    for index, name in enumerate(scores.columns):
        if any(not math.isnan(of_class[score][index]) for score in shown if score not in COUNTS):
            cells = (f"{of_class[s][index]:.0f}" if s in COUNTS else _number(of_class[s][index]) for s in shown)
            table.add_row(name, *cells)
    return table


def _number(value: float) -> str:
    return "NaN" if math.isnan(value) else f"{value:.3f}"
