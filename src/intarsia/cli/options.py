"""How the values of options are written: sizes, times, key=value pairs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intarsia.core.errors import SettingsError

if TYPE_CHECKING:
    from intarsia.core import Task

__all__ = [
    "RefineFile",
    "RefineName",
    "RefineSettings",
    "parse_auto",
    "parse_duration",
    "parse_numbers",
    "parse_pairs",
    "parse_size",
    "parse_task",
    "parse_weights",
]

RefineName = Annotated[
    str | None, typer.Option(help="What refines the result by the image: crf, crf_deeplab as released, or region_crf.")
]
RefineSettings = Annotated[
    list[str] | None, typer.Option("--refine-set", help="Setting of the refinement, such as bilateral_xy=20. May come again.")
]
RefineFile = Annotated[
    str | None, typer.Option(help="Settings of a refinement in a file, such as tune-crf and fit-region-crf write.")
]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Height and width from "360x480" or "256"; None from None and "auto"."""
    if text is None or text == "auto":
        return None
    match = re.fullmatch(r"(\d+)(?:[x,](\d+))?", text.strip().lower())
    if match is None or int(match[1]) == 0 or match[2] == "0":
        raise SettingsError(
            f"The size {text!r} is not understood; write height x width, such as 360x480, or one number for a square."
        )
    return int(match[1]), int(match[2] or match[1])


def parse_duration(text: str | None) -> float | None:
    """Seconds from "90s", "30m", "1.5h", "1h30m" or a number of seconds."""
    if text is None:
        return None
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "": 1}
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip().lower())
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != text.strip().lower():
        raise SettingsError(f"The time {text!r} is not understood; write 90s, 30m, 2h or 1h30m.")
    return sum(float(number) * units[unit] for number, unit in parts)


def parse_auto(text: str | None, kind: type[int] | type[float], name: str) -> Any:
    """A number, or None for "auto"."""
    if text is None or text == "auto":
        return None
    try:
        return kind(text)
    except ValueError as error:
        raise SettingsError(f"{name} is {text!r}; it is auto or a number.") from error


def parse_weights(text: str | None) -> str | tuple[float, ...] | None:
    """The name of a rule, or numbers from "1,2.5,1"."""
    from intarsia.recipes.stage import CLASS_WEIGHTS

    if text is None or text in CLASS_WEIGHTS:
        return text
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise SettingsError(
            f"The class weights {text!r} are not understood; write auto, median_frequency, log, none, or numbers: 1,2.5,1."
        ) from error


def parse_numbers(text: str | None, name: str) -> tuple[float, ...] | None:
    """Numbers from "0.5,0.5,0.5"; None from None."""
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise SettingsError(f"{name} is {text!r}; numbers with commas between, such as 0.5,0.5,0.5, are expected.") from error


def parse_task(text: str | None) -> Task | None:
    """The name of a task; None from None."""
    tasks: tuple[Task, ...] = ("semantic", "instance", "panoptic")
    if text is not None and text not in tasks:
        raise SettingsError(f"--task is {text!r}; semantic, instance or panoptic is expected.")
    return next((task for task in tasks if task == text), None)


def parse_pairs(pairs: Sequence[str]) -> dict[str, Any]:
    """A dictionary from "key=value" pairs; values are numbers, true, false, JSON lists, or else text."""
    parsed: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise SettingsError(f"{pair!r} is not key=value, such as stride=8.")
        try:
            parsed[key.strip()] = json.loads(value)
        except json.JSONDecodeError:
            parsed[key.strip()] = {"True": True, "False": False, "None": None}.get(value, value)
    return parsed
