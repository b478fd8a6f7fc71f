"""Draws the pictures of docs/operators.md: `python docs/operator_pictures.py [FOLDER]` writes docs/images/operators/."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path

import operator_examples as examples
import torch
from operator_canvas import FAINT, GREEN, INK, RUST, Canvas, mixed, save
from torch import Tensor

FOLDER = Path(__file__).parent / "images" / "operators"
On = Callable[[float, float], tuple[float, float]]
"""Where a place of a map is on the canvas."""


def unpooling() -> Canvas:
    maps, canvas = examples.unpooling(), Canvas(200)
    canvas.grid((20, 76), maps["map"])
    canvas.arrow((106, 112), (166, 112))
    canvas.grid((180, 40), maps["nearest"], title="nearest")
    canvas.text((386, 112), "or", size=14)
    canvas.grid((450, 40), maps["bed of nails"], title="bed of nails")
    return canvas


def max_unpooling() -> Canvas:
    maps, canvas = examples.max_unpooling(), Canvas(205)
    canvas.grid((20, 40), maps["map"], title="map")
    _mark_places(canvas, (20, 40), maps["unpooled"])
    canvas.arrow((178, 112), (238, 112), "max pool")
    canvas.grid((252, 76), maps["pooled"], title="maxima")
    canvas.line((360, 30), (360, 195), color=FAINT)
    canvas.grid((396, 76), maps["values"], title="new values")
    canvas.arrow((482, 112), (542, 112), "unpool")
    canvas.grid((556, 40), maps["unpooled"], title="at the same places")
    _mark_places(canvas, (556, 40), maps["unpooled"])
    return canvas


def _mark_places(canvas: Canvas, at: tuple[float, float], unpooled: Tensor) -> None:
    for row, column in unpooled.nonzero().tolist():
        canvas.mark(at, (row, row + 1), (column, column + 1))


def bilinear() -> Canvas:
    maps, canvas = examples.bilinear(), Canvas(270)
    canvas.grid((20, 84), examples.TWO, cell=42)
    canvas.arrow((112, 126), (142, 126))
    canvas.grid((152, 42), maps["half-pixel"], cell=42, title="half-pixel centres", text_size=13)
    canvas.line((345, 30), (345, 255), color=FAINT)
    canvas.grid((372, 84), examples.THREE, cell=42)
    canvas.arrow((506, 147), (534, 147))
    canvas.grid((542, 42), maps["aligned"], cell=40, title="corners aligned", text_size=13)
    return canvas


def bicubic() -> Canvas:
    canvas = Canvas(275)
    for place, (title, values) in enumerate(examples.bicubic().items()):
        shade, at = values.clamp(0, 1), (20 + 245 * place, 35)
        canvas.grid(at, values, cell=230 / 80, shade=shade, top=1, title=title, lines=False)
    return canvas


def signal() -> Canvas:
    """The matrices of a convolution and its transpose, with letters, for strides 1 and 2."""
    canvas = Canvas(460)
    for place, stride in enumerate((1, 2)):
        left, matrix = 385 * place + 20, examples.signal_matrix(stride)
        _product(canvas, (left, 44), matrix, examples.SIGNAL, examples.convolved(stride), f"stride {stride}")
        vector = ("a", "b", "c", "d")[: len(matrix)]
        _product(canvas, (left, 270), matrix.T, vector, examples.transposed(stride), "its transpose")
    canvas.line((380, 20), (380, 445), color=FAINT)
    return canvas


def _product(
    canvas: Canvas, at: tuple[float, float], matrix: Tensor, vector: tuple[str, ...], results: list[str], title: str
) -> None:
    """Matrix, vector and what comes of them, side by side and centred on a height of six cells."""
    cell = 28
    words = [["", *examples.TAPS][int(entry)] for entry in matrix.flatten()]
    rows, columns = matrix.shape
    top, middle = at[1] + (6 - rows) * cell / 2, at[1] + 3 * cell
    canvas.text((at[0], at[1] - 20), title, anchor="lm")
    shade = (matrix > 0).float()
    canvas.grid((at[0], top), matrix, cell=cell, words=[words[n * columns :] for n in range(rows)], shade=shade, top=3)
    x = at[0] + columns * cell + 14
    letters = [[letter] for letter in vector]
    canvas.grid((x, middle - cell * len(vector) / 2), torch.zeros(len(vector), 1), cell=cell, words=letters)
    canvas.text((x + cell + 14, middle), "=", size=17)
    for row, result in enumerate(results):
        canvas.text((x + cell + 30, top + (row + 0.5) * cell), result, size=14, anchor="lm")


def matrices() -> Canvas:
    maps, canvas = examples.map_matrices(), Canvas(420)
    canvas.grid((20, 60), examples.KERNEL, cell=30, title="kernel")
    canvas.arrow((124, 105), (164, 105))
    canvas.grid((178, 50), maps["4 x 16"], cell=26, title="4 x 16: 4 x 4 to 2 x 2", words=_without_zeros(maps["4 x 16"]))
    canvas.grid(
        (640, 50), maps["16 x 4"], cell=22, title="16 x 4: its transpose", words=_without_zeros(maps["16 x 4"]), text_size=12
    )
    matrix = maps["9 x 25"]
    title = "9 x 25: stride 2, padding 1, 5 x 5 to 3 x 3"
    canvas.grid((20, 210), matrix, cell=22, title=title, words=_without_zeros(matrix), text_size=12)
    return canvas


def _without_zeros(matrix: Tensor) -> list[list[str]]:
    return [[f"{value:g}" if value else "" for value in row] for row in matrix.tolist()]


def pasting() -> list[Canvas]:
    frames = []
    for count, result in enumerate(examples.pasting()):
        canvas = Canvas(260)
        canvas.grid((20, 94), examples.TWO, title="map")
        canvas.grid((140, 76), examples.KERNEL, title="kernel", color=RUST, top=6)
        canvas.arrow((268, 130), (318, 130), "stride 2")
        canvas.grid((334, 44), result, title="sum of the copies", top=22)
        if count:
            row, column = divmod(count - 1, 2)
            canvas.mark((20, 94), (row, row + 1), (column, column + 1))
            canvas.mark((334, 44), (2 * row, 2 * row + 3), (2 * column, 2 * column + 3))
            canvas.text((280, 242), f"copy {count}: the kernel times {examples.TWO[row, column]:g}", color=RUST)
        frames.append(canvas)
    return frames


def fractional() -> Canvas:
    maps, canvas = examples.fractional(), Canvas(290)
    canvas.grid((20, 42), maps["zeros between and around"], cell=32, title="zeros between and around")
    canvas.mark((20, 42), (0, 3), (0, 3), cell=32)
    canvas.text((262, 154), "*", size=22)
    canvas.grid((282, 106), maps["kernel, turned"], cell=32, title="kernel, turned", color=RUST, top=6)
    canvas.arrow((396, 154), (446, 154), "stride 1")
    canvas.grid((462, 74), maps["result"], cell=32, title="as by pasting")
    return canvas


def pointwise() -> Canvas:
    """A 1x1 convolution as a linear layer on the column of channels above each pixel."""
    canvas = Canvas(250)
    for x, depth, words in ((60, 90, "64 x 64 x 192"), (480, 40, "64 x 64 x K")):
        canvas.block((x, 100), (110, 110), depth)
        canvas.block((x + 60, 150), (12, 12), depth, color=RUST)
        canvas.text((x + 55, 230), words)
    canvas.arrow((290, 140), (440, 140), "192 x K weights,\nthe same at each pixel")
    return canvas


def checkerboard() -> Canvas:
    canvas, x = Canvas(292), 20
    for title, counts in examples.overlaps().items():
        canvas.grid((x, 40), counts, cell=20, title=title, top=1.5 * int(counts.max()), color=RUST, text_size=11)
        x += 20 * counts.shape[1] + 30
    return canvas


def dilated() -> list[Canvas]:
    frames, cell, rates, at = [], 20, (1, 2, 4), (20, 20)
    sides, steps = examples.stacked_fields(rates), [torch.zeros(15, 15), *examples.dilated()]
    for depth, ways in enumerate(steps):
        canvas = Canvas(340)
        canvas.grid(at, ways, cell=cell, shade=(ways > 0).float(), top=2.5, numbers=False)
        canvas.dot((at[0] + 7.5 * cell, at[1] + 7.5 * cell), color=INK)
        taps = [7.5 + tap * rates[depth - 1] for tap in (-1, 0, 1)] if depth else []
        for x, y in product(taps, taps):
            canvas.dot((at[0] + x * cell, at[1] + y * cell))
        for layer in range(depth):
            color, y = RUST if layer == depth - 1 else INK, 80 + 50 * layer
            canvas.text((345, y), f"rate {rates[layer]}: 9 weights more", size=14, anchor="lm", color=color)
            canvas.text((345, y + 19), f"{sides[layer]} x {sides[layer]} seen", size=14, anchor="lm", color=color)
        frames.append(canvas)
    return frames


def growth() -> Canvas:
    """Sides of the field by depth."""
    canvas, sides = Canvas(270), examples.fields()
    for place, (name, color) in enumerate((("plain", INK), ("dilated", RUST))):
        points = [(70 + 105 * depth, 230 - 3 * side) for depth, side in enumerate(sides[name], 1)]
        for start, end in pairwise(points):
            canvas.line(start, end, color=color, width=2)
        for point, side in zip(points, sides[name], strict=True):
            canvas.dot(point, color=color)
            canvas.text((point[0], point[1] + (16 if place == 0 else -14)), str(side), size=13, color=color)
    for depth in range(1, 6):
        canvas.text((70 + 105 * depth, 256), str(depth), size=13)
    canvas.text((20, 256), "3x3 layers", size=13, anchor="lm")
    canvas.text((110, 40), "side of the field", size=13, anchor="lm")
    canvas.text((110, 66), "rates 1, 2, 4, 8, 16", color=RUST, anchor="lm")
    canvas.text((110, 88), "rate 1: 1 + 2L", anchor="lm")
    return canvas


def backbone() -> Canvas:
    """A block of ResNet-50 as a box: darker where its rate is higher, framed where it strides."""
    canvas = Canvas(215)
    for row, output_stride in enumerate((32, 16, 8)):
        y, x = 46 + 54 * row, 120.0
        canvas.text((20, y + 18), f"stride {output_stride}", anchor="lm")
        for stage, blocks in enumerate(examples.backbone(output_stride)):
            for stride, rate in blocks:
                canvas.box((x, y), (x + 40, y + 36), fill=mixed(GREEN, 0.16 * rate), line=RUST if stride == 2 else FAINT, width=2)
                canvas.text((x + 20, y + 18), str(rate))
                x += 44
            if row == 0:
                canvas.text((x - 22 * len(blocks), 24), f"stage {stage + 2}")
            x += 18
    return canvas


def regions() -> Canvas:
    """The same box under the ways to pool it to 2 x 2 cells, and to 3 x 3 parts."""
    canvas, cell = Canvas(215), 21.5
    for place, (title, draw) in enumerate(
        {"RoIPool": _pool, "RoIWarp": _warp, "RoIAlign": _align, "position-sensitive": _parts}.items()
    ):
        at = (16 + 184 * place, 36)
        canvas.grid(at, torch.zeros(8, 8), cell=cell, title=title, numbers=False)
        draw(canvas, lambda x, y, at=at: (at[0] + x * cell, at[1] + y * cell))
    return canvas


BOX = (1.6, 2.3, 6.2, 6.4)


def _pool(canvas: Canvas, on: On) -> None:
    """Corners to whole pixels, the last one included; the edges of cells outwards, so that they overlap."""
    left, top, right, bottom = (int(value + 0.5) for value in BOX)
    half_x, half_y = (right + 1 - left) / 2, (bottom + 1 - top) / 2
    cells = [(left + int(column * half_x), top + int(row * half_y)) for row, column in product((0, 1), (0, 1))]
    for (x, y), color in zip(cells, (GREEN, RUST, RUST, GREEN), strict=True):
        for i, j in product(range(math.ceil(half_y)), range(math.ceil(half_x))):
            canvas.box(on(x + j, y + i), on(x + j + 1, y + i + 1), fill=mixed(color, 0.25))
    for x, y in cells:
        canvas.box(on(x, y), on(x + math.ceil(half_x), y + math.ceil(half_y)), line=GREEN, width=1.5)
    canvas.box(on(*BOX[:2]), on(*BOX[2:]), line=RUST, width=2)


def _warp(canvas: Canvas, on: On) -> None:
    """Counted from the centres of pixels: place 0 is the middle of the first."""
    canvas.box(on(*BOX[:2]), on(*BOX[2:]), line=RUST, width=2)
    _samples(canvas, on, first=0.0, shift=0.5)


def _align(canvas: Canvas, on: On) -> None:
    x1, y1, x2, y2 = BOX
    canvas.box(on(x1, y1), on(x2, y2), line=RUST, width=2)
    canvas.line(on((x1 + x2) / 2, y1), on((x1 + x2) / 2, y2), color=RUST)
    canvas.line(on(x1, (y1 + y2) / 2), on(x2, (y1 + y2) / 2), color=RUST)
    _samples(canvas, on, first=0.5, shift=0.0)


def _samples(canvas: Canvas, on: On, first: float, shift: float) -> None:
    x1, y1, x2, y2 = BOX
    for i, j in product(range(4), range(4)):
        canvas.dot(on(x1 + (x2 - x1) * (j + first) / 4 + shift, y1 + (y2 - y1) * (i + first) / 4 + shift), 3, color=GREEN)


def _parts(canvas: Canvas, on: On) -> None:
    x1, y1, x2, y2 = BOX
    wide, high = (x2 - x1) / 3, (y2 - y1) / 3
    for i, j in product(range(3), range(3)):
        start, end = (x1 + j * wide, y1 + i * high), (x1 + (j + 1) * wide, y1 + (i + 1) * high)
        canvas.box(on(*start), on(*end), fill=mixed(GREEN, 0.08 * (3 * i + j + 1)), line=RUST, width=1.5)
        canvas.text(on((start[0] + end[0]) / 2, (start[1] + end[1]) / 2), str(3 * i + j), size=12)


def field() -> Canvas:
    """The effective field within the theoretical one."""
    canvas, share = Canvas(280), examples.effective()
    canvas.grid((10, 10), share, cell=8.4, lines=False)
    canvas.mark((10, 10), (5, 26), (5, 26), cell=8.4)
    canvas.text((290, 115), "theory: 21 x 21", color=RUST, anchor="lm")
    canvas.text((290, 145), "shade: effect", color=GREEN, anchor="lm")
    return canvas


PICTURES: tuple[Callable[[], Canvas | list[Canvas]], ...] = (
    unpooling,
    max_unpooling,
    bilinear,
    bicubic,
    signal,
    matrices,
    pasting,
    fractional,
    pointwise,
    checkerboard,
    dilated,
    growth,
    backbone,
    regions,
    field,
)


def main(folder: Path = FOLDER) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for picture in PICTURES:
        drawn = picture()
        seconds = [1.2] * (len(drawn) - 1) + [2.5] if isinstance(drawn, list) else ()
        save(drawn, folder / picture.__name__, seconds)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
