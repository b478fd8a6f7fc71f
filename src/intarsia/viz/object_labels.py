"""Names and scores written onto the objects and regions of a picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from intarsia.core import Array, BoolArray, Instances, Panoptic
from intarsia.viz.legend import label_font

__all__ = ["label_objects"]

SMALLEST_TEXT = 11
TEXTS_PER_SIDE = 34
"""Heights of the text in the shorter side of a picture."""
NEARLY = 0.9
INK, SHADE = (255, 255, 255), (20, 22, 26)


class _Label(NamedTuple):
    text: str
    center_yx: tuple[int, int]
    size_hw: tuple[int, int]


def label_objects(picture: Array, segmentation: Instances | Panoptic, *, text_size: int | None = None) -> Array:
    """The picture with the class of each object or segment, and the score of each object that has one, as a new array.

    A text stands where its object is widest, and is left out where the object's box has no room for it. Of Q objects the last is
    written first, so that the text of the first, and best, lies on top.

    Args:
        picture: (H, W, 3) uint8, such as an overlay.
        segmentation: of the same size.
        text_size: height of the text in pixels; None: a 34th of the shorter side, at least 11.
    """
    from PIL import Image, ImageDraw

    size = text_size or max(SMALLEST_TEXT, round(min(picture.shape[:2]) / TEXTS_PER_SIDE))
    font, page = label_font(size), Image.fromarray(np.ascontiguousarray(picture))
    draw = ImageDraw.Draw(page)
    for label in reversed(list(_labels(segmentation))):
        width, (height_has, width_has) = font.getlength(label.text), label.size_hw
        if width <= width_has and size <= height_has:
            y, x = label.center_yx
            x = round(min(max(x, width / 2 + 2), picture.shape[1] - width / 2 - 2))
            y = min(max(y, size // 2 + 2), picture.shape[0] - size // 2 - 2)
            draw.text((x, y), label.text, INK, font=font, anchor="mm", stroke_width=max(1, size // 7), stroke_fill=SHADE)
    return np.asarray(page)


def _labels(segmentation: Instances | Panoptic) -> Iterator[_Label]:
    if isinstance(segmentation, Panoptic):
        yield from _segment_labels(segmentation)
        return
    names = segmentation.classes.names
    scores = segmentation.score
    for index, (where, crop) in enumerate(segmentation.masks.crops()):
        if crop.any():
            score = "" if scores is None else f" {scores[index]:.2f}"
            yield _label(names[segmentation.class_id[index]] + score, where, crop)


def _segment_labels(panoptic: Panoptic) -> Iterator[_Label]:
    from scipy.ndimage import find_objects

    numbers, ids = np.unique(panoptic.ids, return_inverse=True)
    ids = ids.reshape(panoptic.ids.shape) + 1
    boxes = dict(zip(numbers.tolist(), find_objects(ids), strict=True))
    place = {int(number): index for index, number in enumerate(numbers, 1)}
    for segment in panoptic.segments:
        if segment.id in boxes:
            where, entry = boxes[segment.id], panoptic.classes.classes[segment.class_id]
            score = f" {segment.score:.2f}" if entry.is_thing and segment.score < 1 else ""
            yield _label(entry.name + score, where, ids[where] == place[segment.id])


def _label(text: str, where: tuple[slice, slice], crop: BoolArray) -> _Label:
    """Where it is nearly as far from the border as anywhere, as near to the middle of the box as such pixels are."""
    import cv2

    depth = cv2.distanceTransform(np.pad(crop, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    deep = np.argwhere(depth >= NEARLY * depth.max())
    y, x = deep[np.hypot(*(deep - np.array(crop.shape) / 2).T).argmin()].tolist()
    return _Label(text, (where[0].start + y, where[1].start + x), (crop.shape[0], crop.shape[1]))
