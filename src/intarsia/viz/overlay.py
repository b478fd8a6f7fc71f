"""A segmentation drawn over its image."""

from __future__ import annotations

import numpy as np

from intarsia.core import Array, BoolArray, Instances, Panoptic, Segmentation, SegmentationError, SettingsError
from intarsia.viz.colorize import paint
from intarsia.viz.object_labels import label_objects
from intarsia.viz.rgb import as_rgb

__all__ = ["overlay"]

PIXELS_PER_LINE = 500


def overlay(
    image: Array, segmentation: Segmentation, *, opacity: float = 0.5, outline: bool = True, labels: bool = False
) -> Array:
    """`image` with the segmentation in transparent colour, as a new (H, W, 3) uint8 array.

    Pixels that are ignored or without object, and classes whose colour is black, are left clear.

    Args:
        image: (H, W) or (H, W, C), uint8, uint16 or float; see `intarsia.viz.rgb.as_rgb` for how it is shown.
        segmentation: of the same size.
        opacity: 0 shows the image alone, 1 the colours alone.
        outline: draw the borders of segments in full colour, inside the segment, a pixel wide for every 500 of the shorter side.
        labels: write class and score onto objects and panoptic segments, where there is room.

    Raises:
        SegmentationError: another size than the image's.
        SettingsError: an opacity outside [0, 1].
    """
    if not 0 <= opacity <= 1:
        raise SettingsError(f"The opacity is {opacity}; it lies in [0, 1].")
    rgb = as_rgb(image)
    if segmentation.size_hw != rgb.shape[:2]:
        raise SegmentationError(
            f"The segmentation is {segmentation.size_hw[0]} x {segmentation.size_hw[1]} pixels (height x width) and the image "
            f"{rgb.shape[0]} x {rgb.shape[1]}; they must agree."
        )
    colors, clear = paint(segmentation)
    share = np.float32(opacity)
    mixed = np.rint((1 - share) * rgb + share * colors).astype(np.uint8)
    if outline:
        line = _borders(colors, clear, width=max(1, round(min(rgb.shape[:2]) / PIXELS_PER_LINE)))
        np.copyto(mixed, colors, where=line[..., None])
    np.copyto(mixed, rgb, where=clear[..., None])
    return label_objects(mixed, segmentation) if labels and isinstance(segmentation, Instances | Panoptic) else mixed


def _borders(colors: Array, clear: BoolArray, width: int) -> BoolArray:
    """Pixels of a segment within `width` of another one, where segments are told apart by their colour."""
    packed = colors[..., 0].astype(np.int32) << 16 | colors[..., 1].astype(np.int32) << 8 | colors[..., 2]
    packed[clear] = -1
    border = np.zeros(clear.shape, np.bool_)
    for step in range(1, width + 1):
        down, right = packed[step:] != packed[:-step], packed[:, step:] != packed[:, :-step]
        border[step:] |= down
        border[:-step] |= down
        border[:, step:] |= right
        border[:, :-step] |= right
    return border
