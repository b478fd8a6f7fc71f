"""The sky above and the ground below."""

from __future__ import annotations

import cv2
import numpy as np

from intarsia.core import Array, FloatArray
from intarsia.data.datasets._scenery_chance import Dice, smooth_noise
from intarsia.data.datasets._scenery_layout import Street
from intarsia.data.datasets._scenery_light import Light, Rgb
from intarsia.data.datasets._scenery_space import GRASS, PAVEMENT, ROAD, SKY, SKY_DEPTH_M, SUPERSAMPLE, Camera, Canvas


def paint_sky(canvas: Canvas, rng: np.random.Generator, light: Light) -> None:
    """A gradient with soft clouds, lit from above, thinning towards the horizon."""
    height, width = canvas.shadow.shape
    rows = min(height, int(canvas.camera.horizon / SUPERSAMPLE) + 2)
    zenith, horizon, bright = (np.array(color, np.float32) for color in (light.zenith, light.horizon, light.bright_cloud))
    down = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    cloud = np.zeros((rows, width), np.float32)
    for cells, weight in ((4, 0.55), (9, 0.3), (20, 0.15)):
        cloud += weight * smooth_noise(rng, (cells, max(2, round(cells * 0.7 * width / height))), (rows, width))
    cover = ((cloud - (0.45 - 0.75 * light.cloud)) * 4).clip(0, 1) * (0.85 - 0.6 * down)
    below = np.roll(cloud, -max(1, rows // 16), 0)
    lit = (0.5 - 1.5 * (cloud - below)).clip(0.25, 1)  # the upper side of a cloud is bright
    clear = (zenith + (horizon - zenith) * down**1.3)[:, None]
    sky = np.empty((rows, width, 4), np.float32)
    sky[..., :3] = clear + (zenith + (bright - zenith) * lit[..., None] - clear) * cover[..., None]
    sky[..., 3] = canvas.add(SKY, (0.0, 0.0, 1 / SKY_DEPTH_M))
    samples = canvas.samples[: rows * SUPERSAMPLE]
    cv2.resize(sky.clip(0, 255).astype(np.uint8), samples.shape[1::-1], samples, interpolation=cv2.INTER_LINEAR)


def paint_ground(canvas: Canvas, rng: np.random.Generator, street: Street) -> None:
    """Road with marks and kerbs, pavements and lawns, by looking up where each line of sight meets the ground."""
    camera, dice = canvas.camera, Dice(rng)
    first = max(0, int(camera.horizon) + 1)
    across, along = ground_places(camera, np.arange(first, camera.size_hw[0]), np.arange(camera.size_hw[1]))
    plane = camera.plane(0, 0, 1, 0)
    road, pavement, grass = (canvas.add(class_id, plane) for class_id in (ROAD, PAVEMENT, GRASS))
    paving = dice.tone(dice.pick(((176, 170, 160), (154, 148, 142), (190, 178, 160), (172, 130, 112))), 0.1)
    materials: dict[str, tuple[Rgb, int]] = {
        "road": (dice.tone(dice.pick(((98, 98, 104), (122, 118, 112), (140, 138, 136), (116, 104, 98))), 0.1), road),
        "pavement": (paving, pavement),
        "path": (dice.tone(dice.pick(((190, 168, 132), (168, 150, 128), (140, 116, 92), paving)), 0.08), pavement),
        "lawn": (
            dice.tone(dice.pick(((112, 144, 76), (130, 150, 82), (154, 150, 92), (96, 132, 74), (170, 150, 98))), 0.12),
            grass,
        ),
    }
    # `code` says for each sample which of the `paints` it has.
    paints = [materials[material] for _, material in street.strips]
    code = np.zeros(across.shape, np.uint8)
    for edge, _ in street.strips[1:]:
        code += across >= edge

    def mark(where: Array, color: Rgb, surface: int) -> None:
        np.put(code, where, len(paints))
        paints.append((color, surface))

    white = dice.tone((226, 222, 208), 0.05)
    from_middle = np.abs(across)
    dash, gap = dice.uniform(1.5, 2.5), dice.uniform(1.5, 2.5) * dice.chance(0.8)
    middle = np.flatnonzero(from_middle < 0.09)
    mark(middle[np.take(along, middle) % (dash + gap) < dash], white, road)
    if dice.chance(0.4):  # lines along the kerbs
        mark(np.flatnonzero(np.abs(from_middle - (street.half_road - 0.35)) < 0.06), white, road)
    if dice.chance(0.35):  # a zebra crossing
        start = dice.uniform(5, 14) * (dice.pick((-1, 1)) if abs(camera.sin) > 0.6 else 1)
        crossing = np.flatnonzero((from_middle < street.half_road) & (along > start) & (along < start + 3))
        mark(crossing[np.take(across, crossing) % 1.1 < 0.55], white, road)
    kerb = np.flatnonzero(np.abs(from_middle - (street.half_road + 0.09)) < 0.09)
    mark(kerb, dice.tone((196, 192, 184), 0.06), pavement)
    lookup = np.clip([(*color, surface) for color, surface in paints], 0, 255).astype(np.uint8).view(np.uint32)[:, 0]
    canvas.samples[first:] = np.take(lookup, code).view(np.uint8).reshape(*code.shape, 4)
    _strew_flowers(canvas, Dice(rng, 128), first, grass)


def _strew_flowers(canvas: Canvas, dice: Dice, first: int, lawn: int) -> None:
    camera = canvas.camera
    height, width = camera.size_hw
    petals = dice.tone(dice.pick(((236, 230, 216), (228, 200, 120), (206, 140, 150))))
    for _ in range(dice.pick((0, 30, 60))):
        row, column = int(first + (height - first) * dice.uniform(0.12, 1)), int(width * dice.uniform(0, 1))
        if canvas.samples[row, column, 3] == lawn:
            radius = 0.05 * (row - camera.horizon) / camera.eye_m
            cv2.circle(canvas.samples, (column, row), max(1, round(radius)), (*petals, lawn), -1)


def ground_places(camera: Camera, rows: Array, columns: Array) -> tuple[FloatArray, FloatArray]:
    """Street coordinates u and v, each (h, w) float32, of the ground seen at rows below the horizon and at columns."""
    z = camera.focal * camera.eye_m / (rows - camera.horizon)[:, None].astype(np.float32)
    x = z * ((columns - camera.center_x) / camera.focal).astype(np.float32)
    return x * camera.cos + (camera.eye_u - z * camera.sin), x * camera.sin + z * camera.cos
