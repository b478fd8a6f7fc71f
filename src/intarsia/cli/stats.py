"""intarsia stats."""

from __future__ import annotations

import json
import shlex
import sys
from typing import Annotated

import typer

from intarsia.cli.console import open_console

__all__ = ["stats"]


def stats(
    data: Annotated[
        str, typer.Argument(help="Folder with images/ and masks/, a label file, or a data set: scenes, camvid:PATH.")
    ],
    out: Annotated[str | None, typer.Option(help="HTML file to write. [default: stats-DATA.html]")] = None,
    view: Annotated[str | None, typer.Option(help="semantic, instance or panoptic. [default: the data set's own]")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as JSON, and write no page unless --out is given.")
    ] = False,
) -> None:
    """Count classes, objects and sizes: shares, what occurs together, and weights that balance the classes, in one HTML file."""
    from intarsia.workflow.progress import tell_of
    from intarsia.workflow.stats import stats as run

    command = shlex.join(["intarsia", *sys.argv[1:]])
    found = run(data, view=view, progress=tell_of("stats", open_console(stderr=True)))
    page = out or (None if as_json else f"stats-{found.name}.html")
    if page is not None:
        from intarsia.evaluation.statistics_page import write_statistics

        write_statistics(page, found, command=command)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
        return
    from rich.table import Table
    from rich.text import Text

    console = open_console()
    table = Table(box=None)
    table.add_column("class")
    for head in ("share of pixels", "images", "objects", "median side", "weight"):
        table.add_column(head, justify="right")
    for name, row in found.to_dict()["classes"].items():
        objects = row["objects"] or {"count": 0, "area_median": 0}
        side = f"{objects['area_median'] ** 0.5:.0f} px" if objects["count"] else ""
        figures = (
            f"{row['share']:.2%}",
            f"{row['images']:,}",
            f"{objects['count']:,}",
            side,
            f"{row['median_frequency_weight']:.3g}",
        )
        table.add_row(Text(name), *figures)
    console.print(table)
    console.print(f"wrote {page}", highlight=False, markup=False, soft_wrap=True)
