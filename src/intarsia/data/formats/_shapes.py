"""What labelling tools draw beside polygons, as masks, and the objects of an image made of drawn shapes.

A pixel belongs to a shape that covers its centre; coordinates as in `_polygons`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from intarsia.core import Array, BoolArray, ClassSpace, DataError, InstanceMasks, Instances, SegmentationError
from intarsia.data.formats._decode import refuse_huge
from intarsia.data.formats._polygons import NOTHING, Crop, mask_of_rings, united

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
    (center_x, center_y), radius = center_xy, max(radii)
    (top, left), box = mask_of_box(center_x - radius, center_y - radius, center_x + radius, center_y + radius, size_hw)
    if not box.size or min(radii) <= 0:
        return NOTHING
    cos, sin, x_weight, y_weight = math.cos(angle), math.sin(angle), radii[0] ** -2, radii[1] ** -2
    y = np.arange(box.shape[0]) + (top + 0.5 - center_y)
    # in each row the solutions of a x^2 + b x + c = 0, from the implicit equation of the ellipse
    a = cos**2 * x_weight + sin**2 * y_weight
    b = 2 * sin * cos * (x_weight - y_weight) * y
    c = (sin**2 * x_weight + cos**2 * y_weight) * y**2 - 1
    reach = np.sqrt(np.maximum(b**2 - 4 * a * c, 0)) / (2 * a)
    reach[b**2 < 4 * a * c] = -1
    x = np.arange(box.shape[1]) + (left + 0.5 - center_x)
    middle = -b / (2 * a)
    inside: BoolArray = (x >= (middle - reach)[:, None]) & (x <= (middle + reach)[:, None])
    return (top, left), inside


def mask_of_line(points: Array, width: float, size_hw: tuple[int, int]) -> Crop:
    """The pixels at most half of `width` away from a line through `points` (N, 2), or from a single point."""
    half = width / 2
    parts = [mask_of_ellipse((x, y), (half, half), size_hw) for x, y in points.tolist()]
    for begin, end in pairwise(points):
        way = end - begin
        aside = half * np.array([-way[1], way[0]]) / max(float(np.hypot(*way)), 1e-300)
        parts.append(mask_of_rings([np.stack([begin + aside, end + aside, end - aside, begin - aside])], size_hw))
    return united(parts)


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
