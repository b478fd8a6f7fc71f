"""intarsia doctor."""

from __future__ import annotations

import json
from typing import Annotated

import typer

__all__ = ["doctor"]


def doctor(
    device: Annotated[str, typer.Option(help="Where to train for a moment: auto, cpu, cuda, cuda:1, mps.")] = "auto",
    hub: Annotated[bool, typer.Option("--hub", help="Also ask whether the hub with trained weights answers.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Say whether this installation is fine: versions, devices, folders, and a two-second training.

    What it prints is the text for a bug report. Exit code 1 if there is something to mend, with what to do.
    """
    from intarsia.workflow.doctor import doctor as run

    typer.echo("looking around, then training for two seconds ...", err=True)
    found = run(device=device, hub=hub)
    typer.echo(json.dumps(found.to_dict(), indent=2) if as_json else found.text())
    if found.faults:
        raise typer.Exit(1)
