"""Pictures in rows and columns on one page: captions above, the key of each row, the classes below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intarsia.core import Array, ClassSpace
from intarsia.viz.legend import INK, PAPER, label_font, legend

__all__ = ["sheet"]

GREY = (110, 112, 118)


def sheet(
    captions: Sequence[str],
    rows: Sequence[tuple[str, Sequence[Array]]],
    classes: ClassSpace,
    ids: Sequence[int],
    *,
    ignored: bool = False,
    tile_width: int = 320,
    margin: int = 12,
    text_size: int = 16,
) -> Array:
    """A page of pictures, (h, w, 3) uint8.

    Args:
        captions: one for each column.
        rows: (key, a picture (h, w, 3) uint8 of at most `tile_width` columns for each caption); see `panel.tile`.
        classes: names and colours of the legend.
        ids: the classes that the legend shows.
        ignored: whether it explains the pattern of pixels without truth.
        tile_width: width of a column in pixels.
        margin: pixels between pictures.
        text_size: height of the text in pixels.
    """
    from PIL import Image, ImageDraw

    width = len(captions) * (tile_width + margin) + margin
    key_line, caption_line = round(1.5 * text_size), round(1.8 * text_size)
    colors = legend(classes, width=width - 2 * margin, ids=ids, ignored=ignored, text_size=text_size)
    heights = [key_line + max(picture.shape[0] for picture in pictures) + margin for _, pictures in rows]
    page = Image.new("RGB", (width, margin + caption_line + sum(heights) + len(colors) + margin), PAPER)
    draw = ImageDraw.Draw(page)
    lefts = [margin + column * (tile_width + margin) for column in range(len(captions))]
    for caption, left in zip(captions, lefts, strict=True):
        draw.text((left, margin + caption_line // 2), caption, fill=INK, font=label_font(text_size), anchor="lm")
    top = margin + caption_line
    for (key, pictures), height in zip(rows, heights, strict=True):
        draw.text((margin, top + key_line // 2), key, fill=GREY, font=label_font(text_size - 3), anchor="lm")
        for picture, left in zip(pictures, lefts, strict=True):
            page.paste(Image.fromarray(picture), (left + (tile_width - picture.shape[1]) // 2, top + key_line))
        top += height
    page.paste(Image.fromarray(colors), (margin, top))
    return np.asarray(page)
