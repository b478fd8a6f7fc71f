"""Colours of classes as label files say them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from intarsia.core import ClassSpace
from intarsia.core.class_space import Color

__all__ = ["color_of", "hex_of", "with_colors"]


def color_of(value: object) -> Color | None:
    """A colour that is written as #rrggbb, as three numbers, or as one number of 24 bits; None for anything else."""
    if isinstance(value, str) and len(value) == 7 and value.startswith("#"):
        try:
            value = int(value[1:], 16)
        except ValueError:
            return None
    if isinstance(value, int):  # the alpha of 32 bits, also below 0, is left out
        return value >> 16 & 255, value >> 8 & 255, value & 255
    if not isinstance(value, list | tuple) or len(value) != 3 or not all(isinstance(v, int) and 0 <= v <= 255 for v in value):
        return None
    return int(value[0]), int(value[1]), int(value[2])


def hex_of(color: Color) -> str:
    """#rrggbb."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def with_colors(classes: ClassSpace, colors: Mapping[str, object]) -> ClassSpace:
    """The classes with the colours that a file says for their names, as far as it says one."""
    known = {name: color for name, value in colors.items() if (color := color_of(value)) is not None}
    return replace(classes, classes=tuple(replace(entry, color=known.get(entry.name, entry.color)) for entry in classes.classes))
