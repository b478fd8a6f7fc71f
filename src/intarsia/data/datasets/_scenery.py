"""Renders one scene of a street or park with its complete truth."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from intarsia.core import Array, BoolArray, FloatArray
from intarsia.data.datasets._scenery_buildings import paint_buildings
from intarsia.data.datasets._scenery_cars import paint_car
from intarsia.data.datasets._scenery_chance import Dice, smooth_noise
from intarsia.data.datasets._scenery_figures import paint_bicycle, paint_person, paint_sign
from intarsia.data.datasets._scenery_ground import ground_places, paint_ground, paint_sky
from intarsia.data.datasets._scenery_layout import Place, draw_camera, draw_street, place_things, place_trees
from intarsia.data.datasets._scenery_light import Light, draw_light
from intarsia.data.datasets._scenery_space import (
    BICYCLE,
    BUILDING,
    CAR,
    GRASS,
    PAVEMENT,
    PERSON,
    ROAD,
    SIGN,
    SKY,
    SUPERSAMPLE,
    TREE,
    Camera,
    Canvas,
)
from intarsia.data.datasets._scenery_trees import paint_backdrop, paint_tree

__all__ = ["Scene", "boundary_of", "render_scene"]

_PAINT_FIGURE = {PERSON: paint_person, BICYCLE: paint_bicycle, SIGN: paint_sign}

# How strongly the three scales of texture show on each class: (fine, middle, coarse), as a share of brightness;
# each scene has more or less of each.
_TEXTURE = np.zeros((10, 3), np.float32)
_TEXTURE[[SKY, BUILDING, ROAD, PAVEMENT, GRASS, TREE]] = [
    (0.0, 0.0, 0.02), (0.05, 0.04, 0.06), (0.05, 0.02, 0.06), (0.05, 0.03, 0.06), (0.1, 0.1, 0.12), (0.1, 0.18, 0.08),
]  # fmt: skip
_TEXTURE[[PERSON, CAR, BICYCLE, SIGN]] = [(0.03, 0.06, 0.04), (0.02, 0.02, 0.05), (0.03, 0.03, 0.04), (0.02, 0.03, 0.04)]


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and everything that is true about it; the truth of a pixel is that of its centre.

    Args:
        image: (H, W, 3) uint8 RGB.
        semantic: (H, W) uint8 class ids.
        instance: (H, W) uint16 numbers of things, 1..Q from far to near, 0 on stuff.
        class_of_instance: (Q,) uint8, the class of thing q + 1.
        depth_m: (H, W) float32 distance ahead of the camera (Z, not the length of the line of sight); the sky is at 1000 m.
        boundary: (H, W) bool, pixels with one of 4 neighbours in another class or another thing.
    """

    image: Array
    semantic: Array
    instance: Array
    class_of_instance: Array
    depth_m: FloatArray
    boundary: BoolArray


