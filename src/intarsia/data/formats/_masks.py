"""Mask files to values and back: what the formats of label files share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from intarsia.core import Array, ClassSpace, ClassSpaceError, DataError, LabelMap, SegmentationError, default_color
from intarsia.core.class_space import Color
from intarsia.data.formats._decode import decode
from intarsia.data.formats._files import png_path, write_bytes

__all__ = ["MaskValues", "ignore_color", "label_map", "note_of", "palette_of", "read_mask_values", "require_kind", "write_ids"]


class MaskValues(NamedTuple):
    """What a mask file holds, uninterpreted.

    values: (H, W) integers, or (H, W, 3) uint8 colours.
    kind: "index" (grey values), "palette" (indices of colours; they are not expanded) or "color" (RGB).
    palette: (256, 3) uint8 colours of the indices, of kind "palette".
    classes: the classes that Intarsia stored in the file it wrote; None in other files.
    objects: what it stored about each object of an instance file; None in other files.
    is_lossy: whether the file type changes values (JPEG).
    """

    values: Array
    kind: Literal["index", "palette", "color"]
    palette: Array | None = None
    classes: ClassSpace | None = None
    objects: Mapping[str, Any] | None = None
    is_lossy: bool = False

    @property
    def is_grey(self) -> bool:
        """Whether the colours are greys only, which a grey mask saved as RGB looks like."""
        rgb = self.values
        return self.kind == "color" and bool((rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 1] == rgb[..., 2]).all())


def read_mask_values(path: str | Path) -> MaskValues:
    """Read the values of a mask file of any kind as they stand in the file, upright as its EXIF orientation says.

    Raises:
        DataError: a file that cannot be read, or that is no mask (fractions, a number of channels that is no colour).
    """
    pixels = decode(path)
    values = pixels.values[..., 0] if pixels.values.shape[2:] == (1,) else pixels.values
    kind: Literal["index", "palette", "color"] = "index" if pixels.palette is None else "palette"
    if values.ndim == 3:
        if values.shape[2] not in (3, 4) or values.dtype != np.uint8:
            raise DataError(
                f"{path} has {values.shape[2]} channels of {values.dtype}; a mask has one channel of class values, or three of "
                "8-bit colours. Is it an image?"
            )
        kind, values = "color", np.ascontiguousarray(values[..., :3])
    elif values.dtype.kind == "f":
        whole = np.nan_to_num(values, nan=-1, posinf=-1, neginf=-1).astype(np.int64)
        if (whole != values).any():
            raise DataError(f"{path} holds {values[whole != values][0]:g}; a mask holds whole numbers, one for each class.")
        values = whole
    try:
        classes, objects = _parse_note(pixels.text)
    except (ValueError, AttributeError) as error:
        raise DataError(f"The note that Intarsia stores in {path} is damaged ({error}). Write the mask again.") from error
    palette = None if pixels.palette is None else pixels.palette[:, :3]
    return MaskValues(values, kind, palette, classes, objects, pixels.file_format == "JPEG")


@lru_cache(maxsize=64)
def _parse_note(note: str | None) -> tuple[ClassSpace | None, Mapping[str, Any] | None]:
    content = json.loads(note or "{}")
    declared = content.get("classes")
    return None if declared is None else ClassSpace.from_dict(declared), content.get("objects")


def require_kind(mask: MaskValues, path: str | Path, *kinds: str) -> None:
    """Refuse a mask of another kind than those asked for."""
    if mask.kind not in kinds:
        names = {"index": "grey values", "palette": "palette indices", "color": "RGB colours"}
        wanted = " or ".join(names[kind] for kind in kinds)
        raise DataError(f"{path} holds {names[mask.kind]}, where {wanted} were asked for. `read_mask` reads any of them.")


def label_map(mask: MaskValues, classes: ClassSpace | None, path: str | Path) -> LabelMap:
    """The class of each pixel; without `classes` those stored in the file, or else region numbers.

    A class declared by a colour only is found by colour, also in a palette file, whose indices then mean nothing. Greys in an RGB
    file are class values unless the classes are declared by colours.

    Raises:
        ClassSpaceError: a value that no class claims.
        DataError: colours without classes.
    """
    if mask.classes is not None and mask.kind != "color":
        return _from_stored(mask.values, mask.classes, classes or mask.classes, path)
    if classes is None:
        if mask.kind == "color":
            raise DataError(f"{path} holds RGB colours; which class each of them means must be declared.")
        return LabelMap(mask.values)
    where = f"{path}{', a JPEG, which changes values (masks belong in PNG),' if mask.is_lossy else ''}"
    by_color = _declared_by_color(classes)
    if mask.palette is not None and by_color:
        return LabelMap(classes.ids_from_colors(mask.palette[mask.values], where=where), classes)
    if mask.kind != "color":
        return LabelMap(classes.ids_from_values(mask.values, where=where), classes)
    if not by_color and mask.is_grey:
        try:
            return LabelMap(classes.ids_from_values(mask.values[..., 0], where=where), classes)
        except ClassSpaceError:
            pass  # no class values; perhaps display colours that happen to be grey
    return LabelMap(classes.ids_from_colors(mask.values, where=where), classes)


def _declared_by_color(classes: ClassSpace) -> bool:
    sources = [source for entry in classes.classes for source in entry.sources]
    return any(isinstance(s, tuple) for s in sources) and not any(isinstance(s, int) for s in sources)


def _from_stored(values: Array, stored: ClassSpace, classes: ClassSpace, path: str | Path) -> LabelMap:
    """Ids of the classes a file was written with, as ids of `classes`, matched by name."""
    ids = stored.ids_from_values(values, where=str(path))
    if stored.names == classes.names and stored.ignore_id == classes.ignore_id:
        return LabelMap(ids, classes)
    table = np.full(max(stored.ignore_id, len(stored)) + 1, -1, np.int32)
    table[: len(stored)] = [classes.names.index(name) if name in classes.names else -1 for name in stored.names]
    table[stored.ignore_id] = classes.ignore_id
    mapped = table[ids]
    if (mapped < 0).any():
        lost = ", ".join(stored.names[index] for index in np.unique(ids[mapped < 0]))
        raise ClassSpaceError(
            f"{path} was written with the classes {', '.join(stored.names)}, and {lost} is not among the classes asked for, "
            f"{', '.join(classes.names)}. Give the classes the same names."
        )
    return LabelMap(mapped.astype(classes.id_dtype), classes)


def write_ids(
    path: str | Path, ids: Array, *, bits: int, palette: Array | None = None, note: Mapping[str, Any] | None = None
) -> Path:
    """Write (H, W) ids as a PNG of 8 or 16 bits, with colours for the indices (8 bits only) and a note for readers of ours.

    Raises:
        SegmentationError: an id that the bits do not hold.
    """
    path = png_path(path)
    highest = int(ids.max(initial=0))
    if highest >= 2**bits:
        raise SegmentationError(
            f"{path}: the id {highest} does not fit the {bits} bits of this file; {2**bits - 1} is the highest."
        )
    image = Image.fromarray(np.ascontiguousarray(ids, dtype=np.uint8 if bits == 8 else np.uint16))
    if palette is not None:
        image.putpalette(palette.astype(np.uint8).tobytes())
    text = PngInfo()
    if note:
        text.add_text("intarsia", json.dumps(note, separators=(",", ":")), zip=True)
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=6, pnginfo=text)
    write_bytes(path, buffer.getvalue())
    return path


def note_of(classes: ClassSpace | None) -> dict[str, Any]:
    """The note that stores the classes of a mask, of which the ids are the values; empty without classes."""
    if classes is None:
        return {}
    by_id = tuple(replace(entry, sources=()) for entry in classes.classes)
    return {"classes": replace(classes, classes=by_id, ignore_sources=()).to_dict()}


def palette_of(classes: ClassSpace | None) -> Array:
    """(256, 3) uint8: the colours of the classes and of the ignore id at their ids, the PASCAL VOC colours elsewhere."""
    palette = np.array([default_color(index) for index in range(256)], np.uint8)
    if classes is not None:
        shown = min(len(classes), 256)
        palette[:shown] = classes.colors[:shown]
        if classes.ignore_id < 256:
            palette[classes.ignore_id] = ignore_color(classes) or default_color(classes.ignore_id)
    return palette


def ignore_color(classes: ClassSpace) -> Color | None:
    """The colour that means "ignore" in colour masks, where one is declared."""
    return next((source for source in classes.ignore_sources if isinstance(source, tuple)), None)
