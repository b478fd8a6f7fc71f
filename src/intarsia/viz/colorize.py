"""A segmentation alone as a picture."""

from __future__ import annotations

import io

import numpy as np

from intarsia.core import Array, BoolArray, Instances, LabelMap, MultiLabel, Panoptic, Segmentation, SegmentationError

__all__ = ["checkerboard", "colorize", "distinct_colors", "paint", "png_bytes"]

NOTHING = (24, 26, 30)
"""Where there is no object."""
CHECKS = ((214, 214, 214), (188, 188, 188))
"""The two greys of pixels that are ignored: no class has a pattern, so none is mistaken for it."""
CHECK_PIXELS = 6


def colorize(segmentation: Segmentation) -> Array:
    """The segmentation as (H, W, 3) uint8.

    Classes have their own colours; regions and objects have colours of their number, those next to each other far apart. Things
    of a panoptic map keep a cast of their class. Ignored and void pixels are checked grey, pixels without object nearly black.

    Raises:
        SegmentationError: a kind of segmentation that has no picture.
    """
    return paint(segmentation)[0]


def paint(segmentation: Segmentation) -> tuple[Array, BoolArray]:
    """The picture, and which pixels (H, W) an overlay leaves clear: ignored, without object, or of a class that is black."""
    if isinstance(segmentation, LabelMap):
        return _paint_labels(segmentation)
    if isinstance(segmentation, Instances):
        colors = np.vstack([np.array([NOTHING], np.uint8), distinct_colors(np.arange(len(segmentation)))])
        ids = segmentation.to_ids()
        return colors[ids], ids == 0
    if isinstance(segmentation, Panoptic):
        return _paint_panoptic(segmentation)
    if isinstance(segmentation, MultiLabel):
        return _paint_multi_label(segmentation)
    raise SegmentationError(
        f"A {type(segmentation).__name__} has no picture; LabelMap, Instances, Panoptic and MultiLabel have one."
    )


def distinct_colors(numbers: Array) -> Array:
    """(R, 3) uint8 colours for (R,) numbers >= 0, always the same; the hue turns by the golden ratio from each to the next."""
    index = numbers.astype(np.int64)[:, None]
    hue = (0.07 + 0.618034 * index) % 1
    saturation = np.array([0.72, 0.5, 0.88])[index % 3]
    value = np.array([0.96, 0.82, 0.68])[index // 2 % 3]
    sector = (np.array([5, 3, 1]) + 6 * hue) % 6
    shade = np.clip(np.minimum(sector, 4 - sector), 0, 1)
    return np.asarray(np.rint(255 * value * (1 - saturation * shade)), np.uint8)


def checkerboard(size_hw: tuple[int, int]) -> Array:
    """(H, W, 3) uint8, the pattern of ignored pixels."""
    rows, columns = (np.arange(length) // CHECK_PIXELS for length in size_hw)
    board: Array = np.array(CHECKS, np.uint8)[(rows[:, None] + columns) % 2]
    return board


def png_bytes(rgb: Array) -> bytes:
    """An (H, W, 3) uint8 picture as a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(buffer, "png")
    return buffer.getvalue()


def _paint_labels(labels: LabelMap) -> tuple[Array, BoolArray]:
    classes = labels.classes
    if classes is None:
        numbers, ids = np.unique(labels.ids, return_inverse=True)
        return distinct_colors(numbers)[ids.reshape(labels.ids.shape)], np.zeros(labels.ids.shape, np.bool_)
    table = np.zeros((max(len(classes), classes.ignore_id + 1), 3), np.uint8)
    table[: len(classes)] = classes.colors
    ignored = labels.ids == classes.ignore_id
    picture = table[labels.ids]
    np.copyto(picture, checkerboard(labels.size_hw), where=ignored[..., None])
    black = np.asarray(table.max(1) == 0)
    return picture, ignored | black[labels.ids]


def _paint_panoptic(panoptic: Panoptic) -> tuple[Array, BoolArray]:
    numbers, ids = np.unique(panoptic.ids, return_inverse=True)
    ids = ids.reshape(panoptic.ids.shape)
    class_of = {segment.id: segment.class_id for segment in panoptic.segments}
    own = distinct_colors(np.arange(len(numbers))).astype(np.float32)
    colors = np.zeros((len(numbers), 3), np.uint8)
    for index, number in enumerate(numbers.tolist()):
        if number in class_of:
            entry = panoptic.classes.classes[class_of[number]]
            cast = np.array(entry.color, np.float32)
            colors[index] = np.rint(0.6 * cast + 0.4 * own[index]) if entry.is_thing else cast
    void = panoptic.ids == 0
    picture = colors[ids]
    np.copyto(picture, checkerboard(panoptic.size_hw), where=void[..., None])
    black = np.asarray(colors.max(1) == 0)
    return picture, void | black[ids]


def _paint_multi_label(labels: MultiLabel) -> tuple[Array, BoolArray]:
    """The mean colour of the classes that a pixel has."""
    total = np.tensordot(labels.masks.astype(np.float32), labels.classes.colors.astype(np.float32), (0, 0))
    count = labels.masks.sum(0)
    picture = np.rint(total / np.maximum(count, 1)[..., None]).astype(np.uint8)
    picture[count == 0] = NOTHING
    clear = count == 0
    if labels.valid is not None:
        np.copyto(picture, checkerboard(labels.size_hw), where=~labels.valid[..., None])
        clear |= ~labels.valid
    return picture, clear