def render_scene(rng: np.random.Generator, size_hw: tuple[int, int]) -> Scene:
    """Draw a scene at random and render it; the same generator state gives the same scene, byte for byte.

    The painter's algorithm, back to front, on a canvas `SUPERSAMPLE` times as fine as the image.
    """
    dice = Dice(rng, 128)
    light = draw_light(dice)
    street = draw_street(dice)
    camera = draw_camera(dice, street, size_hw)
    background = Canvas(camera)
    paint_sky(background, rng, light)
    paint_ground(background, rng, street)
    paint_backdrop(background, Dice(rng))
    paint_buildings(background, rng, street, light)
    trees = place_trees(rng, dice, camera, street)
    things = place_things(rng, dice, camera, street, trees)
    # A thing of which occlusion has left less than this many pixels is taken away, so that every thing can be seen.
    least = max(2, round(14 * (min(size_hw) / 128) ** 2))
    while True:
        things.sort(key=lambda place: -place.z)
        canvas = background.copy()
        _paint_places(canvas, trees, things, light)
        surface = canvas.samples[SUPERSAMPLE // 2 :: SUPERSAMPLE, SUPERSAMPLE // 2 :: SUPERSAMPLE, 3]
        instance = np.array([s.instance for s in canvas.surfaces], np.uint16)[surface]
        visible = np.bincount(instance.ravel(), minlength=len(things) + 1)[1:]
        if visible.min(initial=least) >= least:
            break
        things = [thing for thing, pixels in zip(things, visible, strict=True) if pixels >= least]
    semantic = np.array([s.class_id for s in canvas.surfaces], np.uint8)[surface]
    depth = _depth(canvas, surface)
    image = _develop(canvas, rng, light, semantic, depth)
    classes = np.array([thing.class_id for thing in things], np.uint8)
    return Scene(image, semantic, instance, classes, depth, boundary_of(semantic, instance))


def _paint_places(canvas: Canvas, trees: list[Place], things: list[Place], light: Light) -> None:
    number = {id(thing): index + 1 for index, thing in enumerate(things)}
    for place in sorted([*trees, *things], key=lambda place: -place.z):
        place.dice.again()
        if place.class_id == TREE:
            paint_tree(canvas, place.dice, place.x, place.z, light)
        elif place.shape is not None:
            paint_car(canvas, place.dice, number[id(place)], place.shape, place.u, place.v, place.ahead, light)
        else:
            _PAINT_FIGURE[place.class_id](canvas, place.dice, number[id(place)], place.x, place.z, light)


def boundary_of(semantic: Array, instance: Array) -> BoolArray:
    """(H, W) bool: pixels with one of 4 neighbours in another class or another thing."""
    region = semantic.astype(np.int32) + 256 * instance.astype(np.int32)
    boundary = np.zeros(region.shape, np.bool_)
    for here, there in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differs = region[here] != region[there]
        boundary[here] |= differs
        boundary[there] |= differs
    return boundary


def _depth(canvas: Canvas, surface: Array) -> FloatArray:
    """Distance of each pixel's centre from the plane of its surface."""
    camera = canvas.camera
    planes = np.array([s.plane for s in canvas.surfaces], np.float32)
    height, width = surface.shape
    x = ((np.arange(width) * SUPERSAMPLE + SUPERSAMPLE // 2 - camera.center_x) / camera.focal).astype(np.float32)
    y = ((camera.horizon - (np.arange(height) * SUPERSAMPLE + SUPERSAMPLE // 2)) / camera.focal).astype(np.float32)
    of_pixel = planes[surface]
    inverse = of_pixel[..., 0] * x + of_pixel[..., 1] * y[:, None] + of_pixel[..., 2]
    depth: FloatArray = (1 / np.clip(inverse, 1e-3, 10)).astype(np.float32)
    return depth


def _develop(canvas: Canvas, rng: np.random.Generator, light: Light, semantic: Array, depth: FloatArray) -> Array:
    """Texture, shadow, air, light and grain over the painted colours."""
    size_hw = height, width = semantic.shape
    painted = cv2.resize(canvas.samples, (width, height), interpolation=cv2.INTER_AREA)[..., :3].astype(np.float32)
    aspect = width / height
    brightness = np.full(size_hw, rng.uniform(0.88, 1.08), np.float32)  # the exposure
    texture = _TEXTURE * rng.uniform(0.5, 1.6, _TEXTURE.shape).astype(np.float32)
    for column, cells in enumerate((min(height, 240), 40, 7)):
        grid = (cells, max(2, round(cells * aspect)))
        brightness += smooth_noise(rng, grid, size_hw) * texture[:, column][semantic]
    _lay_slabs(canvas.camera, semantic, brightness)
    soft = max(3, height // 64 * 2 + 1)
    shadow = cv2.blur(canvas.shadow, (soft, soft))
    ground = (semantic == ROAD) | (semantic == PAVEMENT) | (semantic == GRASS)
    brightness *= 1 - np.where(ground, shadow, 0).astype(np.float32) / 255
    painted *= brightness[..., None]
    air = np.where(semantic == SKY, 0, 1 - np.exp(-depth / light.haze_m))[..., None].astype(np.float32)
    painted += (np.array(light.horizon, np.float32) - painted) * air
    painted *= np.array(light.tint, np.float32)
    grain = light.grain * np.sqrt(0.4 + painted.clip(0) / 213)  # shot noise on top of read noise
    painted += rng.standard_normal(painted.shape, np.float32) * grain
    return np.clip(np.rint(painted), 0, 255).astype(np.uint8)


def _lay_slabs(camera: Camera, semantic: Array, brightness: FloatArray) -> None:
    """Joints between paving slabs, fading where they come too close for the image."""
    height, width = semantic.shape
    rows = np.arange(height) * SUPERSAMPLE + SUPERSAMPLE // 2
    rows = rows[rows > camera.horizon + 2 * SUPERSAMPLE]
    first = height - len(rows)
    across, along = ground_places(camera, rows, np.arange(width) * SUPERSAMPLE + SUPERSAMPLE // 2)
    pixel_m = (camera.eye_m / (rows - camera.horizon) * SUPERSAMPLE).astype(np.float32)[:, None]
    joint = ((across % 0.9) < pixel_m) | ((along % 0.9) < pixel_m)
    strength = np.clip(0.16 - pixel_m * 0.6, 0, 0.12) * (joint & (semantic[first:] == PAVEMENT))
    brightness[first:] *= 1 - strength
