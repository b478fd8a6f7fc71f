"""What one mask file holds, counted: all that is needed to say what its values mean, while its pixels are let go."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from intarsia.core import Array, ClassSpace, ClassSpaceError
from intarsia.core.class_space import Color
from intarsia.data.datasets._faults import Fault, FaultyFolder
from intarsia.data.formats import MaskValues, read_mask_values
from intarsia.data.formats._masks import label_map

__all__ = [
    "MOST_VALUES",
    "THREADS",
    "Look",
    "areas_of",
    "evenly",
    "look_at",
    "look_at_all",
    "pack",
    "refuse_what_is_no_mask",
    "shown",
    "unclaimed",
    "unpack",
]

T = TypeVar("T")
MOST_FILES = 2000
"""More masks than this are sampled at even steps; a value met later is an error that names its file."""
MOST_VALUES = 200
"""Of one data set; COCO-Stuff, the largest label set in wide use, has 182."""
THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True)
class Look:
    """What one mask holds.

    path: the file.
    size_hw: its height and width.
    kind: "index", "palette", "color", or "grey in RGB".
    counts: pixels by value; colours are packed as 0xRRGGBB.
    palette: the packed colours of the indices that occur.
    classes: its own, where Intarsia wrote it.
    is_lossy: whether its file type changes values.
    """

    path: Path
    size_hw: tuple[int, int]
    kind: str
    counts: dict[int, int]
    palette: dict[int, int]
    classes: ClassSpace | None
    is_lossy: bool

    @property
    def pixels(self) -> int:
        return self.size_hw[0] * self.size_hw[1]

    @property
    def says_its_classes(self) -> bool:
        return self.classes is not None and self.kind != "color"

    def one_of_each(self) -> MaskValues:
        """A mask of one row with one pixel of each value, in the order of `counts`, which is read as the whole one is."""
        values = np.array([list(self.counts)])
        if self.kind in ("color", "grey in RGB"):
            each = [unpack(v) if self.kind == "color" else (v, v, v) for v in self.counts]
            return MaskValues(np.array([each], np.uint8), "color", classes=self.classes, is_lossy=self.is_lossy)
        if self.kind == "index":
            return MaskValues(values, "index", classes=self.classes, is_lossy=self.is_lossy)
        palette = np.zeros((256, 3), np.uint8)
        for value, color in self.palette.items():
            palette[value] = unpack(color)
        return MaskValues(values, "palette", palette, self.classes, is_lossy=self.is_lossy)


def look_at(path: Path, most_values: int = MOST_VALUES) -> Look:
    """Read a mask and count its values.

    Raises:
        DataError: a file that cannot be read.
        FaultyFolder: more values than `most_values`; the message says what the file probably is.
    """
    mask = read_mask_values(path)
    kind = "grey in RGB" if mask.is_grey else mask.kind
    counts = _count(mask, kind)
    palette = {} if mask.palette is None else {v: pack(mask.palette[v].tolist()) for v in counts}
    look = Look(path, (mask.values.shape[0], mask.values.shape[1]), kind, counts, palette, mask.classes, mask.is_lossy)
    if len(counts) > most_values:  # before thousands of such files are counted together
        refuse_what_is_no_mask(Counter(counts), look, most_values)
    return look


def look_at_all(files: Sequence[Path]) -> list[Look]:
    """Look at each file, several at a time."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(look_at, files))


def evenly(files: Sequence[T], most: int | None = None) -> list[T]:
    """At most `most` of them (`MOST_FILES` when left out), evenly spread."""
    return [files[i] for i in np.linspace(0, len(files) - 1, min(len(files), most or MOST_FILES)).astype(int)]


def refuse_what_is_no_mask(total: Counter[int], look: Look, most_values: int = MOST_VALUES) -> None:
    """Refuse values, counted up to the file `look`, that no drawing of classes gives."""
    between = [value for value in total if 0 < value < 255]
    ends = (total[0] + total[255]) / sum(total.values())
    smoothed = look.kind != "color" and len(between) >= 16 and sum(v > 127 for v in between) >= 4 and total[255] and ends > 0.8
    if look.is_lossy and len(total) > 2:
        cause = "JPEG smeared the labels. Export masks as PNG"
    elif smoothed:
        cause = f"0 and 255 fill {ends:.0%} and the rest lies between, so they were resized with smoothing. Export them without"
    elif len(total) <= most_values:
        return
    elif look.kind == "color":
        cause = "a photograph, or masks resized with smoothing. Export them without"
    else:
        cause = "object numbers, which belong in instances/, or an image"
    message = f"The masks up to {look.path} hold {len(total):,} different values, which are no classes: {cause}."
    raise FaultyFolder(Fault("not_masks", message, (look.path,)))


def areas_of(look: Look, classes: ClassSpace) -> Array:
    """(K + 1,) int64: the pixels of each class and, last, those to ignore, as `read_mask` would find them.

    Raises:
        ClassSpaceError: values that no class claims.
    """
    ids = label_map(look.one_of_each(), classes, look.path).ids[0]
    slots = np.where(ids == classes.ignore_id, len(classes), ids)
    return np.bincount(slots, list(look.counts.values()), minlength=len(classes) + 1).astype(np.int64)


def unclaimed(look: Look, classes: ClassSpace) -> dict[int, int]:
    """The values that no class claims, with their pixels; {} if every value has its class."""
    try:
        areas_of(look, classes)
        return {}
    except ClassSpaceError:
        strange = {v: n for v, n in look.counts.items() if not _is_claimed(look, v, classes)}
        return strange or look.counts  # each alone has a reading, but not all of them the same


def _is_claimed(look: Look, value: int, classes: ClassSpace) -> bool:
    try:
        if look.kind == "color":
            classes.ids_from_colors(np.array([[unpack(value)]], np.uint8))
        elif look.kind == "grey in RGB":
            classes.ids_from_values(np.array([[value]]))
        else:
            label_map(look.one_of_each()._replace(values=np.array([[value]])), classes, look.path)
    except ClassSpaceError:
        return False
    return True


def pack(color: Sequence[int]) -> int:
    """A colour as one number, 0xRRGGBB."""
    return color[0] << 16 | color[1] << 8 | color[2]


def unpack(value: int) -> Color:
    """Inverse of `pack`."""
    return value >> 16, value >> 8 & 255, value & 255


def shown(value: int, *, is_color: bool) -> str:
    """A value as it stands in messages."""
    return f"#{value:06x}" if is_color else str(value)


def _count(mask: MaskValues, kind: str) -> dict[int, int]:
    values = mask.values
    if kind == "color":
        values = values[..., 0].astype(np.int32) << 16 | values[..., 1].astype(np.int32) << 8 | values[..., 2]
    elif kind == "grey in RGB":
        values = values[..., 0]
    if values.dtype == np.uint8:
        per_value = np.bincount(values.ravel(), minlength=256)
        found = np.flatnonzero(per_value)
        return dict(zip(found.tolist(), per_value[found].tolist(), strict=True))
    found, pixels = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), pixels.tolist(), strict=True))
