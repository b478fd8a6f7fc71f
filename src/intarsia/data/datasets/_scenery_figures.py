"""People, bicycles and signs: figures drawn on upright boards that face the camera."""

from __future__ import annotations

import math

import numpy as np

from intarsia.data.datasets._scenery_chance import Dice
from intarsia.data.datasets._scenery_light import PAINTS, Light, Rgb, mix, shade
from intarsia.data.datasets._scenery_space import BICYCLE, CIRCLE, PERSON, SIGN, Canvas, Pen

__all__ = ["paint_bicycle", "paint_person", "paint_sign"]

SKIN: tuple[Rgb, ...] = ((236, 196, 170), (214, 168, 136), (176, 126, 96), (132, 90, 68), (98, 68, 54))
HAIR: tuple[Rgb, ...] = ((58, 48, 44), (96, 70, 50), (168, 124, 76), (198, 176, 140), (150, 144, 140), (126, 66, 48))
WHITE: Rgb = (240, 236, 228)
DARK: Rgb = (48, 48, 52)


def paint_person(canvas: Canvas, dice: Dice, instance: int, x: float, z: float, light: Light) -> None:
    """Someone who stands or walks: a grown-up or a child, in trousers, a skirt or a coat, perhaps with a bag or a hat."""
    size = dice.uniform(0.92, 1.06) if dice.chance(0.8) else dice.uniform(0.66, 0.78)
    pen = Pen(canvas, PERSON, x, z, instance, size=size)
    turn = dice.pick((-1.0, 1.0))
    skin, hair = dice.pick(SKIN), dice.pick(HAIR)
    top, bottom, shoes = dice.tone(dice.pick(PAINTS)), dice.tone(dice.pick(PAINTS)), dice.pick((DARK, (96, 70, 56), WHITE))
    dress = dice.pick(("trousers", "trousers", "skirt", "coat"))
    stride = dice.uniform(0.05, 0.26) if dice.chance(0.65) else 0.0
    swing = stride * 0.9

    bare = skin if dress == "skirt" and dice.chance(0.5) else bottom
    for side, tone in ((-1.0, 0.82), (1.0, 1.0)):  # the far leg and arm a little darker
        foot = side * turn * (0.09 + stride)
        pen.line([(side * turn * 0.09, 0.86), (side * turn * (0.1 + stride * 0.55), 0.45), (foot, 0.1)], 0.17, shade(bare, tone))
        pen.line([(foot - 0.02 * turn, 0.05), (foot + 0.12 * turn, 0.05)], 0.11, shade(shoes, tone))
    arm = [(-0.24 * turn, 1.36), (-0.3 * turn - swing * turn * 0.6, 1.08), (-0.27 * turn - swing * turn, 0.84)]
    pen.line(arm, 0.13, shade(top, 0.82))
    hem, flare = {"trousers": (0.82, 0.2), "skirt": (0.84, 0.2), "coat": (0.52, 0.29)}[dress]
    body = np.array(
        [(-0.16, 1.47), (0.16, 1.47), (0.27, 1.38), (0.22, 1.05), (flare, hem), (-flare, hem), (-0.22, 1.05), (-0.27, 1.38)]
    )
    if dress == "skirt":
        pen.fill([(-0.19, 0.95), (0.19, 0.95), (0.32, 0.5), (-0.32, 0.5)], bottom)
    pen.fill(body, top)
    half = body.copy()
    half[:, 0] = np.maximum(half[:, 0] * -light.side, 0.04) * -light.side
    pen.fill(half, shade(top, 0.84))
    front = [(0.25 * turn, 1.36), (0.31 * turn + swing * turn * 0.4, 1.1), (0.27 * turn + swing * turn, 0.86)]
    pen.line(front, 0.13, shade(top, 1.08))
    pen.disc(front[-1][0], front[-1][1] - 0.04, 0.07, skin)
    if dice.chance(0.3):  # a bag in the front hand
        hand_x, bag = front[-1][0], dice.pick(PAINTS)
        pen.fill([(hand_x - 0.15, 0.76), (hand_x + 0.15, 0.76), (hand_x + 0.18, 0.44), (hand_x - 0.18, 0.44)], bag)
    pen.line([(0.0, 1.44), (0.0, 1.55)], 0.13, shade(skin, 0.86))
    pen.disc(-0.02 * turn, 1.68, 0.175, hair)
    if dice.chance(0.3):
        pen.fill(CIRCLE * (0.16, 0.26) + (-0.06 * turn, 1.56), hair)
    pen.disc(0.03 * turn, 1.645, 0.15, skin)
    for eye_x in (0.0, 0.11) if pen.scale > 60 else ():
        pen.disc(eye_x * turn, 1.66, 0.02, DARK)
    if dice.chance(0.25):  # a hat or a cap
        cloth = dice.pick(PAINTS)
        pen.fill(np.clip(CIRCLE, (-1, 0), (1, 1)) * (0.18, 0.2) + (0.0, 1.7), cloth)
        pen.line([(-0.16, 1.71), (0.16 + 0.1 * turn, 1.71)], 0.05, shade(cloth, 0.85))
    else:
        pen.fill(np.clip(CIRCLE, (-1, 0.1), (1, 1)) * (0.17, 0.15) + (0.0, 1.7), hair)
    pen.cast([(-0.2, 0.0), (0.2, 0.0), (-0.3, 1.0), (0.3, 1.0), (-0.25, 1.4), (0.25, 1.4), (0.0, 1.8)], light)


