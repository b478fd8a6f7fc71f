"""Index masks: grey PNG, the class id (or region number) of each pixel as its value, 8 or 16 bits."""

from __future__ import annotations

from pathlib import Path

from intarsia.core import ClassSpace, LabelMap
from intarsia.data.formats._masks import label_map, note_of, read_mask_values, require_kind, write_ids

__all__ = ["read_index", "write_index"]


def read_index(path: str | Path, classes: ClassSpace | None = None) -> LabelMap:
    """Read a mask whose pixel values stand for classes; of a palette file the indices, its colours do not matter.

    Args:
        path: the file.
        classes: whose source values the file holds. None: the classes stored in a file that Intarsia wrote, else the values
            are region numbers.

    Raises:
        DataError: a file that cannot be read or holds colours.
        ClassSpaceError: a value that no class claims; the message lists the values and their share of pixels.
    """
    mask = read_mask_values(path)
    require_kind(mask, path, "index", "palette")
    return label_map(mask, classes, path)


def write_index(path: str | Path, segmentation: LabelMap) -> Path:
    """Write the ids as grey values: 8 bits with at most 256 class ids, 16 bits otherwise and for region numbers.

    Raises:
        SegmentationError: an id above 65535.
    """
    classes = segmentation.classes
    bits = 8 if classes is not None and max(len(classes) - 1, classes.ignore_id) < 256 else 16
    return write_ids(path, segmentation.ids, bits=bits, note=note_of(classes))
