"""intarsia models."""

from __future__ import annotations

import itertools
import json
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console
from rich.table import Table

from intarsia.cli.console import open_console
from intarsia.cli.options import parse_pairs, parse_size

if TYPE_CHECKING:
    from intarsia.classical import MethodDescription
    from intarsia.models import Figures, ModelDescription
    from intarsia.workflow.models import NetworkDescription

__all__ = ["models"]

WHAT_TO_TAKE = """
What to take
  few images, or photographs  unet_encoder --encoder resnet18, which starts from ImageNet weights
  other kinds of images       unet, from random weights; --set width=32 makes it four times cheaper
  whole scenes, streets       deeplab_v3plus
  little time for an image    linknet
  objects one by one          mask_rcnn --encoder resnet18
  many alike that touch       ternausnet_v2, or deep_watershed
  objects and what is around  panoptic_fpn --encoder resnet18
  nothing to train with       a classical method

GFLOPs are for an image of 512 x 512 and 21 classes; without a number, they depend on the image.
`intarsia models NAME` tells all about one."""
SHORTEST_CLAUSE = 24
KINDS: dict[str, Callable[[ModelDescription], bool]] = {
    "on an encoder of your choice": lambda row: row["task"] == "semantic" and row["encoder"] is not None,
    "with a trunk of their own": lambda row: row["task"] == "semantic" and row["encoder"] is None,
    "for objects, one by one": lambda row: row["task"] == "instance",
    "for objects and what is around them": lambda row: row["task"] == "panoptic",
}
RESULTS = {
    "regions": "regions without a class",
    "foreground": "foreground and background",
    "objects": "objects, one by one",
    "hinted": "the classes that the hints name",
    "learned": "the classes that it was trained on",
}


