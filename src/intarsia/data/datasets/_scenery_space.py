"""Space: the camera, and the canvas that takes colours and truth in one stroke."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from intarsia.core import Array, FloatArray
from intarsia.data.datasets._scenery_light import Light, Rgb

SKY, BUILDING, ROAD, PAVEMENT, GRASS, TREE, PERSON, CAR, BICYCLE, SIGN = range(10)
THING_IDS = (PERSON, CAR, BICYCLE, SIGN)

SUPERSAMPLE = 3  # odd, so that one sample lies at the centre of a pixel: the colour is the mean of all, the truth that sample
SKY_DEPTH_M = 1000.0
EDGE_ON_M = 0.1  # a face whose plane passes the eye this closely is not painted: it would be a sliver without a sure depth

PointsXy = Sequence[tuple[float, float]]

_ANGLES = np.arange(20) * (math.tau / 20)
CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], -1)
"""(20, 2) points on the unit circle."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera held level over a street.

    Street coordinates are metres: u across the road from its middle, v along it, y up from the ground. Camera axes are
    x right, y up from the ground, z ahead. Image coordinates count samples, `SUPERSAMPLE` to a pixel; their centres are at
    whole numbers.

    Args:
        size_hw: samples down and across.
        focal: focal length in samples.
        horizon: row of the horizon.
        eye_m: height above the ground.
        eye_u: place across the road; v is 0.
        cos, sin: of the heading, from the direction of the road, clockwise seen from above.
    """

    size_hw: tuple[int, int]
    focal: float
    horizon: float
    eye_m: float
    eye_u: float
    cos: float
    sin: float

    @property
    def center_x(self) -> float:
        return (self.size_hw[1] - 1) / 2

    @property
    def nearest_m(self) -> float:
        """Distance of the ground at the lower edge of the picture."""
        return self.focal * self.eye_m / (self.size_hw[0] - 1 - self.horizon)

    def place(self, u: float, v: float) -> tuple[float, float]:
        """(x, z) of a place on the street."""
        return (u - self.eye_u) * self.cos + v * self.sin, v * self.cos - (u - self.eye_u) * self.sin

    def project(self, x: Array, y: Array | float, z: Array) -> FloatArray:
        """Image points (..., 2) as (column, row) of points in camera axes; x and y broadcast to the shape of z."""
        scale = self.focal / z
        image = np.empty((*scale.shape, 2))
        image[..., 0] = self.center_x + x * scale
        image[..., 1] = self.horizon + (self.eye_m - y) * scale
        return image

    def project_street(self, u: Array | float, v: Array | float, y: Array | float) -> FloatArray:
        """Image points (..., 2) of street points; y broadcasts to the shape that u and v have together."""
        across, along = np.asarray(u) - self.eye_u, np.asarray(v)
        return self.project(across * self.cos + along * self.sin, y, along * self.cos - across * self.sin)

    def plane(self, by_u: float, by_v: float, by_y: float, constant: float) -> tuple[float, float, float]:
        """Inverse depth of the plane by_u * u + by_v * v + by_y * y = constant.

        Every plane has an inverse depth that is affine in the image: 1 / Z = a * x + b * y + c with x and y the line of
        sight, (column - center_x) / focal and (horizon - row) / focal. Returns (a, b, c) in 1/m.
        """
        distance = constant - by_u * self.eye_u - by_y * self.eye_m
        distance = distance if abs(distance) > 1e-6 else 1e-6  # seen edge on, so no sample shows it
        return (by_u * self.cos + by_v * self.sin) / distance, by_y / distance, (by_v * self.cos - by_u * self.sin) / distance


class Surface(NamedTuple):
    """A flat piece of the scene: its class, the number of the thing it belongs to (0 = stuff) and its inverse depth."""

    class_id: int
    instance: int
    plane: tuple[float, float, float]


class Canvas:
    """What has been painted so far.

    `samples` (h, w, 4) uint8 holds red, green, blue and the number of the surface on top: a stroke sets colour and truth
    together. `shadow` (H, W) uint8 holds how much light the ground loses.
    """

    def __init__(self, camera: Camera) -> None:
        height, width = camera.size_hw
        self.camera = camera
        self.samples: Array = np.zeros((height, width, 4), np.uint8)
        self.shadow: Array = np.zeros((height // SUPERSAMPLE, width // SUPERSAMPLE), np.uint8)
        self.surfaces: list[Surface] = []

    def copy(self) -> Canvas:
        other = Canvas.__new__(Canvas)
        other.camera, other.samples, other.shadow = self.camera, self.samples.copy(), self.shadow.copy()
        other.surfaces = list(self.surfaces)
        return other

    def add(self, class_id: int, plane: tuple[float, float, float], instance: int = 0) -> int:
        """Declare a surface; the number that is returned goes with its strokes.

        There is room for 256. A scene needs at most 4 for sky and ground, 2 for the backdrop, 4 for each of 36 houses, 9 for
        each of 6 cars, and 1 for each of 20 other things and 8 trees: 232.
        """
        self.surfaces.append(Surface(class_id, instance, plane))
        return len(self.surfaces) - 1

    def fill(self, points: FloatArray, color: Rgb, surface: int) -> None:
        """Fill one polygon (P, 2), or several that do not overlap (M, P, 2), given in samples."""
        corners = np.rint(points).astype(np.int32, order="C")
        cv2.fillPoly(self.samples, list(corners.reshape(-1, *corners.shape[-2:])), (*color, surface))

    def cast(self, x: Array, y: Array, z: Array, light: Light) -> None:
        """Lay the shadow of the convex body around these points (P,), in camera axes, on the ground."""
        per_metre = y / light.sun_xyz[1]
        moved_x, moved_z = x - light.sun_xyz[0] * per_metre, z - light.sun_xyz[2] * per_metre
        image = self.camera.project(moved_x, 0.0, np.maximum(moved_z, self.camera.nearest_m * 0.5))
        sixteenths = np.rint((image - SUPERSAMPLE // 2) * (16 / SUPERSAMPLE)).astype(np.int32)
        cv2.fillConvexPoly(self.shadow, cv2.convexHull(sixteenths), 255 * light.shadow, cv2.LINE_AA, 4)

    def cast_box(self, u: tuple[float, float], v: tuple[float, float], top: float, light: Light) -> None:
        """Lay the shadow of a box that stands on the street."""
        places = np.array([self.camera.place(a, b) for a in u for b in v] * 2)
        self.cast(places[:, 0], np.repeat((0.0, top), 4), places[:, 1], light)


class Pen:
    """Draws on an upright board at (x, z) that faces the camera.

    Its points are x right of the foot of the board and y up from the ground, in units of `size` metres, x `squeeze` times
    narrower or, where that is negative, mirrored.
    """

    def __init__(
        self, canvas: Canvas, class_id: int, x: float, z: float, instance: int = 0, *, size: float = 1.0, squeeze: float = 1.0
    ) -> None:
        camera = canvas.camera
        self.canvas, self.x, self.z = canvas, x, z
        self.surface = canvas.add(class_id, (0.0, 0.0, 1 / z), instance)
        self.scale = camera.focal / z * size
        self._to_metres = np.array((size * squeeze, size))
        self._to_samples = np.array((self.scale * squeeze, -self.scale))
        self._foot = np.array((camera.center_x + x * camera.focal / z, camera.horizon + camera.eye_m * camera.focal / z))

    def fill(self, points_xy: PointsXy | FloatArray, color: Rgb) -> None:
        cv2.fillPoly(self.canvas.samples, [self._samples(points_xy)], (*color, self.surface))

    def line(self, points_xy: PointsXy, width: float, color: Rgb) -> None:
        """A line through the points with round ends."""
        thick = max(1, round(width * self.scale))
        cv2.polylines(self.canvas.samples, [self._samples(points_xy)], False, (*color, self.surface), thick)

    def disc(self, x: float, y: float, radius: float, color: Rgb) -> None:
        self.fill(CIRCLE * radius + (x, y), color)

    def cast(self, points_xy: PointsXy | FloatArray, light: Light) -> None:
        """Lay the shadow of the convex shape around the points on the ground."""
        metres = np.asarray(points_xy) * self._to_metres
        self.canvas.cast(self.x + metres[:, 0], metres[:, 1], np.full(len(metres), self.z), light)

    def _samples(self, points_xy: PointsXy | FloatArray) -> Array:
        samples: Array = np.rint(np.asarray(points_xy) * self._to_samples + self._foot).astype(np.int32)
        return samples
