"""Trees, and the far roofs and woods that close the view."""

from __future__ import annotations

import math

import numpy as np

from intarsia.data.datasets._scenery_buildings import FACADES
from intarsia.data.datasets._scenery_chance import Dice
from intarsia.data.datasets._scenery_light import Light, Rgb, mix, shade
from intarsia.data.datasets._scenery_space import BUILDING, CIRCLE, TREE, Canvas, Pen

__all__ = ["paint_backdrop", "paint_tree"]

LEAVES: tuple[Rgb, ...] = (
    (84, 122, 64), (66, 106, 70), (112, 140, 70), (134, 146, 78), (96, 132, 84),
    (190, 128, 62), (172, 92, 60), (204, 168, 84), (220, 172, 174),
)  # fmt: skip
BARK: tuple[Rgb, ...] = ((104, 82, 66), (92, 80, 72), (128, 110, 92), (190, 184, 174))


def paint_backdrop(canvas: Canvas, dice: Dice) -> None:
    """A skyline and a wood on the horizon, either of which may be missing."""
    camera = canvas.camera
    for class_id, depth, tall in ((BUILDING, 130.0, dice.uniform(6, 18)), (TREE, 95.0, dice.uniform(4, 8))):
        if dice.chance(0.2):
            continue
        pen = Pen(canvas, class_id, 0.0, depth)
        reach = camera.size_hw[1] / camera.focal * depth * 0.55
        outline = [(0.0, 1.0), (1.0, 1.0)] if class_id == BUILDING else [(0.05, 0.8), (0.3, 1.0), (0.7, 1.0), (0.95, 0.8)]
        at, points = -reach, [(-reach, 0.0)]
        while at < reach:
            wide, high = dice.uniform(8, 22) * max(1.0, reach / 90), tall * dice.uniform(0.4, 1.0)
            points += [(at + wide * x, high * y) for x, y in outline]
            at += wide
        pen.fill([*points, (at, 0.0)], dice.tone(dice.pick(FACADES if class_id == BUILDING else LEAVES[:5])))


def paint_tree(canvas: Canvas, dice: Dice, x: float, z: float, light: Light) -> None:
    """A round, a tall or a needle tree whose foot stands at (x, z); its crown is lighter towards the sun."""
    pen = Pen(canvas, TREE, x, z)
    kind = dice.pick(("round", "round", "tall", "needle"))
    height = dice.uniform(5.0, 8.5)
    trunk = height * dice.uniform(0.28, 0.38)
    bark, leaf = dice.tone(dice.pick(BARK)), dice.tone(dice.pick(LEAVES if kind != "needle" else LEAVES[:2]))
    pen.fill([(-0.24, 0.0), (0.24, 0.0), (0.14, trunk + 1), (-0.14, trunk + 1)], shade(bark, 0.9))
    pen.fill([(0.0, 0.0), (light.side * 0.24, 0.0), (light.side * 0.14, trunk + 1), (0.0, trunk + 1)], shade(bark, 1.15))
    dark, pale = shade(leaf, 0.8), mix(shade(leaf, 1.12), (250, 240, 190), 0.12)
    if kind == "needle":
        wide = height * dice.uniform(0.2, 0.26)
        for tier in range(3):
            low = trunk * 0.6 + (height - trunk * 0.6) * tier * 0.27
            half, tip = wide * (1 - 0.24 * tier), min(height, low + height * 0.46)
            pen.fill([(-half, low), (half, low), (0.0, tip)], dark)
            pen.fill([(half * 0.15, low), (half * light.side, low), (0.0, tip)], shade(leaf, 0.98))
        outline = np.array([(-wide, trunk * 0.6), (wide, trunk * 0.6), (0.0, height)])
    else:
        middle, high = (height + trunk) / 2, (height - trunk) / 2 + 0.3
        wide = high * (dice.uniform(0.95, 1.3) if kind == "round" else dice.uniform(0.5, 0.62))
        lobes, phase, depth = dice.integer(5, 8), dice.uniform(0, math.tau), dice.uniform(0.08, 0.16)
        angle = np.arange(48) * (math.tau / 48)
        # |sin| has round lobes with sharp notches between them, as the outline of foliage has.
        radius = 1 - depth + depth * 2 * (np.abs(np.sin(angle * lobes / 2 + phase)) - 0.5)
        crown = np.stack([np.cos(angle), np.sin(angle)], -1) * radius[:, None]
        for size, color in ((1.0, dark), (0.78, leaf), (0.45, pale)):
            shift = (1 - size) * 0.75
            pen.fill(crown * (wide * size, high * size) + (light.side * shift * wide * 0.8, middle + shift * high * 0.8), color)
            crown = crown[:, ::-1]  # turned, so that the lobes of the layers do not line up
        outline = CIRCLE * (wide * 0.9, high * 0.9) + (0.0, middle)
    pen.cast(outline, light)
    pen.cast([(-0.25, 0.0), (0.25, 0.0), (0.0, trunk * 1.2)], light)
