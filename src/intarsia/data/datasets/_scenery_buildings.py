"""Houses along the street, with roofs, gables, chimneys, windows, doors, shops and awnings."""

from __future__ import annotations

import math

import numpy as np

from intarsia.core import FloatArray
from intarsia.data.datasets._scenery_chance import Dice
from intarsia.data.datasets._scenery_layout import Street
from intarsia.data.datasets._scenery_light import PAINTS, Light, Rgb, mix, shade
from intarsia.data.datasets._scenery_space import BUILDING, EDGE_ON_M, SUPERSAMPLE, Canvas

__all__ = ["FACADES", "paint_buildings"]

FACADES: tuple[Rgb, ...] = (
    (218, 202, 176), (200, 160, 118), (172, 98, 80), (150, 80, 68), (208, 164, 140), (152, 162, 170), (182, 184, 182),
    (230, 224, 214), (138, 150, 124), (198, 172, 104), (110, 124, 144), (124, 104, 90), (176, 188, 200), (206, 182, 178),
)  # fmt: skip
ROOFS: tuple[Rgb, ...] = ((128, 78, 64), (90, 88, 94), (152, 104, 82), (108, 98, 92), (92, 104, 92))
TRIM: Rgb = (236, 230, 218)
LAMPLIGHT: Rgb = (255, 226, 160)


def paint_buildings(canvas: Canvas, rng: np.random.Generator, street: Street, light: Light) -> None:
    """Rows of houses, the far ones first."""
    houses = []
    for front, detached in street.rows:
        dice = Dice(rng)
        v = -50.0 - dice.uniform(0, 6)
        while v < 70:
            length = dice.uniform(7, 13)
            houses.append(_House(canvas, Dice(rng), light, front, v, v + length))
            v += length + (dice.uniform(2, 5) if detached else 0.0)
    for house in sorted(houses, key=lambda house: -house.distance):
        house.paint()


