"""Grids, arrows and captions for the pictures of docs/operators.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageColor, ImageDraw
from torch import Tensor

from intarsia.viz.legend import label_font

PAPER, INK, FAINT, GREEN, RUST = "#ffffff", "#3d2f27", "#d8cfc2", "#2f6b52", "#b0522d"
SCALE = 2
"""Pixels of the picture for one unit below, for sharp screens."""

WIDTH = 760
"""Of every picture, so that all have one scale on the page."""

Point = tuple[float, float]
Color = str | tuple[int, int, int]


class Canvas:
    """A white picture of `WIDTH` x `height` units; all places are in units, x before y."""

    def __init__(self, height: int) -> None:
        self.image = Image.new("RGB", (WIDTH * SCALE, height * SCALE), PAPER)
        self.draw = ImageDraw.Draw(self.image)

    def text(self, at: Point, words: str, *, size: int = 15, color: Color = INK, anchor: str = "mm") -> None:
        self.draw.text((at[0] * SCALE, at[1] * SCALE), words, fill=color, font=label_font(size * SCALE), anchor=anchor)

    def box(self, start: Point, end: Point, *, fill: Color | None = None, line: Color | None = FAINT, width: float = 1) -> None:
        corners = [value * SCALE for value in (*start, *end)]
        self.draw.rectangle(corners, fill=fill, outline=line, width=round(width * SCALE))

    def dot(self, at: Point, radius: float = 4, color: Color = RUST) -> None:
        self.draw.ellipse([(value + sign * radius) * SCALE for sign in (-1, 1) for value in at], fill=color)

    def line(self, start: Point, end: Point, *, color: Color = INK, width: float = 1.5) -> None:
        self.draw.line([value * SCALE for value in (*start, *end)], fill=color, width=round(width * SCALE))

    def arrow(self, start: Point, end: Point, words: str = "") -> None:
        """A horizontal arrow with words above."""
        self.line(start, end)
        tip = [(end[0] - 7, end[1] - 4), end, (end[0] - 7, end[1] + 4)]
        self.draw.polygon([(x * SCALE, y * SCALE) for x, y in tip], fill=INK)
        for number, words_line in enumerate(reversed(words.split("\n"))):
            self.text(((start[0] + end[0]) / 2, start[1] - 12 - 17 * number), words_line, size=13)

    def grid(
        self,
        at: Point,
        values: Tensor,
        *,
        cell: float = 36,
        title: str = "",
        words: Sequence[Sequence[str]] | None = None,
        shade: Tensor | None = None,
        top: float | None = None,
        numbers: bool = True,
        color: str = GREEN,
        lines: bool = True,
        text_size: int = 14,
    ) -> None:
        """A map as cells, the darker the larger.

        Args:
            at: top left corner.
            values: (h, w), written into the cells.
            cell: side of a cell.
            title: above.
            words: to write in place of the numbers.
            shade: (h, w), for the darkness, where that is not the values.
            top: the value that is darkest; by default the largest.
            numbers: whether to write any.
            color: of the darkest.
            lines: whether to draw the cells' edges; without them there are no numbers either.
            text_size: of the numbers.
        """
        shade = values if shade is None else shade
        top = float(shade.max()) if top is None else top
        if not lines:
            self._shade(at, shade / top, cell, color)
        for row in range(len(values)) if lines else ():
            for column in range(values.shape[1]):
                x, y = at[0] + column * cell, at[1] + row * cell
                share = float(shade[row, column]) / top if top else 0.0
                self.box((x, y), (x + cell, y + cell), fill=mixed(color, 0.75 * share))
                entry = words[row][column] if words else f"{float(values[row, column]):g}" if numbers else ""
                self.text((x + cell / 2, y + cell / 2), entry, size=text_size, color=PAPER if share > 0.75 else INK)
        if title:
            self.text((at[0] + values.shape[1] * cell / 2, at[1] - 15), title)

    def _shade(self, at: Point, share: Tensor, cell: float, color: str) -> None:
        """Cells without edges, as an image."""
        darkest = torch.tensor(ImageColor.getrgb(color), dtype=torch.float32)
        pixels = (255 - 0.75 * share[..., None] * (255 - darkest)).round().byte().numpy()
        size = (round(share.shape[1] * cell * SCALE), round(share.shape[0] * cell * SCALE))
        place = (round(at[0] * SCALE), round(at[1] * SCALE))
        self.image.paste(Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST), place)

    def block(self, at: Point, size: tuple[float, float], depth: float, color: str = GREEN) -> None:
        """A box seen from the front, going back and up to the right."""
        (x, y), (width, height), back = at, size, depth * 0.6
        front = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        top = [(x, y), (x + back, y - back), (x + width + back, y - back), (x + width, y)]
        side = [(x + width, y), (x + width + back, y - back), (x + width + back, y + height - back), (x + width, y + height)]
        for corners, share in ((front, 0.15), (top, 0.25), (side, 0.35)):
            self.draw.polygon([(a * SCALE, b * SCALE) for a, b in corners], fill=mixed(color, share), outline=color)

    def mark(self, at: Point, rows: tuple[int, int], columns: tuple[int, int], cell: float = 36, color: Color = RUST) -> None:
        """A frame around rows and columns (first, behind the last) of a grid."""
        start = (at[0] + columns[0] * cell, at[1] + rows[0] * cell)
        self.box(start, (at[0] + columns[1] * cell, at[1] + rows[1] * cell), line=color, width=2.5)


def mixed(color: str, share: float) -> tuple[int, int, int]:
    """`share` of a color on paper."""
    red, green, blue = (round(255 - share * (255 - part)) for part in ImageColor.getrgb(color)[:3])
    return red, green, blue


def save(canvases: Canvas | list[Canvas], path: Path, seconds: Sequence[float] = ()) -> None:
    """A PNG, or of several canvases an animated WebP that repeats."""
    if isinstance(canvases, Canvas):
        few = canvases.image.getcolors(256) is not None
        picture = canvases.image.quantize(256, dither=Image.Dither.NONE) if few else canvases.image
        picture.save(path.with_suffix(".png"), optimize=True)
        return
    first, *others = (canvas.image for canvas in canvases)
    durations = [round(1000 * one) for one in seconds]
    first.save(
        path.with_suffix(".webp"), save_all=True, append_images=others, duration=durations, loop=0, lossless=True, method=6
    )
