"""Where everything is: the street, the camera over it, and the places of trees and things."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from intarsia.data.datasets._scenery_cars import CAR_WIDTH_M, CARS, CarShape
from intarsia.data.datasets._scenery_chance import Dice
from intarsia.data.datasets._scenery_space import BICYCLE, CAR, PERSON, SIGN, SUPERSAMPLE, TREE, Camera

Interval = tuple[float, float]
Box = tuple[float, float, float, float]

_BOARD_SIZES_M = {PERSON: (0.7, 1.75), BICYCLE: (1.8, 1.1), SIGN: (1.1, 2.6), TREE: (5.5, 8.0)}
"""Rough width and height of what is drawn on boards."""


@dataclass(frozen=True)
class Street:
    """A straight road with what lies beside it, in metres across the road, negative on the left.

    Args:
        half_road: half the width of the road.
        strips: (left edge, material) from left to right; a material is "road", "pavement", "path" or "lawn".
        lanes: where cars are, walks: where people walk, lawns: where trees grow, kerbs: where signs and bicycles stand.
        paths: the middle of the footpath of each park.
        rows: (front of a row of buildings, whether they stand apart).
    """

    half_road: float
    strips: tuple[tuple[float, str], ...]
    lanes: tuple[Interval, ...]
    walks: tuple[Interval, ...]
    lawns: tuple[Interval, ...]
    kerbs: tuple[Interval, ...]
    paths: tuple[float, ...]
    rows: tuple[tuple[float, bool], ...]


def draw_street(dice: Dice) -> Street:
    """A street with houses, gardens or a park on either side."""
    half = dice.uniform(2.9, 4.2)
    walks: list[Interval] = []
    lawns: list[Interval] = []
    kerbs: list[Interval] = []
    paths: list[float] = []
    rows: list[tuple[float, bool]] = []
    outward: dict[int, list[tuple[float, str]]] = {}  # (inner edge, material) on each side
    for sign in (-1, 1):

        def between(inner: float, outer: float, sign: int = sign) -> Interval:
            return min(sign * inner, sign * outer), max(sign * inner, sign * outer)

        side = dice.pick(("houses", "gardens", "park", "park"))
        walk_end = half + dice.uniform(2.2, 3.8)
        outward[sign] = [(half, "pavement"), (walk_end, "lawn")]
        walks.append(between(half + 0.9, walk_end - 0.3))
        kerbs.append(between(half + 0.35, half + 0.8))
        if side == "houses":
            rows.append((sign * walk_end, False))
        elif side == "gardens":
            front = walk_end + dice.uniform(4, 8)
            rows.append((sign * front, True))
            lawns.append(between(walk_end + 0.8, front - 0.8))
        else:
            path = walk_end + dice.uniform(4, 9)
            path_end = path + dice.uniform(1.8, 2.6)
            outward[sign] += [(path, "path"), (path_end, "lawn")]
            walks.append(between(path + 0.3, path_end - 0.3))
            paths.append(sign * (path + path_end) / 2)
            lawns += [between(walk_end + 0.8, path - 0.8), between(path_end + 0.8, 34)]
            if dice.chance(0.6):
                rows.append((sign * 38.0, False))
    outer_edges = [edge for edge, _ in outward[-1][1:]] + [math.inf]
    left = [(-outer, material) for outer, (_, material) in zip(outer_edges, outward[-1], strict=True)]
    strips = (*reversed(left), (-half, "road"), *outward[1])
    lanes = ((-half * 0.55, -half * 0.45), (half * 0.45, half * 0.55))
    return Street(half, strips, lanes, tuple(walks), tuple(lawns), tuple(kerbs), tuple(paths), tuple(rows))


def draw_camera(dice: Dice, street: Street, size_hw: tuple[int, int]) -> Camera:
    """A camera that looks along the street, askew, across it from a pavement or a park, or along the footpath of a park."""
    kerb = max(abs(end) for interval in street.kerbs for end in interval)
    path = dice.pick(street.paths) if street.paths else None
    if path is not None and dice.chance(0.35):
        side, eye_u, heading = math.copysign(1.0, path), abs(path) + dice.uniform(-1.5, 1.5), dice.uniform(-15, 20)
    else:
        side, room = (dice.pick((-1.0, 1.0)), 1.2) if path is None else (math.copysign(1.0, path), 8.0)
        view = dice.pick(("along", "askew", "across", "across"))
        if view == "along":
            eye_u, heading = dice.uniform(-0.6, 1.0) * street.half_road, dice.uniform(-18, 14)
        elif view == "askew":
            eye_u, heading = kerb + dice.uniform(-2.0, 0.6 * room), dice.uniform(28, 60)
        else:
            eye_u, heading = kerb + dice.uniform(0.2 * room, room), dice.uniform(76, 100)
    height, width = size_hw[0] * SUPERSAMPLE, size_hw[1] * SUPERSAMPLE
    focal = min(height, 1.5 * width) * dice.uniform(0.92, 1.12)
    horizon, eye_m = height * dice.uniform(0.36, 0.46), dice.uniform(1.7, 2.5)
    turn = math.radians(side * heading)  # from the left of the road (side -1) the way across is to the right, towards +u
    return Camera((height, width), focal, horizon, eye_m, side * eye_u, math.cos(turn), math.sin(turn))


class Place(NamedTuple):
    """Something to paint.

    u, v, x, z: where it stands, in street coordinates and in camera axes. half_z: half its extent in depth.
    box: left, top, right and bottom in the image, roughly. dice: decide what it looks like. shape, ahead: of a car.
    """

    class_id: int
    u: float
    v: float
    x: float
    z: float
    half_z: float
    box: Box
    dice: Dice
    shape: CarShape | None = None
    ahead: float = 1.0


def place_trees(rng: np.random.Generator, dice: Dice, camera: Camera, street: Street) -> list[Place]:
    """Trees on the lawns, and sometimes along the kerbs."""
    zones = [*street.lawns, *(street.kerbs if dice.chance(0.35) else ())]
    count = dice.integer(3, 8)
    trees: list[Place] = []
    for u, v, x, z in _candidates(rng, camera, zones, 40, (camera.nearest_m + 3, 45.0)):
        if len(trees) < count and all(math.hypot(u - tree.u, v - tree.v) > 3 for tree in trees):
            trees.append(_board(TREE, u, v, x, z, camera, Dice(rng)))
    return trees


def place_things(rng: np.random.Generator, dice: Dice, camera: Camera, street: Street, trees: Sequence[Place]) -> list[Place]:
    """Cars in their lanes, people mostly on pavements and paths, bicycles and signs mostly at kerbs."""
    wide = min(2.0, max(1.0, camera.size_hw[1] / camera.size_hw[0]))  # more for wide pictures
    near = camera.nearest_m * 1.02
    lawns = [(max(a, -12.0), min(b, 12.0)) for a, b in street.lawns if a < 12 and b > -12]
    plans = (
        (CAR, dice.integer(1, 3), street.lanes, (near + 2.5, 24.0)),
        (BICYCLE, dice.integer(1, 3), (*street.kerbs, *street.walks, *lawns), (near, 10.0)),
        (PERSON, dice.integer(2, 4), (*street.walks, *street.walks, *lawns, *street.lanes), (near, 15.0)),
        (SIGN, dice.integer(1, 3), (*street.kerbs, *street.kerbs, *lawns), (near + 1, 13.0)),
    )
    things: list[Place] = []
    for class_id, count, zones, reach_m in plans:
        wanted = len(things) + round(count * wide)
        for u, v, x, z in _candidates(rng, camera, zones, round(40 * count * wide), reach_m):
            if len(things) == wanted:
                break
            thing = (
                _car(u, v, x, z, camera, Dice(rng), dice.pick(CARS))
                if class_id == CAR
                else _board(class_id, u, v, x, z, camera, Dice(rng))
            )
            if z - thing.half_z > camera.nearest_m * 0.85 and all(_fit(thing, other) for other in (*trees, *things)):
                things.append(thing)
    return things


def _candidates(
    rng: np.random.Generator, camera: Camera, zones: Sequence[Interval], count: int, reach_m: Interval
) -> Iterator[tuple[float, float, float, float]]:
    """Random places (u, v, x, z) in the zones, `reach_m` away, evenly spread over the width of the picture."""
    if not zones:
        return iter(())
    low, high = np.array(zones).T
    pick, inside, column = rng.random((3, count))
    zone = (pick * len(zones)).astype(int)
    u = low[zone] + (high - low)[zone] * inside
    # Where the line of sight (x = slope * z) crosses the line u.
    slope = (0.96 * column - 0.48) * camera.size_hw[1] / camera.focal
    across = slope * camera.cos - camera.sin
    z = (u - camera.eye_u) / np.where(np.abs(across) < 1e-6, 1e-6, across)
    v = z * (slope * camera.sin + camera.cos)
    keep = (z > reach_m[0]) & (z < reach_m[1])
    return zip(*(values[keep].tolist() for values in (u, v, slope * z, z)), strict=True)


def _board(class_id: int, u: float, v: float, x: float, z: float, camera: Camera, dice: Dice) -> Place:
    width, height = _BOARD_SIZES_M[class_id]
    scale = camera.focal / z
    middle, foot = camera.center_x + x * scale, camera.horizon + camera.eye_m * scale
    box = (middle - width / 2 * scale, foot - height * scale, middle + width / 2 * scale, foot)
    return Place(class_id, u, v, x, z, 0.0, box, dice)


def _car(u: float, v: float, x: float, z: float, camera: Camera, dice: Dice, shape: CarShape) -> Place:
    half_u, half_v = CAR_WIDTH_M / 2, shape.length / 2
    half_z = half_v * abs(camera.cos) + half_u * abs(camera.sin)
    nearest = max(z - half_z, 0.1)
    corners = [camera.place(u + a * half_u, v + b * half_v) for a in (-1, 1) for b in (-1, 1)]
    columns = [camera.center_x + corner_x * camera.focal / max(corner_z, 0.1) for corner_x, corner_z in corners]
    scale = camera.focal / nearest
    top, bottom = camera.horizon + (camera.eye_m - 1.5) * scale, camera.horizon + camera.eye_m * scale
    box = (min(columns), top, max(columns), bottom)
    return Place(CAR, u, v, x, z, half_z, box, dice, shape, -math.copysign(1.0, u))


def _fit(thing: Place, other: Place) -> bool:
    """Whether two do not stand in each other, have a clear order in depth, and the nearer leaves most of the farther in sight."""
    cars = (thing.class_id == CAR) + (other.class_id == CAR)
    if cars:
        if abs(thing.u - other.u) < 1.6 and abs(thing.v - other.v) < 3 * cars:
            return False
    elif math.hypot(thing.u - other.u, thing.v - other.v) < 0.7:
        return False
    wide = min(thing.box[2], other.box[2]) - max(thing.box[0], other.box[0])
    high = min(thing.box[3], other.box[3]) - max(thing.box[1], other.box[1])
    if wide <= 0 or high <= 0:
        return True
    if abs(thing.z - other.z) < thing.half_z + other.half_z:
        return False
    left, top, right, bottom = thing.box if thing.z > other.z else other.box
    return other.class_id == TREE or wide * high < 0.45 * (right - left) * (bottom - top)
