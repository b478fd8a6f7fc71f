"""intarsia models."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from intarsia.cli.console import open_console

__all__ = ["models"]


def models(
    name: Annotated[str | None, typer.Argument(help="One architecture, to see what it is and its options.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the architectures, or say what one is."""
    from intarsia.workflow.models import describe, list_models

    rows = [describe(name)] if name is not None else list_models()
    if as_json:
        typer.echo(json.dumps(rows[0] if name is not None else rows, indent=2))
        return
    console = open_console()
    if name is None:
        table = Table("name", "what it is", "encoder", box=None)
        for row in rows:
            table.add_row(row["name"], row["summary"], row["encoder"] or "its own")
        console.print(table)
        return
    row = rows[0]
    lines = [f"{row['name']}: {row['summary']}", row["citation"], ""]
    for option, default in row["options"].items():
        choices = row["choices"].get(option)
        lines.append(f"  --set {option}={default}" + (f"    ({', '.join(map(str, choices))})" if choices else ""))
    if row["encoder"]:
        lines.append(f"  --encoder {row['encoder']}    (or any timm encoder, such as resnet18)")
        lines.append(f"  --output-stride {row['output_stride']}")
    console.print("\n".join(lines), soft_wrap=True)
