"""Cars: a side view drawn out to the width of a car, so that they are seen from any side in true perspective."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from intarsia.core import FloatArray
from intarsia.data.datasets._scenery_chance import Dice
from intarsia.data.datasets._scenery_light import PAINTS, Light, Rgb, mix, shade
from intarsia.data.datasets._scenery_space import CAR, CIRCLE, EDGE_ON_M, Canvas

__all__ = ["CARS", "CAR_WIDTH_M", "CarShape", "paint_car"]

Points = tuple[tuple[float, float], ...]


class CarShape(NamedTuple):
    """A side view in metres, (along, up), the rear bumper at 0.

    outline: from the rear sill over the roof to the front sill. panes: side windows. axles: along.
    glazed: which pieces of the outline are the rear and the front window.
    """

    outline: Points
    panes: tuple[Points, ...]
    axles: tuple[float, float]
    glazed: tuple[int, int]

    @property
    def length(self) -> float:
        return self.outline[-1][0]


CARS = (
    CarShape(
        (
            (0, 0.28),
            (0, 0.84),
            (0.12, 0.98),
            (0.7, 1.02),
            (1.25, 1.44),
            (2.5, 1.46),
            (3.2, 1.02),
            (4.3, 0.86),
            (4.4, 0.7),
            (4.4, 0.28),
        ),
        (((0.95, 1.04), (1.34, 1.36), (1.86, 1.38), (1.86, 1.04)), ((1.98, 1.04), (1.98, 1.38), (2.44, 1.38), (2.98, 1.04))),
        (0.85, 3.55),
        (3, 5),
    ),
    CarShape(
        ((0, 0.28), (0, 0.92), (0.25, 1.1), (0.55, 1.5), (2.0, 1.54), (2.8, 1.06), (3.65, 0.9), (3.8, 0.72), (3.8, 0.28)),
        (((0.5, 1.08), (0.72, 1.42), (1.36, 1.44), (1.36, 1.08)), ((1.48, 1.08), (1.48, 1.44), (1.95, 1.44), (2.58, 1.08))),
        (0.7, 3.05),
        (2, 4),
    ),
    CarShape(
        ((0, 0.3), (0, 1.1), (0.1, 1.96), (3.3, 1.98), (4.05, 1.2), (4.65, 1.05), (4.75, 0.8), (4.75, 0.3)),
        (((2.3, 1.22), (2.3, 1.82), (3.2, 1.82), (3.82, 1.22)),),
        (0.9, 3.85),
        (1, 3),
    ),
)
CAR_WIDTH_M = 1.75
_WHEEL_M = 0.34
_TYRE: Rgb = (42, 42, 46)


def paint_car(canvas: Canvas, dice: Dice, instance: int, shape: CarShape, u: float, v: float, ahead: float, light: Light) -> None:
    """A car whose middle stands at (u, v), its nose towards +v if `ahead` is 1 and -v if it is -1."""
    camera = canvas.camera
    paint, glass = dice.tone(dice.pick(PAINTS)), mix((60, 70, 82), light.horizon, dice.uniform(0.05, 0.3))
    left, right = u - CAR_WIDTH_M / 2, u + CAR_WIDTH_M / 2

    def street(points: FloatArray | Points) -> FloatArray:
        """(v, y) of points of the side view."""
        return (np.asarray(points, np.float64) - (shape.length / 2, 0.0)) * (ahead, 1.0) + (v, 0.0)

    def fill_side(points: FloatArray | Points, color: Rgb) -> None:
        at = street(points)
        canvas.fill(camera.project_street(side, at[:, 0], at[:, 1]), color, surface)

    canvas.cast_box((left, right), (v - shape.length / 2, v + shape.length / 2), 1.0, light)

    for tread in (0.5, shape.length - 0.5):  # the tyres below the body, seen from the rear or the front
        at = float(street(((tread, 0.0),))[0, 0])
        surface = canvas.add(CAR, camera.plane(0, 1, 0, at), instance)
        for inner in (left, right - 0.24):
            across, up = inner + np.array((0.0, 0.24, 0.24, 0.0)), np.array((0.0, 0.0, 0.4, 0.4))
            canvas.fill(camera.project_street(across, at, up), _TYRE, surface)

    # The pieces between the sides that face the camera, far ones first: bumper, boot, windows, roof, bonnet.
    edge = street(shape.outline)
    step, middle = np.diff(edge, axis=0), (edge[:-1] + edge[1:]) / 2
    outward = np.column_stack([-step[:, 1], step[:, 0]]) * ahead / np.hypot(step[:, 0], step[:, 1])[:, None]
    facing = (outward * ((0.0, camera.eye_m) - middle)).sum(1) > EDGE_ON_M
    corners = camera.project_street(np.array((left, right))[:, None], edge[:, 0], edge[:, 1])
    for i in sorted(np.flatnonzero(facing).tolist(), key=lambda i: -abs(middle[i, 0])):
        normal_v, normal_y = outward[i].tolist()
        upright = light.on_face(normal_v * camera.sin, normal_v * camera.cos)
        brightness = upright + (1.12 - upright) * max(0.0, normal_y)
        surface = canvas.add(CAR, camera.plane(0, normal_v, normal_y, float(outward[i] @ edge[i])), instance)
        quad = np.stack([corners[0, i], corners[0, i + 1], corners[1, i + 1], corners[1, i]])
        canvas.fill(quad, shade(paint, brightness), surface)
        if i in shape.glazed:
            canvas.fill(quad.mean(0) + (quad - quad.mean(0)) * 0.84, shade(glass, brightness), surface)
        if i in (0, len(step) - 1):
            _paint_end(canvas, surface, u, float(edge[i, 0]), i == 0, float(edge[i : i + 2, 1].max()), light)

    if left - EDGE_ON_M < camera.eye_u < right + EDGE_ON_M:
        return
    side = left if camera.eye_u < left else right
    surface = canvas.add(CAR, camera.plane(1, 0, 0, side), instance)
    brightness = light.on_face(*(math.copysign(1.0, side - u) * c for c in (camera.cos, -camera.sin)))
    fill_side(shape.outline, shade(paint, brightness))
    fill_side(((0, 0.28), (0, 0.48), (shape.length, 0.48), (shape.length, 0.28)), shade(paint, 0.8 * brightness))
    for pane in shape.panes:
        fill_side(pane, shade(glass, brightness))
    seam = shape.panes[-1][0][0] - 0.06  # of the door, behind the front pane
    fill_side(((seam, 0.5), (seam + 0.035, 0.5), (seam + 0.035, 1.04), (seam, 1.04)), shade(paint, 0.7 * brightness))
    for axle in shape.axles:
        fill_side(np.maximum(CIRCLE * (_WHEEL_M + 0.09) + (axle, _WHEEL_M), (0, 0.28)), shade(paint, 0.55 * brightness))
        fill_side(CIRCLE * _WHEEL_M + (axle, _WHEEL_M), shade(_TYRE, brightness))
        fill_side(CIRCLE * (_WHEEL_M * 0.55) + (axle, _WHEEL_M), shade((172, 174, 176), brightness))


def _paint_end(canvas: Canvas, surface: int, u: float, v: float, rear: bool, top: float, light: Light) -> None:
    """Lights, number plate and bumper on the front or the rear."""
    bright = light.lit_windows > 0.3
    lamp: Rgb = (204, 60, 50) if rear else (255, 246, 214) if bright else (232, 230, 220)
    for start, end, bottom, high, color in (
        (-0.87, 0.87, 0.28, 0.44, (74, 74, 78)),
        (-0.8, -0.45, top - 0.24, top - 0.06, lamp),
        (0.45, 0.8, top - 0.24, top - 0.06, lamp),
        (-0.26, 0.26, 0.46, 0.58, (236, 232, 216)),
    ):
        across, up = np.array((start, end, end, start)) + u, np.array((bottom, bottom, high, high))
        canvas.fill(canvas.camera.project_street(across, v, up), color, surface)