class _House:
    """One house: its front is the rectangle from `start` to `end` (v) at u = `front`, and it stands away from the road."""

    def __init__(self, canvas: Canvas, dice: Dice, light: Light, front: float, start: float, end: float) -> None:
        self.canvas, self.camera, self.dice, self.light = canvas, canvas.camera, dice, light
        self.front, self.start, self.end = front, start, end
        self.outward = math.copysign(1.0, front)
        self.back = front + self.outward * dice.uniform(6, 9)
        self.distance = math.hypot(front - self.camera.eye_u, max(start, -end, 0.0))
        self.floors, self.floor_m = dice.integer(1, 4), dice.uniform(2.8, 3.3)
        self.top = self.floors * self.floor_m + 0.5
        self.ridge = self.top + dice.uniform(1.8, 3.2) if dice.chance(0.6) else None
        self.wall = dice.tone(dice.pick(FACADES))
        self.brightness = light.on_face(-self.outward * self.camera.cos, self.outward * self.camera.sin)

    def paint(self) -> None:
        camera = self.camera
        # Only the part before the camera, from a distance on at which the projection is tame.
        near = camera.nearest_m * 0.6
        self.low, self.high = self.start, self.end
        if abs(camera.cos) > 1e-3:
            sideways = max((u - camera.eye_u) * camera.sin for u in (self.front, self.back))
            crossing = (near + sideways) / camera.cos
            self.low, self.high = (max(self.low, crossing), self.high) if camera.cos > 0 else (self.low, min(self.high, crossing))
        if self.high - self.low < 0.2 or camera.place(self.front, (self.low + self.high) / 2)[1] < near:
            return
        corners = camera.project_street(np.repeat((self.front, self.back), 2), np.tile((self.low, self.high), 2), 0.0)
        if corners[:, 0].max() < 0 or corners[:, 0].min() > camera.size_hw[1]:
            return
        self.canvas.cast_box((self.front, self.back), (self.low, self.high), self.top, self.light)
        self._paint_gable()
        if self.ridge is not None:
            self._paint_roof(self.ridge)
        self.surface = self.canvas.add(BUILDING, camera.plane(1, 0, 0, self.front))
        self._block(self.low, self.high, 0, self.top, self.wall)
        self._block(self.low, self.high, 0, 0.45, shade(self.wall, 0.8))
        if self.ridge is None:
            self._block(self.low, self.high, self.top - 0.4, self.top, mix(self.wall, TRIM, 0.45))
        closest = min(camera.place(self.front, v)[1] for v in (self.low, self.high))
        if camera.focal / closest > 1.6 * SUPERSAMPLE:  # else a window would be smaller than two pixels
            self._paint_openings(camera.focal / closest)

    def _paint_gable(self) -> None:
        """The end wall that looks towards the camera."""
        end = self.low if self.low == self.start > EDGE_ON_M else self.high if self.high == self.end < -EDGE_ON_M else None
        if end is None:
            return
        towards = math.copysign(1.0, -end)
        brightness = 0.94 * self.light.on_face(towards * self.camera.sin, towards * self.camera.cos)
        u, y = [self.front, self.back, self.back, self.front], [0.0, 0.0, self.top, self.top]
        if self.ridge is not None:
            u.insert(3, (self.front + self.back) / 2)
            y.insert(3, self.ridge)
        surface = self.canvas.add(BUILDING, self.camera.plane(0, 1, 0, end))
        self.canvas.fill(self.camera.project_street(np.array(u), end, np.array(y)), shade(self.wall, brightness), surface)

    def _paint_roof(self, ridge: float) -> None:
        camera, dice = self.camera, self.dice
        middle = (self.front + self.back) / 2
        color = shade(dice.tone(dice.pick(ROOFS)), 0.2 + 0.8 * self.brightness)
        if dice.chance(0.6):
            at = self.low + (self.high - self.low) * dice.uniform(0.15, 0.8)
            v, y = np.array((at, at + 0.9, at + 0.9, at)), np.array((ridge - 0.8, ridge - 0.8, ridge + 0.9, ridge + 0.9))
            surface = self.canvas.add(BUILDING, camera.plane(1, 0, 0, middle))
            self.canvas.fill(camera.project_street(middle, v, y), mix(color, shade(self.wall, self.brightness), 0.4), surface)
        # The slope from the eaves (a little before the wall and below its top) to the ridge.
        eaves, low = self.front - self.outward * 0.35, self.top - 0.3
        rise, run = ridge - low, middle - eaves
        if camera.eye_m - low - rise / run * (camera.eye_u - eaves) < EDGE_ON_M:
            return  # the slope is seen from below, that is not at all
        surface = self.canvas.add(BUILDING, camera.plane(rise, 0, -run, rise * eaves - run * low))
        u, y = np.array((eaves, eaves, middle, middle)), np.array((low, low, ridge, ridge))
        self.canvas.fill(camera.project_street(u, np.array((self.low, self.high, self.high, self.low)), y), color, surface)

    def _block(self, start: float, end: float, bottom: float, top: float, color: Rgb) -> None:
        """A rectangle on the front wall."""
        self._blocks(np.array([(start, end, bottom, top)]), color)

    def _blocks(self, boxes: FloatArray, color: Rgb, *, glows: bool = False) -> None:
        """Rectangles (M, 4) on the front wall: start and end along the street, bottom and top."""
        boxes = boxes[(boxes[:, 1] > self.low) & (boxes[:, 0] < self.high)]
        if len(boxes):
            v, y = np.clip(boxes[:, [0, 1, 1, 0]], self.low, self.high), boxes[:, [2, 2, 3, 3]]
            points = self.camera.project_street(self.front, v, y)
            self.canvas.fill(points, color if glows else shade(color, self.brightness), self.surface)

    def _paint_openings(self, scale: float) -> None:
        """Windows, a door, perhaps a shop; `scale` is the samples that a metre has where the front is closest."""
        dice = self.dice
        columns = max(1, int((self.end - self.start - 1) / dice.uniform(2.2, 3.2)))
        pitch = (self.end - self.start) / columns
        wide, tall, sill = min(dice.uniform(1.1, 1.5), pitch * 0.6), dice.uniform(1.3, 1.7), dice.uniform(0.8, 1.0)
        middles = (self.start + (np.arange(columns) + 0.5) * pitch).tolist()
        door, shop = dice.integer(0, columns - 1), dice.chance(0.35) and self.floors > 1
        windows = np.array(
            [
                (middle - wide / 2, middle + wide / 2, floor * self.floor_m + sill, floor * self.floor_m + sill + tall)
                for floor in range(1 if shop else 0, self.floors)
                for column, middle in enumerate(middles)
                if floor or column != door
            ]
        ).reshape(-1, 4)
        glass = mix((70, 82, 96), self.light.horizon, dice.uniform(0.0, 0.35))
        frame = mix(TRIM, dice.pick(PAINTS), 0.0 if dice.chance(0.6) else 0.7)
        if dice.chance(0.3):
            shutter = min(0.5 * wide, (pitch - wide) / 2 - 0.05)
            self._blocks(windows + np.array((-shutter, shutter, 0, 0)), dice.tone(dice.pick(PAINTS)))
        self._blocks(windows + np.array((-0.14, 0.14, -0.14, 0.14)), frame)
        self._blocks(windows, glass)
        lit = np.array([dice.chance(self.light.lit_windows) for _ in windows], bool)
        self._blocks(windows[lit], LAMPLIGHT, glows=True)
        if wide * scale > 9 * SUPERSAMPLE:  # near enough for glazing bars
            bars = windows.copy()
            bars[:, :2] = windows[:, :2].mean(1, keepdims=True) + np.array((-0.05, 0.05))
            self._blocks(bars, frame)
        if shop:
            pane = mix(glass, LAMPLIGHT, 0.7 if self.light.lit_windows > 0.3 else 0.0)
            self._block(self.start + 0.5, self.end - 0.5, 0.6, 2.5, pane)
            self._paint_awning(self.start + 0.3, self.end - 0.3)
        self._block(middles[door] - 0.65, middles[door] + 0.65, 0, 2.35, frame)
        self._block(middles[door] - 0.5, middles[door] + 0.5, 0, 2.2, dice.tone(dice.pick(PAINTS)))

    def _paint_awning(self, start: float, end: float) -> None:
        edges = np.linspace(start, end, 2 * max(2, round((end - start) / 1.4)) + 1)
        stripes = np.stack([edges[:-1], edges[1:], np.full(len(edges) - 1, 2.2), np.full(len(edges) - 1, 3.0)], -1)
        self._blocks(stripes[::2], self.dice.tone(self.dice.pick(PAINTS)))
        self._blocks(stripes[1::2], TRIM)
