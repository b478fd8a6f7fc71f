"""intarsia report."""

from __future__ import annotations

from typing import Annotated

import typer

from intarsia.cli.console import open_console

__all__ = ["report"]


def report(
    run: Annotated[str, typer.Argument(help="Folder of a run, or one that `intarsia evaluate --out` wrote.")],
    data: Annotated[str | None, typer.Option(help="Where the data are now, if not where they were.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Score even mostly ignored pixels or a single class, with a warning.")
    ] = False,
) -> None:
    """Build report.html of a run again from what lies in its folder; evaluate again only where needed."""
    from intarsia.workflow.report import report as run_report

    console = open_console(stderr=True)
    path = run_report(
        run, data=data, device=device, allow_partial=allow_partial, say=lambda line: console.print(line, soft_wrap=True)
    )
    typer.echo(f"report: {path}")
