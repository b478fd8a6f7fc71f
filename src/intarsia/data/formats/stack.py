"""Stacks of pictures: TIFF of many pages and OME-TIFF, with the names of their axes, the size of a pixel and of a slice.

Axes are letters, one for each dimension: T time, Z depth, C channels, Y rows, X columns, S the samples of a colour; the last are
YX or YXS. An axis that a file does not name is taken for Z where there are pages, as ImageJ's users expect. The sizes stand in
OME-XML, in ImageJ's notes, or in the note that Intarsia writes, as JSON in the description of the first page, into a plain TIFF
file; in micrometres, whatever unit the file has. A file that names others, as OME allows, is read without them.

Sources: TIFF 6.0; the OME model 2016-06, https://docs.openmicroscopy.org/ome-model; ImageJ's description tag.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from intarsia.core import Array, DataError
from intarsia.data.formats._files import write_bytes
from intarsia.data.formats._tiff_pages import open_tiff, series_values

__all__ = ["read_stack", "Stack", "write_stack"]  # noqa: RUF022 - the catalogue offers the first

NAMED = "TZCYXS"
UNNAMED = "QI"
MICROMETRES = {"nm": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "\\u00B5m": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}
"""Of the units that are lengths; a file in pixels has no size."""
DTYPES = "uint8, uint16, uint32, int8, int16, int32, float32 or float64"


@dataclass(frozen=True, eq=False)
class Stack:
    """Pictures of one size.

    Args:
        values: one dimension for each axis.
        axes: their letters, such as "ZYX" or "TZCYX".
        pixel_size: micrometres from one pixel to the next along Z, Y and X, as far as they are known.
        channels: names along C; none where nobody named them.

    Raises:
        DataError: axes that do not fit the values, or that do not end in YX or YXS.
    """

    values: Array
    axes: str
    pixel_size: Mapping[str, float] = field(default_factory=dict)
    channels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.axes) != self.values.ndim or len(set(self.axes)) != len(self.axes) or set(self.axes) - set(NAMED):
            raise DataError(f"A stack of shape {self.values.shape} has the axes {self.axes!r}; each is one of {NAMED}, once.")
        if not self.axes.endswith(("YX", "YXS")):
            raise DataError(f"A stack has the axes {self.axes!r}; they end in YX or YXS. Move the others to the front.")
        count = self.values.shape[self.axes.index("C")] if "C" in self.axes else 0
        if self.channels and len(self.channels) != count:
            raise DataError(f"A stack of {count} channels has {len(self.channels)} names for them.")

    def slices(self) -> Iterator[tuple[str, Array]]:
        """Each place along T and Z as its name, such as "t000_z012", and its picture (H, W, C)."""
        outer = [axis for axis in self.axes if axis in "TZ"]
        kept = [axis for axis in self.axes if axis not in "TZC"]
        moved = self.values.transpose([self.axes.index(axis) for axis in (*outer, *kept, *("C" * ("C" in self.axes)))])
        for place in product(*(range(n) for n in moved.shape[: len(outer)])):
            name = "_".join(f"{axis.lower()}{index:03}" for axis, index in zip(outer, place, strict=True))
            picture = moved[place]
            yield name, picture.reshape(*picture.shape[:2], -1)


def read_stack(path: str | Path) -> Stack:
    """Read a file of one or many pages; the first series of pictures where it has several.

    Raises:
        DataError: a file that cannot be read, or that has axes of another kind.
    """
    path = Path(path)
    with open_tiff(path) as tiff:
        series = tiff.series[0]
        values = series_values(path, series)
        axes = str(series.axes)
        extra = [axis for axis in axes if axis in UNNAMED]
        if len(extra) == 1 and "Z" not in axes:
            axes = axes.replace(extra[0], "Z")
        if set(axes) - set(NAMED):
            raise DataError(f"it has the axes {axes} of shape {series.shape}, and stacks have {NAMED}")
        if not axes.endswith(("YX", "YXS")):
            order = [axis for axis in axes if axis not in "YX"] + ["Y", "X"]
            values, axes = values.transpose([axes.index(axis) for axis in order]), "".join(order)
            if axes.endswith("SYX"):  # samples in planes are channels
                axes = axes.replace("S", "C") if "C" not in axes else axes
        values = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
        return Stack(values, axes, *_sizes(tiff, axes, values.shape))


def write_stack(path: str | Path, stack: Stack) -> Path:
    """Write a file, as OME-TIFF where its name ends in .ome.tif or .ome.tiff; deflated, whole or not at all.

    Read again it is the same stack; but OME names axes of length 1 only where they are Y and X.

    Raises:
        DataError: another ending, a type of values that the file does not hold, or a place that cannot be written.
    """
    from tifffile import imwrite

    path = Path(path)
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise DataError(f"{path} ends in {path.suffix or 'nothing'}; a stack is written as .tif or .tiff.")
    is_ome = path.stem.lower().endswith(".ome")
    metadata: dict[str, Any] = {"axes": stack.axes}
    if is_ome:
        for axis, size in stack.pixel_size.items():
            metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
        metadata |= {"Channel": {"Name": list(stack.channels)}} if stack.channels else {}
    else:
        metadata |= {"pixel_size": dict(stack.pixel_size), "channels": list(stack.channels)}
    buffer, colours = BytesIO(), stack.values.shape[-1] if stack.axes.endswith("S") else 1
    try:
        imwrite(
            buffer,
            stack.values,
            ome=is_ome,
            photometric="rgb" if colours in (3, 4) and stack.values.dtype.kind == "u" else "minisblack",
            planarconfig="contig" if stack.axes.endswith("S") else None,
            compression="zlib",
            metadata=metadata,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path} cannot hold {stack.values.dtype} of shape {stack.values.shape} ({error}). It holds {DTYPES}."
        ) from error
    write_bytes(path, buffer.getvalue())
    return path


def _sizes(tiff: Any, axes: str, shape: tuple[int, ...]) -> tuple[dict[str, float], tuple[str, ...]]:
    """Micrometres of a pixel, and the names of the channels; what makes no sense is left out."""
    found: dict[str, Any] = {}
    names: list[Any] = []
    note: Mapping[str, Any]
    if tiff.is_ome:
        root = ET.fromstring(tiff.pages.first.description)
        pixels = next((e for e in root.iter() if e.tag.rpartition("}")[2] == "Pixels"), ET.Element("Pixels"))
        for axis in "ZYX":
            unit = MICROMETRES.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
            found[axis] = _number(pixels.get(f"PhysicalSize{axis}")) * (unit or math.nan)
        names = [e.get("Name") for e in pixels if e.tag.rpartition("}")[2] == "Channel"]
    elif tiff.is_imagej:
        note = tiff.imagej_metadata or {}
        unit = MICROMETRES.get(str(note.get("unit", "")), math.nan)
        found["Z"] = _number(note.get("spacing")) * unit
        for axis, code in (("X", 282), ("Y", 283)):  # pixels for each unit, as a fraction
            tag = tiff.pages.first.tags.get(code)
            count, length = tag.value if tag is not None else (0, 1)
            found[axis] = length * unit / count if count else math.nan
        names = list(note.get("Labels", ())) if "C" in axes else []
    elif tiff.is_shaped:
        note = next(iter(tiff.shaped_metadata or ()), {})
        given = note.get("pixel_size", {})
        found = {axis: _number(given.get(axis)) for axis in "ZYX"} if isinstance(given, dict) else {}
        names = note.get("channels", []) if isinstance(note.get("channels", []), list) else []
    count = shape[axes.index("C")] if "C" in axes else 0
    known = tuple(str(name) for name in names) if len(names) == count and None not in names else ()
    return {axis: size for axis, size in found.items() if axis in axes and math.isfinite(size) and size > 0}, known


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
