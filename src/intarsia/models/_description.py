"""What an architecture is and takes, read from its source without importing torch."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from importlib import resources
from typing import Any, Literal, TypedDict

from intarsia.core import Catalog, Task, UnknownNameError, nearest_names

__all__ = [
    "FIGURES_CLASSES",
    "FIGURES_SIZE_HW",
    "FIGURES_THINGS",
    "INSTANCE",
    "NETWORKS",
    "PANOPTIC",
    "SEMANTIC",
    "Figures",
    "ModelDescription",
    "describe_model",
    "network_catalog",
]

SEMANTIC = Catalog("semantic model", "intarsia.models.semantic")
INSTANCE = Catalog("instance model", "intarsia.models.instance")
PANOPTIC = Catalog("panoptic model", "intarsia.models.panoptic")
NETWORKS: dict[Task, Catalog] = {"semantic": SEMANTIC, "instance": INSTANCE, "panoptic": PANOPTIC}
"""All networks, by what they are trained for."""

FIGURES_CLASSES = 21
FIGURES_THINGS = 8
FIGURES_SIZE_HW = (512, 512)
"""What the stored figures are for, with an image of three channels; of panoptic networks the last 8 of the 21 are things."""

_COMMON = ("encoder", "num_classes", "in_channels", "thing_ids")
"""Arguments that `create_model` takes by name; all others are the architecture's options."""


class Figures(TypedDict):
    """What can be counted about a network.

    parameters: frozen ones count as well.
    flops: of convolutions and matrix products for one image; a multiplication and an addition count as two. None where they
        depend on the regions that are found in the image; then there are no strides and no field either.
    output_stride: pixels of the image from one score to the next, before what has no weights enlarges them; of the finest, where
        scores of several strides are joined. None where their number is fixed, whatever the image.
    coarsest_stride: of the coarsest map in the network, those of a fixed size aside.
    receptive_field: smallest and largest side of the window of the image behind a pixel of the answer, in pixels; or that it is
        all of the image; None where the operations of the network cannot be followed.
    """

    parameters: int
    flops: int | None
    output_stride: float | None
    coarsest_stride: float | None
    receptive_field: tuple[int, int] | Literal["whole image"] | None


class ModelDescription(TypedDict):
    """What an architecture is.

    name: of its file; what `create_model` takes.
    task: what it is trained for.
    title: of its class.
    summary: what it is, in a sentence.
    citation: who described it, and where.
    options: its own arguments and their defaults.
    choices: the values of those options that have only a few.
    encoder: the encoder it takes when none is named; None if it has its own trunk.
    output_stride: that encoder's output stride when none is named; None with an own trunk.
    year: when that was; the first year that is named.
    figures: of the default options, for `FIGURES_CLASSES` and `FIGURES_SIZE_HW`; None where none are stored.
    """

    name: str
    task: Task
    title: str
    summary: str
    citation: str
    options: dict[str, Any]
    choices: dict[str, tuple[Any, ...]]
    encoder: str | None
    output_stride: int | None
    year: int | None
    figures: Figures | None


def network_catalog(name: str) -> tuple[Task, Catalog]:
    """The task of the architecture called `name`, and the catalogue that has it.

    Raises:
        UnknownNameError: no such architecture; the message gives the nearest and all known names.
    """
    for task, catalog in NETWORKS.items():
        if name in catalog:
            return task, catalog
    known = [known for catalog in NETWORKS.values() for known in catalog.names]
    near = nearest_names(name, known)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise UnknownNameError(f"There is no network called {name!r}.{hint} Known: {', '.join(known)}.")


def describe_model(name: str) -> ModelDescription:
    """Say what the architecture called `name` is and which options it has.

    Raises:
        UnknownNameError: no such architecture; the message names the nearest.
    """
    task, catalog = network_catalog(name)
    module = ast.parse(resources.files(catalog.package).joinpath(f"{name}.py").read_text(encoding="utf-8"))
    summary, citation = ((ast.get_docstring(module) or "") + "\n\n").split("\n\n")[:2]
    title = _constant(module, "__all__")[0]
    model = next(node for node in module.body if isinstance(node, ast.ClassDef) and node.name == title)
    make = next(node for node in model.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    arguments = zip(make.args.kwonlyargs, make.args.kw_defaults, strict=True)
    options = [(argument, default) for argument, default in arguments if argument.arg not in _COMMON and default is not None]
    return {
        "name": name,
        "task": task,
        "title": title,
        "summary": " ".join(summary.split()),
        "citation": " ".join(citation.split()),
        "options": {argument.arg: ast.literal_eval(default) for argument, default in options},
        "choices": {argument.arg: choices for argument, _ in options if (choices := _choices(argument.annotation))},
        "encoder": _constant(model, "ENCODER"),
        "output_stride": _constant(model, "OUTPUT_STRIDE"),
        "year": int(years[0]) if (years := re.findall(r"\b(?:19|20)\d\d\b", citation)) else None,
        "figures": _stored_figures().get(name),
    }


@cache
def _stored_figures() -> dict[str, Figures]:
    """By the name of the architecture, as `benchmarks/figures.py` wrote them; the tests count again."""
    text = resources.files("intarsia.models").joinpath("figures.json").read_text(encoding="utf-8")
    stored: dict[str, Any] = json.loads(text)
    for row in stored.values():
        if isinstance(row["receptive_field"], list):  # JSON has no tuples
            row["receptive_field"] = tuple(row["receptive_field"])
    return stored


def _constant(node: ast.Module | ast.ClassDef, name: str) -> Any:
    """The plain value that a module or a class binds to `name`; None if it does not."""
    for entry in node.body:
        if isinstance(entry, ast.Assign | ast.AnnAssign) and entry.value is not None:
            targets = entry.targets if isinstance(entry, ast.Assign) else [entry.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return ast.literal_eval(entry.value)
    return None


def _choices(annotation: ast.expr | None) -> tuple[Any, ...]:
    """The values of the `Literal[...]` in an annotation."""
    for part in ast.walk(annotation) if annotation is not None else ():
        if isinstance(part, ast.Subscript) and isinstance(part.value, ast.Name) and part.value.id == "Literal":
            values = ast.literal_eval(part.slice)
            return values if isinstance(values, tuple) else (values,)
    return ()
