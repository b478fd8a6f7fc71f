"""intarsia evaluate."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from intarsia.cli.console import open_console
from intarsia.cli.options import RefineFile, RefineName, RefineSettings, parse_pairs, parse_task
from intarsia.cli.tables import print_evaluation

__all__ = ["evaluate"]


def evaluate(
    data: Annotated[str, typer.Argument(help="Folder with images/ and masks/, a data.yaml, or a data set: scenes, camvid:PATH.")],
    model: Annotated[str, typer.Option(help="Model file, such as runs/x/best.safetensors, or a classical method.")],
    options: Annotated[
        list[str] | None,
        typer.Option("--set", help="Option of a classical method, or of how objects are decoded: min_score=0.5. May come again."),
    ] = None,
    split: Annotated[str, typer.Option(help="Which images: train, val or test.")] = "val",
    task: Annotated[
        str | None, typer.Option(help="What is compared: semantic, instance or panoptic; else what the model makes.")
    ] = None,
    out: Annotated[str | None, typer.Option(help="Folder for evaluation.json and report.html.")] = None,
    semantic: Annotated[
        str | None, typer.Option(help="Model or classical method that tells an instance network where the classes are.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Score even mostly ignored pixels or a single class, with a warning.")
    ] = False,
    hints: Annotated[
        str | None,
        typer.Option(help="For interactive methods, what is simulated from the truth: box, clicks=5 in each class, contour=8."),
    ] = None,
    refine: RefineName = None,
    refine_options: RefineSettings = None,
    refine_file: RefineFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Score a model on a data set, at the images' own size, with intervals.

    A score that would not mean what it seems to (most pixels ignored, a single class) is refused with exit code 2.
    """
    from intarsia.evaluation import ScoreRefused
    from intarsia.workflow.evaluate import evaluate as run

    try:
        evaluation = run(
            data,
            model=model,
            split=split,
            task=parse_task(task),
            options=parse_pairs(options or []),
            semantic=semantic,
            device=device,
            out=out,
            allow_partial=allow_partial,
            hints=hints,
            refine=refine,
            refine_options=parse_pairs(refine_options or []),
            refine_file=refine_file,
        )
    except ScoreRefused as refused:
        if as_json:
            typer.echo(json.dumps(refused.to_dict(), indent=2))
        raise
    if as_json:
        typer.echo(json.dumps(evaluation.to_dict(), indent=2))
        return
    console = open_console()
    print_evaluation(console, evaluation)
    if out is not None:
        console.print(f"report: {out}/report.html", soft_wrap=True)
