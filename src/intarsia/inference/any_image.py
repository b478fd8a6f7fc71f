"""What a person has as an image: a path, an array, or a PIL image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core import Array, DataError

__all__ = ["to_array"]


def to_array(image: Any) -> Array:
    """The pixels (H, W) or (H, W, C) of a path, an array or a PIL image.

    Raises:
        DataError: something else.
    """
    if isinstance(image, np.ndarray):
        return image
    if isinstance(image, str | Path):
        from intarsia.data.formats.image import read_image

        return read_image(image)
    if hasattr(image, "convert") and hasattr(image, "mode"):  # a PIL image, without importing Pillow to find out
        from PIL import ImageOps

        from intarsia.data.formats._decode import pillow_pixels

        upright: Any = ImageOps.exif_transpose(image)
        pixels = pillow_pixels(upright, "PIL")
        if pixels.palette is not None:
            return pixels.palette[pixels.values]
        return pixels.values * np.uint8(255) if pixels.bits == 1 else pixels.values
    raise DataError(f"A {type(image).__name__} is not an image; give a path, a numpy array or a PIL image.")
