"""intarsia convert."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from intarsia.cli.console import open_console
from intarsia.cli.options import parse_pairs

__all__ = ["convert"]


def convert(
    source: Annotated[str, typer.Argument(help="Folder or file of any label format, or a data set: camvid:PATH, labelme:PATH.")],
    out: Annotated[str, typer.Argument(help="New folder, or that of a conversion that was stopped, which then goes on.")],
    to: Annotated[str, typer.Option(help="Format: coco, coco_panoptic, palette, class_files, ...; a wrong name lists them.")],
    kind: Annotated[
        str | None, typer.Option(help="Write instance, semantic or panoptic truths. [default: as the source]")
    ] = None,
    semantic: Annotated[
        str | None, typer.Option(help="Label maps of the same images: with the objects of SOURCE they become panoptic maps.")
    ] = None,
    classes: Annotated[str | None, typer.Option(help="Only these classes, in this order: car,person.")] = None,
    images: Annotated[str, typer.Option(help="copy, link (hard links, on one disk) or leave the image files.")] = "copy",
    workers: Annotated[int | None, typer.Option(help="Processes. [default: by the number of images]")] = None,
    compare: Annotated[int, typer.Option(help="Read so many images back and compare them; 0 for none.")] = 100,
    option: Annotated[list[str] | None, typer.Option("--set", help="Option of the format, NAME=VALUE. May come again.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Write a data set in another label format, and say what of it the format could not hold.

    A conversion that was stopped goes on when the same command is given again.
    """
    from intarsia.workflow.convert import convert as run

    done = run(
        source,
        out,
        to=to,
        kind=kind,
        semantic=semantic,
        classes=None if classes is None else [name.strip() for name in classes.split(",")],
        images=images,
        workers=workers,
        compare=compare,
        options=parse_pairs(option or []),
        console=open_console(stderr=True),
    )
    if as_json:
        typer.echo(json.dumps(done.to_dict(), indent=2, ensure_ascii=False))
        return
    console = open_console()

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)

    splits = ", ".join(f"{count:,} {split}" for split, count in done.splits.items())
    say(f"{done.images:,} images{f' ({splits})' if splits else ''} are in {done.out} as {done.to}, {done.kind} truths.")
    unit = "images with" if done.kind == "semantic" else "segments of" if done.kind == "panoptic" else "objects of"
    for name, count in done.objects.items():
        say(f"  {count:>8,} {unit} {name}")
    for sentence, count in done.lost.items():
        say(f"lost, {count:,} times: {sentence}")
    if done.iou is not None:
        say(f"round trip: IoU {done.iou:.4f} on average, {done.lowest_iou:.4f} at worst, in {done.compared:,} images read back")
    for note in done.notes:
        say(f"note: {note}")
