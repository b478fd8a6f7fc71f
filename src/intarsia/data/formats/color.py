"""Colour masks: RGB PNG, each class painted in its colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from intarsia.core import ClassSpace, LabelMap, SegmentationError
from intarsia.data.formats._files import png_path
from intarsia.data.formats._masks import ignore_color, label_map, read_mask_values, require_kind
from intarsia.data.formats.image import write_image

__all__ = ["read_color", "write_color"]


def read_color(path: str | Path, classes: ClassSpace) -> LabelMap:
    """Read a colour mask: a colour means the class that lists it among its source values, or whose display colour it is.

    Raises:
        DataError: a file that cannot be read or holds no colours.
        ClassSpaceError: a colour that no class claims.
    """
    mask = read_mask_values(path)
    require_kind(mask, path, "color")
    return label_map(mask, classes, path)


def write_color(path: str | Path, segmentation: LabelMap) -> Path:
    """Paint each class in its first colour among the source values, or else in its display colour.

    Raises:
        SegmentationError: no classes, two classes of one colour, or ignored pixels without a colour for them.
    """
    path = png_path(path)
    classes = segmentation.classes
    if classes is None:
        raise SegmentationError(f"{path}: regions without classes have no colours; write them with `write_index`.")
    colors = [next((s for s in entry.sources if isinstance(s, tuple)), entry.color) for entry in classes.classes]
    ids = segmentation.ids
    ignored = ids == classes.ignore_id
    if ignored.any():
        void = ignore_color(classes)
        if void is None:
            raise SegmentationError(
                f"{path}: {ignored.mean():.2%} of the pixels are ignored, and `ignore` of the classes lists no colour."
            )
        colors.append(void)
        ids = np.where(ignored, len(classes), ids)
    if len(set(colors)) < len(colors):
        twice = next(c for c in colors if colors.count(c) > 1)
        raise SegmentationError(f"{path}: the colour {twice} stands for more than one class, so it could not be read back.")
    return write_image(path, np.array(colors, np.uint8)[ids])
