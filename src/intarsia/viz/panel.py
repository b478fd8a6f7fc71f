"""Image, truth, prediction and what is wrong, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intarsia.core import Array, LabelMap, Segmentation, SettingsError
from intarsia.viz.colorize import colorize
from intarsia.viz.disagreement import disagreement
from intarsia.viz.rgb import as_rgb
from intarsia.viz.sheet import sheet

__all__ = ["comparison", "panel", "tile"]

CAPTIONS = ("image", "truth", "prediction", "wrong pixels in red")
TALLEST = 1.25
"""Most height of a tile, in widths."""


def panel(
    rows: Sequence[tuple[str, Array, Segmentation, Segmentation]], *, tile_width: int = 320, margin: int = 12, text_size: int = 16
) -> Array:
    """One row for each image: image, truth, prediction, disagreement; captions above, classes below, as (h, w, 3) uint8.

    Args:
        rows: (key, image, truth, prediction); label maps, all of the same classes.
        tile_width: width of one picture in pixels; larger ones are shrunk, smaller ones enlarged.
        margin: pixels between pictures.
        text_size: height of the text in pixels.

    Raises:
        SettingsError: no row, or segmentations that are not label maps with classes.
    """
    compared = [(_labels(truth, key), _labels(prediction, key)) for key, _, truth, prediction in rows]
    classes = compared[0][0].classes if compared else None
    if classes is None:
        raise SettingsError("A panel needs at least one row of image, truth and prediction, with classes.")
    strips = [
        (key, list(comparison(image, *pair, width=tile_width).values()))
        for (key, image, *_), pair in zip(rows, compared, strict=True)
    ]
    seen = {int(i) for pair in compared for side in pair for i in np.unique(side.ids)}
    shown = sorted(i for i in seen if i < len(classes))
    ignored = len(seen) > len(shown)
    return sheet(CAPTIONS, strips, classes, shown, ignored=ignored, tile_width=tile_width, margin=margin, text_size=text_size)


def comparison(image: Array, truth: LabelMap, prediction: LabelMap, *, width: int) -> dict[str, Array]:
    """The four pictures of a row by their captions, each fitted into `width` pixels; see `tile`."""
    wrong = disagreement(prediction, truth, image=image)
    pictures = (as_rgb(image), colorize(truth), colorize(prediction), wrong)
    return {name: tile(picture, width, flat=name != "image") for name, picture in zip(CAPTIONS, pictures, strict=True)}


def tile(picture: Array, width: int, *, flat: bool = False) -> Array:
    """A picture fitted into `width` pixels and at most 1.25 times as many rows.

    Args:
        picture: (H, W, 3) uint8.
        width: of the tile.
        flat: an area of flat colours, whose pixels stay sharp when enlarged.
    """
    from PIL import Image

    height_in, width_in = picture.shape[:2]
    scale = min(width / width_in, TALLEST * width / height_in)
    size = (max(1, round(width_in * scale)), max(1, round(height_in * scale)))
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST if flat else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize(size, method))


def _labels(segmentation: Segmentation, key: str) -> LabelMap:
    if not isinstance(segmentation, LabelMap):
        raise SettingsError(
            f"{key}: a panel compares label maps, and this is a segmentation of kind {type(segmentation).__name__}."
        )
    return segmentation
