"""intarsia export."""

from __future__ import annotations

from typing import Annotated

import typer

from intarsia.cli.console import open_console

__all__ = ["export"]


def export(
    model: Annotated[str, typer.Argument(help="Model file, such as runs/x/best.safetensors, or the folder of a run.")],
    out: Annotated[str, typer.Option(help="Folder for the network, the JSON beside it, and what runs it without torch.")],
    to: Annotated[str, typer.Option(help="onnx, torchscript or torch-export.")] = "onnx",
    images: Annotated[
        list[str] | None,
        typer.Option(help="What it is compared on: files, folders or quoted patterns. Else the data it was trained on."),
    ] = None,
    count: Annotated[int, typer.Option(help="At most so many images.")] = 8,
) -> None:
    """Write a network for other programs, for images of any size, and compare it with the model: it must be the same."""
    from intarsia.workflow.export import export as run

    console = open_console(stderr=True)
    made = run(model, out=out, to=to, images=images or [], count=count, progress=lambda text: console.print(text, soft_wrap=True))
    parity = made.parity
    typer.echo(
        f"{made.path}: labels agree on {parity.label_agreement:.3%} of the pixels of the worst of {parity.images} images, each "
        f"at two sizes; scores differ by at most {parity.max_difference:.2g}"
    )
    if made.runner is not None:
        typer.echo(f"without torch: python {made.runner} {made.path} PHOTO mask.png")
    typer.echo(f"with it: intarsia predict PHOTOS --model {made.path} --out DIR")
