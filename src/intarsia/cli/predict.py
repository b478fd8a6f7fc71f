"""intarsia predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from intarsia.cli.console import open_console
from intarsia.cli.options import parse_pairs

if TYPE_CHECKING:
    from intarsia.workflow.predict import Predicted

__all__ = ["predict"]


def predict(
    inputs: Annotated[list[str], typer.Argument(help="Image files, folders, or quoted patterns such as 'photos/*.jpg'.")],
    model: Annotated[str, typer.Option(help="Model file, such as runs/x/best.safetensors, or a classical method, such as slic.")],
    out: Annotated[str, typer.Option(help="Folder for masks/, overlays/ and summary.csv.")],
    options: Annotated[
        list[str] | None, typer.Option("--set", help="Option of a classical method, such as segments=400. May come again.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    overlays: Annotated[bool, typer.Option("--overlays/--no-overlays", help="Also write pictures of the result.")] = True,
) -> None:
    """Segment images: palette masks (ids inside, colours outside) at the original size, overlays, and a table.

    A file that cannot be read is reported, the others go on, and the exit code is 1.
    """
    from intarsia.workflow.predict import predict as run

    console = open_console(stderr=True)

    def show(number: int, count: int, row: Predicted) -> None:
        if row.error is not None:
            console.print(f"[{number}/{count}] skipped: {row.error}", soft_wrap=True)
        elif count <= 20 or number % max(1, count // 20) == 0:
            console.print(f"[{number}/{count}] {row.path} ({row.seconds:.2f} s)", soft_wrap=True)

    rows = run(inputs, model=model, out=out, options=parse_pairs(options or []), device=device, overlays=overlays, progress=show)
    failed = [row for row in rows if row.error is not None]
    typer.echo(f"{len(rows) - len(failed)} of {len(rows)} images segmented; masks, overlays and summary.csv are in {out}")
    if failed:
        raise typer.Exit(1)