def models(
    name: Annotated[str | None, typer.Argument(help="A network or a classical method, to see what it is.")] = None,
    imgsz: Annotated[str, typer.Option(help="HEIGHTxWIDTH of the image that a network's operations are counted for.")] = "512",
    classes: Annotated[int, typer.Option(help="How many the network tells apart.")] = 21,
    things: Annotated[int | None, typer.Option(help="Of a panoptic network: how many of the classes are countable.")] = None,
    channels: Annotated[int, typer.Option(help="Of the image.")] = 3,
    encoder: Annotated[str | None, typer.Option(help="Encoder, for networks that take one, such as resnet18.")] = None,
    output_stride: Annotated[int | None, typer.Option(help="Stride of the encoder's coarsest features.")] = None,
    option: Annotated[list[str] | None, typer.Option("--set", help="The network's own options, such as --set width=32.")] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Print every layer instead of the blocks.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the networks and the classical methods, or say what one is: parameters, operations, receptive field, layers."""
    from intarsia.workflow.models import describe, list_methods, list_models

    console = open_console()
    if name is None:
        networks, methods = list_models(), list_methods()
        if as_json:
            rows = [{"kind": "network", **network} for network in networks] + [{"kind": "method", **row} for row in methods]
            typer.echo(json.dumps(rows, indent=2))
        else:
            _print_catalogue(console, networks, methods)
        return
    about = describe(
        name,
        size_hw=parse_size(imgsz) or (512, 512),
        num_classes=classes,
        things=things,
        in_channels=channels,
        encoder=encoder,
        output_stride=output_stride,
        options=parse_pairs(option or []),
    )
    if as_json:
        typer.echo(json.dumps({"kind": "network" if "layers" in about else "method", **about}, indent=2))
    elif "layers" in about:
        _print_network(console, cast("NetworkDescription", about), every_layer=layers)
    else:
        _print_method(console, about)


def _print_catalogue(console: Console, networks: Sequence[ModelDescription], methods: Sequence[MethodDescription]) -> None:
    """A line for each: networks from cheap to dear, methods by what they give or need; and a word on what to take."""
    names = max(len(row["name"]) for row in networks)
    for kind, belongs in KINDS.items():
        console.print(f"Networks {kind}: intarsia train DATA --model NAME", style="bold")
        table = _table("name", ">params", ">GFLOPs", ">year", "what it is", first=names)
        for row in sorted(filter(belongs, networks), key=_cost):
            counts = _counts(row["figures"]) if row["figures"] else ("", "")
            gist = _gist(row["summary"], console.width - names - 29)
            table.add_row(row["name"], *counts, str(row["year"] or ""), gist)
        console.print(table)
        console.print()
    names, kinds = 2 + max(len(row["name"]) for row in methods), list(RESULTS)
    console.print("Trained without a network, in seconds: intarsia train DATA --model NAME", style="bold")
    console.print(_gists((row for row in methods if row["result"] == "learned"), names, console.width))
    console.print()
    methods = [row for row in methods if row["result"] != "learned"]
    console.print("Without training: intarsia predict PHOTOS --model NAME --out DIR", style="bold")
    methods = sorted(methods, key=lambda row: (row["sequence"], bool(row["hints"]), kinds.index(row["result"])))
    for gives, alike in itertools.groupby(methods, key=_gives):
        console.print(gives, style="dim")
        console.print(_gists(alike, names, console.width))
    console.print(WHAT_TO_TAKE, soft_wrap=True)


def _print_network(console: Console, about: NetworkDescription, *, every_layer: bool) -> None:
    network, found = about["network"], about["figures"]
    height, width = about["size_hw"]
    _print_head(console, about)
    if found is not None:
        parameters, flops = _counts(found)
        things = f", {len(network['thing_ids'])} of them things" if network.get("thing_ids") else ""
        told = [f"parameters       {parameters} ({found['parameters']:,}) for {network['num_classes']} classes{things}"]
        if found["flops"] is None:
            told.append(
                "operations       depend on the regions that are found in an image; those of layers before that are below"
            )
        else:
            told += [
                f"operations       {flops} GFLOPs for an image of {height} x {width}, multiplication and addition counted as two",
                f"output stride    {_stride(found)}",
                f"receptive field  {_field(found)}",
            ]
        console.print("\n  " + "\n  ".join(told) + "\n", soft_wrap=True)
    _print_options(console, network["options"], about["choices"])
    if network["encoder"]:
        console.print(f"  --encoder {network['encoder']}    (any encoder of timm)")
        console.print(f"  --output-stride {network['output_stride']}")
    table = _table("layer", "kind", ">output", ">parameters", ">GFLOPs")
    for layer in about["layers"][1:] if every_layer else about["blocks"]:
        output = " x ".join(map(str, layer["output"] or ()))
        flops = "" if layer["flops"] is None else f"{layer['flops'] / 1e9:,.2f}"
        table.add_row(layer["name"], layer["kind"], output, f"{layer['parameters']:,}", flops)
    console.print()
    console.print(table)


def _print_method(console: Console, about: MethodDescription) -> None:
    needs = "frames in order, or a video" if about["sequence"] else " or ".join(about["hints"]) or "nothing but the image"
    _print_head(console, about)
    console.print(f"\n  gives  {RESULTS[about['result']]}\n  needs  {needs}\n")
    _print_options(console, about["options"], about["choices"])


def _print_head(console: Console, about: ModelDescription | MethodDescription) -> None:
    console.print(f"{about['name']}: {about['summary']}\n{about['citation']}", soft_wrap=True)


def _print_options(console: Console, options: Mapping[str, Any], choices: Mapping[str, Sequence[Any]]) -> None:
    for option, value in options.items():
        among = f"    ({', '.join(map(str, choices[option]))})" if choices.get(option) else ""
        console.print(f"  --set {option}={value}{among}", soft_wrap=True)


def _gives(method: MethodDescription) -> str:
    result = RESULTS[method["result"]]
    if method["sequence"]:
        return f"{result}, from frames in order"
    return "what is marked by hand: --box, --hints" if method["hints"] else result


def _gists(methods: Iterable[MethodDescription], names: int, width: int) -> Table:
    """A line for each method."""
    table = _table("", "", header=False, first=names)
    for method in methods:
        table.add_row(f"  {method['name']}", _gist(method["summary"], width - names - 4))
    return table


def _table(*columns: str, header: bool = True, first: int = 0) -> Table:
    """A table without lines; the columns marked with > are numbers, and the first is at least so many letters wide."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_header=header)
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left", no_wrap=True)
    table.columns[0].min_width = first
    return table


def _gist(summary: str, room: int) -> str:
    """The summary without the name before its colon, in one line: as many of its clauses as there is room for."""
    text = summary.rpartition(": ")[2].rstrip(".")
    ends = [match.start() for match in re.finditer(r"[,.;] |$", text) if SHORTEST_CLAUSE <= match.start() <= room]
    return text[: ends[-1]] if ends else textwrap.shorten(text, max(room, SHORTEST_CLAUSE), placeholder=" ...")


def _counts(found: Figures) -> tuple[str, str]:
    """Parameters, and operations; these are left out where they depend on the image."""
    giga = (found["flops"] or 0) / 1e9
    flops = f"{giga:,.0f}" if giga >= 100 else f"{giga:.1f}"
    return f"{found['parameters'] / 1e6:.1f} M", "" if found["flops"] is None else flops


def _cost(row: ModelDescription) -> tuple[float, float]:
    """By operations; those where they are not known last, by parameters."""
    found = row["figures"]
    if found is None:
        return math.inf, math.inf
    return math.inf if found["flops"] is None else found["flops"], found["parameters"]


def _stride(found: Figures) -> str:
    scores, coarsest = found["output_stride"], found["coarsest_stride"]
    if scores is None or coarsest is None:
        return "none; the number of scores is fixed, whatever the image"
    return f"{scores:g}, and {coarsest:g} of its coarsest map"


def _field(found: Figures) -> str:
    field = found["receptive_field"]
    if field is None:
        return "not known; the network has operations that are not followed"
    if isinstance(field, str):
        return f"the {field}"
    smallest, largest = field
    return f"{largest} pixels" if smallest == largest else f"{smallest} to {largest} pixels, depending on the place"
