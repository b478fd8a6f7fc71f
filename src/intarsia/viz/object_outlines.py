"""Outlines of objects on their image, in a colour for each kind: what was found, missed and invented."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intarsia.core import Array, BoolArray, InstanceMasks
from intarsia.viz.rgb import as_rgb

__all__ = ["FOUND", "INVENTED", "MISSED", "outline_objects"]

FOUND = (64, 200, 120)
MISSED = (232, 62, 50)
INVENTED = (250, 176, 40)

FADE = 0.35
"""How much of the image is washed out, so that lines stand out."""


def outline_objects(
    image: Array, layers: Sequence[tuple[InstanceMasks, tuple[int, int, int]]], *, scale: int = 1, filled: float = 0.28
) -> Array:
    """The image with the outlines of objects, as (H `scale`, W `scale`, 3) uint8.

    Args:
        image: (H, W) or (H, W, C).
        layers: masks and their colour, the last on top.
        scale: of the picture; lines stay a pixel wide, so in a larger one small objects stay visible.
        filled: opacity of the colour inside the outline.
    """
    rgb = as_rgb(image).astype(np.float32)
    picture: Array = np.rint((1 - FADE) * rgb + FADE * rgb.mean(2, keepdims=True)).astype(np.uint8)
    picture = picture.repeat(scale, 0).repeat(scale, 1)
    for masks, color in layers:
        for (y, x), crop in masks.crops():
            part = picture[y.start * scale : y.stop * scale, x.start * scale : x.stop * scale]
            large = crop.repeat(scale, 0).repeat(scale, 1)
            part[large] = np.rint((1 - filled) * part[large] + filled * np.array(color)).astype(np.uint8)
            part[_border(large)] = color
    return picture


def _border(mask: BoolArray) -> BoolArray:
    """Pixels of the mask with a neighbour, of four, outside it."""
    padded = np.pad(mask, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    border: BoolArray = mask & ~inside
    return border
