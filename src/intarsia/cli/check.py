"""intarsia check."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from intarsia.cli.console import open_console
from intarsia.core.errors import IntarsiaError

__all__ = ["check"]


def check(
    data: Annotated[str, typer.Argument(help="Folder with images/ and masks/, a data.yaml, or a data set: scenes, camvid:PATH.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Write a picture of images and masks, before and after the changes of training.")
    ] = False,
    sheet: Annotated[str | None, typer.Option(help="Where --show writes it. [default: check-DATA.png]")] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Write the intarsia.toml that says what the masks mean; the data stay as they are.")
    ] = False,
) -> None:
    """Look at every image and mask, and say what is wrong, what it probably means, and what fixes it.

    Exit code 0: nothing, or warnings only. 1: errors, which stop a training. 2: wrong usage.
    """
    from intarsia.workflow.check import check as run

    found = run(data, fix=fix, console=open_console(stderr=True))
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
    else:
        console = open_console()
        for note in found.notes:
            console.print(f"note: {note}", soft_wrap=True)
        for finding in found.findings:
            console.print(f"\n{finding.severity} {finding.code}: {finding.sentences()}", soft_wrap=True)
        console.print(f"\n{found.summary()}", soft_wrap=True)
    if show or sheet is not None:
        from intarsia.workflow.check import show_samples

        try:
            said = f"wrote {show_samples(data, sheet or f'check-{found.name}.png')}"
        except IntarsiaError as error:
            if not found.errors:
                raise
            said = f"nothing to show yet: {error}"
        open_console(stderr=True).print(said, soft_wrap=True)
    raise typer.Exit(1 if found.errors else 0)
