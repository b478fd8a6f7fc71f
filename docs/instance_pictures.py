"""Draws the pictures of docs/instances.md.

    python docs/instance_pictures.py ../shared/data/nuclei

writes docs/images/deep_watershed.png: a piece of an image with its objects outlined, the direction field, the levels of energy,
and what is left above the cut, each core in a colour of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy import ndimage

from intarsia.core import Array, ClassSpace, LabelMap
from intarsia.core.whole_file import written_whole
from intarsia.data.formats import read_image
from intarsia.data.formats.instance import read_instances
from intarsia.data.targets.direction import direction
from intarsia.data.targets.energy import energy
from intarsia.viz.colorize import distinct_colors
from intarsia.viz.rgb import as_rgb

PICTURE = Path(__file__).parent / "images" / "deep_watershed.png"
SIDE = 112
ZOOM, GAP, CUT = 3, 8, 1
WHITE, INK = (255, 255, 255), (24, 24, 32)


def main(root: Path) -> None:
    name, top, left = most_touching(root)
    window = slice(top, top + SIDE), slice(left, left + SIDE)
    image = as_rgb(read_image(root / "images" / "val" / name))[window]
    truth = LabelMap(read_instances(root / "instances" / "val" / name, ClassSpace.from_names(["nucleus"]), 0).to_ids()[window])
    level = energy(truth)
    cores, count = ndimage.label(level > CUT, np.ones((3, 3)))
    colors = np.concatenate([[INK], distinct_colors(np.arange(1, count + 1))]).astype(np.uint8)
    tiles = [outlined(enlarged(image), enlarged(truth.ids)), field(truth), levels(level, truth.ids), enlarged(colors[cores])]
    side = SIDE * ZOOM
    page = Image.new("RGB", (len(tiles) * (side + GAP) - GAP, side), WHITE)
    for column, tile in enumerate(tiles):
        page.paste(Image.fromarray(tile), (column * (side + GAP), 0))
    with written_whole(PICTURE) as partial:
        page.save(partial, "png", optimize=True)


def most_touching(root: Path) -> tuple[str, int, int]:
    """The piece of a validation image in which most objects touch another: its file, and its top left pixel.

    Pieces whose objects are small, or not round enough to be whole, do not count.
    """
    best, found = 0, ("", 0, 0)
    for path in sorted((root / "instances" / "val").glob("*.png")):
        ids = np.asarray(Image.open(path)).astype(np.int64)
        for top in range(0, ids.shape[0] - SIDE + 1, SIDE // 4):
            for left in range(0, ids.shape[1] - SIDE + 1, SIDE // 4):
                piece = ids[top : top + SIDE, left : left + SIDE]
                touching = (ndimage.grey_dilation(piece, (3, 3)) != piece) & (piece > 0)
                count = len(np.unique(ndimage.grey_dilation(piece, (3, 3))[touching])) if all_round(piece) else 0
                if count > best:
                    best, found = count, (path.name, top, left)
    return found


def all_round(ids: Array) -> bool:
    """Whether objects are of 250 pixels in the median and fill most of their boxes, as discs do."""
    boxes = [(box, ids[box] == number) for number, box in enumerate(ndimage.find_objects(ids), 1) if box is not None]
    return len(boxes) > 5 and np.median([mask.sum() for _, mask in boxes]) > 250 and min(mask.mean() for _, mask in boxes) > 0.6


def enlarged(tile: Array) -> Array:
    return np.ascontiguousarray(tile.repeat(ZOOM, 0).repeat(ZOOM, 1))


def outlined(rgb: Array, ids: Array) -> Array:
    """The image, brightened, with a line where one object ends."""
    low, high = np.percentile(rgb, (1, 99.5))
    drawn: Array = ((rgb.astype(np.float32) - low) * (255 / max(high - low, 1))).clip(0, 255).astype(np.uint8)
    edge = ndimage.grey_dilation(ids, (3, 3)) != ids
    drawn[edge] = (255, 170, 40)
    return drawn


def field(truth: LabelMap) -> Array:
    """Hue is the angle, with a wheel in the corner that says which."""
    down, right = direction(truth)
    drawn = enlarged(hues(down, right, np.hypot(down, right) > 0))
    rows, columns = np.mgrid[-26:27, -26:27]
    wheel, radius = hues(rows, columns, np.ones(rows.shape, np.bool_)), np.hypot(rows, columns)
    place = drawn[6:59, -59:-6]
    place[radius <= 26] = wheel[radius <= 26]
    place[(radius > 25) & (radius <= 26.5)] = WHITE
    return drawn


def hues(down: Array, right: Array, inside: Array) -> Array:
    angle = (np.degrees(np.arctan2(down, right)) % 360 / 2).astype(np.uint8)
    hsv = np.stack([angle, np.full_like(angle, 170), np.full_like(angle, 240)], -1)
    rgb: Array = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    rgb[~inside] = INK
    return rgb


def levels(level: Array, ids: Array) -> Array:
    """Deeper is brighter."""
    shade = (60 + 195 * (level.astype(np.float32) / max(level.max(), 1))).astype(np.uint8)
    rgb: Array = cv2.cvtColor(cv2.applyColorMap(shade, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    rgb[ids == 0] = INK
    return enlarged(rgb)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
