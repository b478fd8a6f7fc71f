"""Masks as polygons and back, without the loss of a pixel.

Coordinates are x, y with the origin at the corner of the image: pixel (row 0, column 0) covers 0..1 and its centre is (0.5, 0.5).
An outline runs along the edges of pixels, so its corners are whole numbers, and filling it gives the mask again.

Filled are the pixels whose centre is inside by the even-odd rule; a centre on a line belongs to what lies right or below.
So polygons that share an edge share no pixel and leave none out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from intarsia.core import Array, BoolArray, Instances, SegmentationError

__all__ = [
    "Crop",
    "Polygon",
    "crop_iou",
    "joined_ring",
    "mask_of_polygons",
    "mask_of_rings",
    "polygons_of_mask",
    "polygons_of_object",
    "simplified",
    "united",
]

Crop = tuple[tuple[int, int], BoolArray]
"""A mask as ((y, x) of its top left corner, (h, w) bool), as `InstanceMasks.pack_crops` takes it."""
NOTHING: Crop = ((0, 0), np.zeros((0, 0), np.bool_))
FARTHEST = 2.0**40
"""Coordinates beyond this are damaged, and would not be exact."""


class Polygon(NamedTuple):
    """One piece of a mask.

    outer: (N, 2) corners x, y, clockwise as seen; not closed: the last corner is not the first.
    holes: the same of each hole, counterclockwise.
    """

    outer: Array
    holes: tuple[Array, ...] = ()


def polygons_of_mask(mask: BoolArray, offset_yx: tuple[int, int] = (0, 0)) -> list[Polygon]:
    """The exact outline of a mask along the edges of its pixels, from the top.

    Each piece connected by edges is a polygon: pixels that touch at a corner only are two. No ring touches itself; two rings may
    share corners.

    Args:
        mask: (h, w) bool.
        offset_yx: where its top left corner lies in the image.
    """
    from intarsia.data.formats._polygon_kernels import trace_rings

    padded = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.bool_)
    padded[1:-1, 1:-1] = mask
    corners, ends = trace_rings(padded)
    if not len(ends):
        return []
    rings = np.split(corners, ends[:-1])
    areas = [_doubled_area(ring) for ring in rings]
    outer = [i for i, area in enumerate(areas) if area > 0]
    holes: dict[int, list[int]] = {i: [] for i in outer}
    if len(outer) == 1:
        holes[outer[0]] = [i for i, area in enumerate(areas) if area < 0]
    elif len(outer) < len(rings):
        owner = _pieces(padded, rings)
        of_piece = {owner[i]: i for i in outer}
        for i in set(range(len(rings))).difference(outer):
            holes[of_piece[owner[i]]].append(i)
    shift = np.array([offset_yx[1] - 1, offset_yx[0] - 1], np.int32)
    return [Polygon(rings[i] + shift, tuple(rings[hole] + shift for hole in sorted(holes[i]))) for i in outer]


def polygons_of_object(objects: Instances, index: int, tolerance: float = 0.0) -> list[Polygon]:
    """The outline of one object in its image, with fewer corners where a tolerance above 0 allows it; see `simplified`."""
    x0, y0 = objects.masks.boxes_xyxy[index, :2].tolist()
    found = polygons_of_mask(objects.masks.crop(index), (y0, x0))
    return [simplified(polygon, tolerance) for polygon in found] if tolerance > 0 else found


def mask_of_polygons(polygons: Iterable[Polygon], size_hw: tuple[int, int]) -> Crop:
    """The pixels inside one of the polygons and not in its holes, of those that the image has.

    Raises:
        SegmentationError: a coordinate that is no number, or far outside any image.
    """
    return united([mask_of_rings((polygon.outer, *polygon.holes), size_hw) for polygon in polygons])


def mask_of_rings(rings: Sequence[Array], size_hw: tuple[int, int]) -> Crop:
    """The pixels inside an odd number of times; of those that the image has.

    Args:
        rings: (N, 2) corners x, y of each, of any N; the last is joined to the first.
        size_hw: of the image.

    Raises:
        SegmentationError: see `mask_of_polygons`.
    """
    from intarsia.data.formats._polygon_kernels import fill_rings

    points = np.concatenate([np.zeros((0, 2)), *rings])
    if not len(points):
        return NOTHING
    if not (np.abs(points) < FARTHEST).all():
        strange = points[~(np.abs(points) < FARTHEST)][0]
        raise SegmentationError(f"A polygon has the coordinate {strange:g}, which is no place in an image.")
    low, high = np.ceil(np.stack([points.min(0), points.max(0)]) - 0.5).clip(0, (size_hw[1], size_hw[0])).astype(int).tolist()
    if low[0] >= high[0] or low[1] >= high[1]:
        return NOTHING
    inside = np.zeros((high[1] - low[1], high[0] - low[0] + 1), np.bool_)
    starts = np.cumsum([0, *map(len, rings)])
    fill_rings(points, starts, low[1], low[0], inside)
    return (low[1], low[0]), inside[:, :-1]


def united(crops: Sequence[Crop]) -> Crop:
    """The pixels of all of them."""
    crops = [crop for crop in crops if crop[1].size]
    if len(crops) < 2:
        return crops[0] if crops else NOTHING
    top, left = (min(corner[axis] for corner, _ in crops) for axis in (0, 1))
    bottom, right = (max(corner[axis] + crop.shape[axis] for corner, crop in crops) for axis in (0, 1))
    whole = np.zeros((bottom - top, right - left), np.bool_)
    for (y, x), crop in crops:
        whole[y - top : y - top + crop.shape[0], x - left : x - left + crop.shape[1]] |= crop
    return (top, left), whole


def crop_iou(first: Crop, second: Crop) -> float:
    """Intersection over union; 1 of two masks without a pixel."""
    union = np.count_nonzero(united([first, second])[1])
    total = np.count_nonzero(first[1]) + np.count_nonzero(second[1])
    return (total - union) / union if union else 1.0


def joined_ring(polygons: Sequence[Polygon]) -> Array:
    """All rings as one closed line, (N, 2), for formats that hold one line an object.

    A hole is reached by a slit from its leftmost corner to the left, a further piece by a line to the nearest corner. Both are
    walked there and back, so that filling by the even-odd rule gives the same pixels.
    """
    whole = np.zeros((0, 2))
    for polygon in polygons:
        ring = polygon.outer.astype(np.float64)
        for hole in sorted(polygon.holes, key=lambda ring: float(ring[:, 0].min())):
            ring = _with_hole(ring, hole.astype(np.float64))
        if len(whole):
            nearest = int(((whole - ring[0]) ** 2).sum(1).argmin())
            ring = np.concatenate([whole[: nearest + 1], ring, ring[:1], whole[nearest:]])
        whole = ring
    return whole


def simplified(polygon: Polygon, tolerance: float) -> Polygon:
    """The polygon with fewer corners, none of its lines farther than `tolerance` pixels from the old ones (Douglas and Peucker).

    A ring that would lose its area stays as it is.
    """
    import cv2

    def simple(ring: Array) -> Array:
        fewer = cv2.approxPolyDP(ring.astype(np.float32)[:, None], tolerance, closed=True)[:, 0].astype(np.float64)
        return fewer if _doubled_area(fewer) * _doubled_area(ring) > 0 else ring

    return Polygon(simple(polygon.outer), tuple(map(simple, polygon.holes)))


def _doubled_area(ring: Array) -> float:
    """Twice the area, positive where the inside lies to the right of the way, which is clockwise as seen."""
    x, y = ring[:, 0].astype(np.float64), ring[:, 1].astype(np.float64)
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1))


def _pieces(padded: BoolArray, rings: Sequence[Array]) -> list[int]:
    """The number of the piece of mask that lies to the right of each ring."""
    import cv2

    numbers = cv2.connectedComponents(padded.astype(np.uint8), connectivity=4)[1]
    begin, following = (np.array([ring[index] for ring in rings]) for index in (0, 1))
    way = following - begin
    x = begin[:, 0] - ((way[:, 0] < 0) | (way[:, 1] > 0))
    y = begin[:, 1] - ((way[:, 0] < 0) | (way[:, 1] < 0))
    return [int(number) for number in numbers[y, x]]


def _with_hole(ring: Array, hole: Array) -> Array:
    """The ring with a slit to the hole: from its highest leftmost corner to the left, up to where the ring is met."""
    first = int(np.lexsort((hole[:, 1], hole[:, 0]))[0])
    hole = np.roll(hole, -first, axis=0)
    x, y = hole[0]
    begin, end = ring, np.roll(ring, -1, axis=0)
    height = end[:, 1] - begin[:, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        across = begin[:, 0] + (y - begin[:, 1]) / height * (end[:, 0] - begin[:, 0])
    flat = (height == 0) & (begin[:, 1] == y)
    low, high = np.minimum(begin, end), np.maximum(begin, end)
    at = np.where(flat, np.minimum(high[:, 0], x), across)
    met = (low[:, 1] <= y) & (y <= high[:, 1]) & (low[:, 0] <= x) & (at <= x)
    if met.any():
        edge = int(np.where(met, at, -np.inf).argmax())
        gate = np.array([[at[edge], y]])
    else:  # a simplified ring may have moved past its hole
        edge = int(((ring - hole[0]) ** 2).sum(1).argmin())
        gate = ring[edge : edge + 1]
    return np.concatenate([ring[: edge + 1], gate, hole, hole[:1], gate, ring[edge + 1 :]])
