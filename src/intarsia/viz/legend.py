"""Which colour is which class."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from intarsia.core import Array, ClassSpace
from intarsia.viz.colorize import checkerboard

if TYPE_CHECKING:
    from PIL import ImageFont

__all__ = ["INK", "PAPER", "label_font", "legend"]

PAPER = (255, 255, 255)
INK = (32, 33, 36)
EDGE = (150, 152, 156)


def label_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of all captions, `size` pixels high: the one that Pillow brings along."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def legend(
    classes: ClassSpace, *, width: int, ids: Iterable[int] | None = None, ignored: bool = False, text_size: int = 15
) -> Array:
    """Swatches with names, in rows of at most `width` pixels, as (h, width, 3) uint8.

    Args:
        classes: names and colours.
        width: of the picture in pixels.
        ids: the classes to show; None shows all.
        ignored: also explain the pattern of pixels without truth.
        text_size: height of the text in pixels.
    """
    from PIL import Image, ImageDraw

    font = label_font(text_size)
    swatch, gap, line = round(1.1 * text_size), text_size // 2, round(1.8 * text_size)
    entries = [
        (classes.names[i], np.full((swatch, swatch, 3), classes.colors[i])) for i in (range(len(classes)) if ids is None else ids)
    ]
    if ignored:
        entries.append(("no truth", checkerboard((swatch, swatch))))

    places: list[tuple[int, int]] = []
    x = y = 0
    for name, _ in entries:
        needed = swatch + gap + round(font.getlength(name))
        if x and x + needed > width:
            x, y = 0, y + line
        places.append((x, y))
        x += needed + 2 * gap
    picture = Image.new("RGB", (width, y + line), PAPER)
    draw = ImageDraw.Draw(picture)
    for (name, square), (x, y) in zip(entries, places, strict=True):
        top = y + (line - swatch) // 2
        picture.paste(Image.fromarray(square), (x, top))
        draw.rectangle((x, top, x + swatch - 1, top + swatch - 1), outline=EDGE)
        draw.text((x + swatch + gap, y + line // 2), name, fill=INK, font=font, anchor="lm")
    return np.asarray(picture)
