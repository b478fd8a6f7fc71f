"""What labelling tools draw beside polygons, as masks, and the objects of an image made of drawn shapes.

A pixel belongs to a shape that covers its centre; coordinates as in `_polygons`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from intarsia.core import Array, BoolArray, ClassSpace, DataError, InstanceMasks, Instances, SegmentationError
from intarsia.data.formats._decode import refuse_huge
from intarsia.data.formats._polygons import NOTHING, Crop, mask_of_rings

__all__ = [
    "CROWD",
    "NO_PIXEL",
    "Drawn",
    "mask_of_box",
    "mask_of_ellipse",
    "mask_of_line",
    "objects_of_drawn",
    "placed_crops",
    "points_of",
    "require_size",
    "sorted_classes",
    "without_crowds",
]

NO_PIXEL = "an object without a pixel was left out"
CROWD = "a crowd was left out: the format knows single objects only"
MOST_PIXELS = 2**33
"""Pixels in the boxes of all objects of an image; more is a damaged file, and would fill the memory."""


class Drawn(NamedTuple):
    """An object that was drawn: its class by name, its mask, and whether it stands for a group."""

    label: str
    crop: Crop
    is_crowd: bool = False


def points_of(values: object) -> Array:
    """(N, 2) float64 of a list of pairs.

    Raises:
        ValueError: something else.
    """
    points = np.array(values, np.float64)
    if points.shape[1:] != (2,):
        raise ValueError(f"{str(values)[:80]} is no list of pairs x, y")
    return points


def mask_of_box(x0: float, y0: float, x1: float, y1: float, size_hw: tuple[int, int]) -> Crop:
    """The pixels in a box of any two opposite corners.

    Raises:
        SegmentationError: a coordinate that is no number, or far outside any image; so the others.
    """
    return mask_of_rings([np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)], size_hw)


def mask_of_ellipse(
    center_xy: tuple[float, float], radii: tuple[float, float], size_hw: tuple[int, int], angle: float = 0.0
) -> Crop:
    """The pixels in an ellipse.

    Args:
        center_xy: the centre.
        radii: along its own x and y axis.
        size_hw: of the image.
        angle: radians by which it is turned clockwise as seen.
    """
    radius = max(radii)
    (top, left), box = mask_of_box(*(c - radius for c in center_xy), *(c + radius for c in center_xy), size_hw)
    if not box.size or min(radii) <= 0:
        return NOTHING
    y, x = (np.arange(n) + start + 0.5 - c for n, start, c in zip(box.shape, (top, left), center_xy[::-1], strict=True))
    cos, sin = math.cos(angle), math.sin(angle)
    along, across = x * cos + y[:, None] * sin, y[:, None] * cos - x * sin
    inside: BoolArray = (along / radii[0]) ** 2 + (across / radii[1]) ** 2 <= 1
    return (top, left), inside


def mask_of_line(points: Array, width: float, size_hw: tuple[int, int]) -> Crop:
    """The pixels at most half of `width` away from a line through `points` (N, 2), or from a single point."""
    half = width / 2
    (top, left), box = mask_of_box(*(points.min(0) - half), *(points.max(0) + half), size_hw)
    if not box.size:
        return NOTHING
    found = np.zeros(box.shape, np.bool_)
    for begin, end in zip(points[: max(len(points) - 1, 1)], points[-max(len(points) - 1, 1) :], strict=True):
        (y0, x0), part = mask_of_box(*(np.minimum(begin, end) - half), *(np.maximum(begin, end) + half), size_hw)
        centers = np.stack(np.meshgrid(np.arange(part.shape[1]) + x0 + 0.5, np.arange(part.shape[0]) + y0 + 0.5), -1) - begin
        way = end - begin
        share = (centers @ way / max(float(way @ way), 1e-300)).clip(0, 1)
        near = ((centers - share[..., None] * way) ** 2).sum(-1) <= half**2
        found[y0 - top : y0 - top + part.shape[0], x0 - left : x0 - left + part.shape[1]] |= near
    return (top, left), found


def objects_of_drawn(drawn: Iterable[Drawn], size_hw: tuple[int, int], classes: ClassSpace) -> tuple[Instances, tuple[str, ...]]:
    """The objects of an image, and a sentence for each that has no pixel and was left out.

    Raises:
        SegmentationError: more pixels than the objects of an image have.
    """
    crops: list[Crop] = []
    class_id: list[int] = []
    crowd: list[bool] = []
    lost = pixels = 0
    id_of = {name: index for index, name in enumerate(classes.names)}
    for label, crop, is_crowd in drawn:
        pixels += crop[1].size
        if pixels > MOST_PIXELS:
            raise SegmentationError(f"Objects of more than {MOST_PIXELS:,} pixels are drawn in one image.")
        if not crop[1].any():
            lost += 1
            continue
        crops.append(crop)
        class_id.append(id_of[label])
        crowd.append(is_crowd)
    masks = InstanceMasks.pack_crops(crops, size_hw)
    objects = Instances(masks, np.array(class_id, np.int32), classes, is_crowd=np.array(crowd) if any(crowd) else None)
    return objects, (NO_PIXEL,) * lost


def placed_crops(objects: Instances) -> Iterator[Crop]:
    """The mask of each object and where it lies."""
    for (rows, columns), crop in objects.masks.crops():
        yield (rows.start, columns.start), crop


def without_crowds(objects: Instances) -> tuple[Instances, tuple[str, ...]]:
    """The objects that are counted, and a sentence for each crowd that was left out."""
    if objects.is_crowd is None or not objects.is_crowd.any():
        return objects, ()
    return objects.select(~objects.is_crowd), (CROWD,) * int(objects.is_crowd.sum())


def sorted_classes(labels: Iterable[str], declared: Sequence[str] = ()) -> ClassSpace | None:
    """One list for all images: the declared classes in their order, then the others by name; None without any."""
    names = [*declared, *sorted(set(labels).difference(declared))]
    return ClassSpace.from_names(names, things=names) if names else None


def require_size(height: object, width: object, where: str | Path) -> tuple[int, int]:
    """The size of an image as a file says it.

    Raises:
        DataError: what is no whole number above 0, or more pixels than any image has.
    """
    found = []
    for value in (height, width):
        if isinstance(value, bool) or not isinstance(value, int | float | str) or float(value) != int(value) or int(value) < 1:
            raise DataError(f"{where} says that its image is {height!r} x {width!r} (height, width) pixels.")
        found.append(int(value))
    try:
        refuse_huge(*found)
    except DataError as error:
        raise DataError(f"{where}: {error}.") from error
    return found[0], found[1]
