"""intarsia merge."""

from __future__ import annotations

from typing import Annotated

import typer

from intarsia.cli.console import open_console

__all__ = ["merge"]


def merge(
    instances: Annotated[str, typer.Argument(help="Model of objects, or predictions of some: COCO JSON or a folder of masks.")],
    semantic: Annotated[str, typer.Argument(help="Model of classes, or a folder of its masks.")],
    out: Annotated[str, typer.Option(help="Folder for masks/ (PNG and JSON of each image) and objects.csv.")],
    images: Annotated[
        list[str] | None, typer.Option(help="With two models: image files, folders or quoted patterns. May come again.")
    ] = None,
    min_score: Annotated[float, typer.Option(help="Objects of a lower score are left out.")] = 0.5,
    max_overlap: Annotated[float, typer.Option(help="Largest share of an object that may lie on better ones.")] = 0.5,
    min_stuff_area: Annotated[
        int, typer.Option(help="Smallest stuff in pixels of an image of 480 x 640; smaller images are held to the same share.")
    ] = 4096,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    overlays: Annotated[bool, typer.Option("--overlays/--no-overlays", help="Also write pictures, with two models.")] = True,
) -> None:
    """Merge objects and maps of classes into panoptic maps, each pixel in one segment: better objects first, then stuff."""
    from intarsia.workflow.merge import merge as run

    console = open_console(stderr=True)

    def show(number: int, count: int, name: str) -> None:
        if count <= 20 or number % max(1, count // 20) == 0:
            console.print(f"[{number}/{count}] {name}", soft_wrap=True, highlight=False)

    written = run(
        instances,
        semantic,
        out=out,
        images=images or [],
        min_score=min_score,
        max_overlap=max_overlap,
        min_stuff_area=min_stuff_area,
        device=device,
        overlays=overlays,
        progress=show,
    )
    typer.echo(f"{len(written)} panoptic maps are in {out}/masks")
