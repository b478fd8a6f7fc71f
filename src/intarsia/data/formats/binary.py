"""Binary masks: grey PNG, 0 outside and 255 inside."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from intarsia.core import BoolArray, DataError
from intarsia.data.formats._files import png_path
from intarsia.data.formats._masks import read_mask_values
from intarsia.data.formats.image import write_image

__all__ = ["read_binary", "write_binary"]


def read_binary(path: str | Path) -> BoolArray:
    """Read a yes-or-no mask: 0 is outside, and the one other value that occurs (255, 1 ...) is inside.

    Returns:
        (H, W) bool.

    Raises:
        DataError: a file that cannot be read, or more than one value beside 0.
    """
    mask = read_mask_values(path)
    values = mask.values
    if mask.kind == "color":
        if not mask.is_grey:
            raise DataError(f"{path} holds RGB colours; a binary mask holds 0 and one other grey value.")
        values = values[..., 0]
    inside = values != 0
    found = np.unique(values[inside])
    if len(found) > 1:
        cause = (
            "JPEG compression smeared it" if mask.is_lossy else "it was resized with smoothing, or is a mask of several classes"
        )
        raise DataError(
            f"{path} holds {len(found) + 1} values ({', '.join(map(str, found[:6]))} ...), not 0 and one other: {cause}."
        )
    return np.asarray(inside, np.bool_)


def write_binary(path: str | Path, mask: BoolArray) -> Path:
    """Write a (H, W) bool mask as 0 and 255."""
    return write_image(png_path(path), mask)
