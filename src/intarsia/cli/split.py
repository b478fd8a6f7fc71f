"""intarsia split."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from intarsia.cli.console import open_console

__all__ = ["split"]


def split(
    data: Annotated[str, typer.Argument(help="Folder with images/ and masks/, a label file, or a data set: camvid:PATH.")],
    val: Annotated[float, typer.Option(help="Share of the images for validation.")] = 0.2,
    test: Annotated[float, typer.Option(help="Share of the images for testing.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the choice among equals.")] = 0,
    group: Annotated[
        str | None,
        typer.Option(help="Regular expression: images in whose names it finds the same stay together: '(scene[0-9]+)_'."),
    ] = None,
    stratify: Annotated[
        bool, typer.Option("--stratify/--no-stratify", help="Each class in each split as often as its share.")
    ] = True,
    move: Annotated[
        bool, typer.Option("--move", help="Move the files into train, val and test folders, and write no file.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the split as JSON.")] = False,
) -> None:
    """Divide a data set into train, val and test, and write that into a file beside it; the data stay as they are."""
    from intarsia.workflow.progress import tell_of
    from intarsia.workflow.split import split as run

    progress = tell_of("split", open_console(stderr=True))
    done = run(data, val=val, test=test, seed=seed, group=group, stratify=stratify, move=move, progress=progress)
    if as_json:
        typer.echo(json.dumps(done.split.to_dict(), indent=2, ensure_ascii=False))
        return
    from rich.table import Table
    from rich.text import Text

    console = open_console()
    divided = done.split
    table = Table(box=None)
    table.add_column("images")
    for name, keys in divided.keys.items():
        table.add_column(f"{len(keys):,} {name}", justify="right")
    for index, name in enumerate(divided.classes):
        table.add_row(Text(f"with {name}"), *(f"{int(counts[index]):,}" for counts in divided.images.values()))
    console.print(table)
    if group is not None:
        alone = f"; {divided.alone:,} images match nothing and stand alone" if divided.alone else ""
        console.print(
            f"{divided.groups:,} groups stay together, the largest of {divided.largest_group:,} images{alone}", highlight=False
        )
    where = f"moved {done.moved:,} files" if done.path is None else f"wrote {done.path}"
    console.print(where, highlight=False, markup=False, soft_wrap=True)
