"""intarsia demo."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from intarsia.cli.tables import print_evaluation

__all__ = ["demo"]


def demo(
    out: Annotated[str, typer.Option(help="Folder of the demo's run.")] = "runs/demo",
    epochs: Annotated[int | None, typer.Option(help="Fewer for a quick look; the default takes about three minutes.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
) -> None:
    """Train on drawn street scenes, score, predict, and write a report: the whole way, in about four minutes on two CPU cores."""
    from intarsia.workflow.demo import demo as run

    console = Console()
    done = run(out=out, epochs=epochs, device=device, console=console)
    print_evaluation(console, done.run.evaluation)
    console.print(
        f"\nmodel:   {done.run.best}\npicture: {done.picture}\nreport:  {done.run.report}   <- open this in a browser",
        highlight=False,
        soft_wrap=True,
    )