def paint_bicycle(canvas: Canvas, dice: Dice, instance: int, x: float, z: float, light: Light) -> None:
    """A parked bicycle. Its spokes run together into a disc that is part of it; the frame is open."""
    squeeze = dice.uniform(0.78, 1.0) * dice.pick((-1.0, 1.0))
    pen = Pen(canvas, BICYCLE, x, z, instance, squeeze=squeeze)
    frame, tyre = dice.tone(dice.pick(PAINTS)), dice.tone(dice.pick((DARK, DARK, (92, 84, 78))))
    spokes = mix(dice.tone((176, 178, 176)), dice.pick(PAINTS), 0.25)
    rear, front, radius = (-0.56, 0.36), (0.56, 0.36), 0.36
    for hub in (rear, front):
        pen.disc(*hub, radius, tyre)
        pen.disc(*hub, radius - 0.085, spokes)
        for angle in (0.3, 1.35, 2.4):
            dx, dy = math.cos(angle) * 0.27, math.sin(angle) * 0.27
            pen.line([(hub[0] - dx, hub[1] - dy), (hub[0] + dx, hub[1] + dy)], 0.02, shade(spokes, 0.75))
        pen.disc(*hub, 0.06, tyre)
    crank, seat, head = (-0.1, 0.34), (-0.24, 0.86), (0.38, 0.88)
    pen.line([rear, crank, seat, rear], 0.075, shade(frame, 0.88))
    pen.line([seat, head, crank], 0.085, frame)
    if dice.chance(0.35):  # a frame with a low step, its triangle filled by a skirt guard
        pen.fill([rear, seat, crank], shade(frame, 0.8))
    pen.line([front, head, (0.33, 1.04)], 0.08, frame)
    pen.line([(0.2, 1.08), (0.34, 1.04), (0.44, 1.06)], 0.07, DARK)
    pen.line([seat, (-0.27, 0.98)], 0.06, DARK)
    pen.line([(-0.4, 1.0), (-0.14, 0.99)], 0.1, dice.pick((DARK, (112, 76, 56))))
    pen.disc(*crank, 0.1, shade(tyre, 1.3))
    if dice.chance(0.4):
        pen.fill([(0.42, 0.72), (0.74, 0.72), (0.8, 1.0), (0.38, 1.0)], dice.tone((176, 140, 92)))
    for hub in (rear, front):
        pen.cast(CIRCLE * radius + hub, light)
    pen.cast([rear, head, seat, crank], light)


def paint_sign(canvas: Canvas, dice: Dice, instance: int, x: float, z: float, light: Light) -> None:
    """A traffic or park sign on a post."""
    pen = Pen(canvas, SIGN, x, z, instance)
    kind = dice.pick(("ring", "disc", "triangle", "octagon", "square", "arrow"))
    center, half = dice.uniform(1.9, 2.3), dice.uniform(0.44, 0.56)
    post = dice.tone(dice.pick(((150, 152, 156), (112, 114, 118), (124, 100, 78))))
    pen.line([(0.0, 0.0), (0.0, center)], 0.14, shade(post, 0.85))
    pen.line([(light.side * 0.03, 0.0), (light.side * 0.03, center)], 0.05, shade(post, 1.15))
    plate = CIRCLE * half
    if kind == "triangle":
        plate = np.array([(-1.05, -0.7), (1.05, -0.7), (0.0, 1.1)]) * half
    elif kind == "octagon":
        angle = np.arange(8) * (math.tau / 8) + math.tau / 16
        plate = np.stack([np.cos(angle), np.sin(angle)], -1) * half * 1.05
    elif kind == "square":
        plate = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half * 0.92
    elif kind == "arrow":
        plate = np.array([(-1.5, -0.6), (0.9, -0.6), (1.5, 0.0), (0.9, 0.6), (-1.5, 0.6)]) * half * (dice.pick((-1, 1)), 1)
    strong = dice.tone(dice.pick((PAINTS[0], PAINTS[0], PAINTS[2], PAINTS[3], PAINTS[6], PAINTS[11])))
    pale = dice.tone(dice.pick((WHITE, WHITE, PAINTS[10])), 0.05)
    # Pale with a broad strong rim and a dark symbol, or strong with a narrow pale rim and a pale symbol.
    rimmed, middle = kind in ("ring", "triangle"), np.array((0.0, center))
    pen.fill(plate + middle, strong if rimmed else pale)
    pen.fill(plate * (0.7 if rimmed else 0.86) + middle, pale if rimmed else strong)
    _paint_symbol(pen, dice, center, half, kind, DARK if rimmed else pale)
    pen.cast(plate + middle, light)
    pen.cast([(-0.06, 0.0), (0.06, 0.0), (0.06, center), (-0.06, center)], light)


def _paint_symbol(pen: Pen, dice: Dice, center: float, half: float, kind: str, color: Rgb) -> None:
    if kind in ("octagon", "arrow") or dice.chance(0.3):  # a bar, as of a word
        reach = half * {"octagon": 0.6, "arrow": 1.0, "triangle": 0.2}.get(kind, 0.42)
        pen.line([(-reach, center), (reach, center)], half * 0.3, color)
    elif kind == "triangle":
        pen.line([(0.0, center - 0.2 * half), (0.0, center + 0.3 * half)], half * 0.2, color)
    elif kind == "square":
        pen.line([(-0.2 * half, center - 0.5 * half), (-0.2 * half, center + 0.45 * half)], half * 0.26, color)
        pen.disc(0.05 * half, center + 0.22 * half, half * 0.3, color)
    else:  # an arrow up
        pen.line([(0.0, center - 0.45 * half), (0.0, center + 0.2 * half)], half * 0.26, color)
        pen.fill([(-0.38 * half, center + 0.05 * half), (0.38 * half, center + 0.05 * half), (0.0, center + 0.55 * half)], color)
