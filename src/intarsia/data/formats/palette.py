"""Palette masks: PNG with the class id of each pixel inside and the colour of its class outside."""

from __future__ import annotations

from pathlib import Path

from intarsia.core import ClassSpace, LabelMap
from intarsia.data.formats._masks import label_map, note_of, palette_of, read_mask_values, require_kind, write_ids

__all__ = ["read_palette", "write_palette"]


def read_palette(path: str | Path, classes: ClassSpace | None = None) -> LabelMap:
    """Read a palette mask by its indices, or by its colours if `classes` are declared by colours only.

    Args:
        path: the file.
        classes: whose source values the file holds. None: the classes stored in a file that Intarsia wrote, else the indices
            are region numbers.

    Raises:
        DataError: a file that cannot be read or has no palette.
        ClassSpaceError: an index or colour that no class claims.
    """
    mask = read_mask_values(path)
    require_kind(mask, path, "palette")
    return label_map(mask, classes, path)


def write_palette(path: str | Path, segmentation: LabelMap) -> Path:
    """Write ids with a palette of 256 colours, which every viewer shows and every reader of indices understands.

    Raises:
        SegmentationError: an id above 255.
    """
    classes = segmentation.classes
    return write_ids(path, segmentation.ids, bits=8, palette=palette_of(classes), note=note_of(classes))
