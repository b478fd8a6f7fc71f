"""intarsia demo."""

from __future__ import annotations

from typing import Annotated

import typer

from intarsia.cli.console import open_console
from intarsia.cli.tables import print_evaluation

__all__ = ["demo"]


def demo(
    out: Annotated[str, typer.Option(help="Folder of the demo's run.")] = "runs/demo",
    epochs: Annotated[int | None, typer.Option(help="Fewer for a quick look; the default takes about three minutes.")] = None,
    recipe: Annotated[str, typer.Option(help="Another recipe, whose data are scenes.")] = "demo",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
) -> None:
    """Train on drawn street scenes, score, predict, and write a report: the whole way, in about four minutes on two CPU cores."""
    from intarsia.workflow.demo import demo as run

    console = open_console()
    done = run(out=out, epochs=epochs, recipe=recipe, device=device, console=console)
    print_evaluation(console, done.run.evaluation)
    console.print(
        f"\nmodel:   {done.run.best}\npicture: {done.picture}\nreport:  {done.run.report}   <- open this in a browser",
        soft_wrap=True,
    )
