"""Figures of the data set bodies: a skeleton with random limbs, and the capsules that clothe it.

A body's own axes are left, up and forward; the camera's are x right, y down, z away, in metres. Lengths are shares of the
stature near those of Drillis & Contini 1966 in Winter's "Biomechanics and Motor Control of Human Movement"; radii are ours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from intarsia.core import Array

__all__ = ["JOINTS", "PARTS", "PARTS_OF_JOINT", "Figure", "Skeleton", "clothe", "draw_skeleton"]

_SIGNS = {"left": 1.0, "right": -1.0}
_SIDES = tuple(_SIGNS)
PARTS = (
    "background",
    *(f"{side}_{level}_head" for level in ("upper", "lower") for side in _SIDES),
    "neck",
    *(f"{side}_{part}" for part in ("shoulder", "upper_arm", "elbow", "lower_arm", "wrist", "hand") for side in _SIDES),
    *(f"{side}_{level}_torso" for level in ("upper", "lower") for side in _SIDES),
    *(f"{side}_{part}" for part in ("upper_leg", "knee", "lower_leg", "ankle", "foot") for side in _SIDES),
)
"""The 31 parts of Shotton et al. 2011, behind the background. Left is the person's own."""

JOINTS = (
    "head",
    "neck",
    *(f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist", "hand", "knee", "ankle", "foot") for side in _SIDES),
)
PARTS_OF_JOINT = tuple(
    tuple(i for i, part in enumerate(PARTS) if part == joint or (joint == "head" and part.endswith("_head"))) for joint in JOINTS
)
"""Ids of the parts that a joint is found from: its own, or all four of the head."""

_PART = {name: index for index, name in enumerate(PARTS)}
_TRIES = 30
"""Drawings of a limb before one that passes through the body is put up with."""


@dataclass(frozen=True)
class Skeleton:
    """A posed person: places by name in metres, and left, up, forward of three bones as the columns of matrices."""

    places: dict[str, Array]
    pelvis: Array
    chest: Array
    head: Array
    stature: float
    girth: float
    """What radii are measured in: the stature of a person of usual build with these limbs."""

    @property
    def joints(self) -> Array:
        """(16, 3) places of `JOINTS`."""
        at = self.places
        middle = {"head": ("skull", "crown"), "neck": ("collar", "skull")}
        for side in _SIDES:
            middle |= {f"{side}_hand": (f"{side}_wrist", f"{side}_tip"), f"{side}_foot": (f"{side}_ankle", f"{side}_toe")}
        return np.stack([at[name] if name in at else (at[middle[name][0]] + at[middle[name][1]]) / 2 for name in JOINTS])


@dataclass(frozen=True)
class Figure:
    """A body of round cones (capsules whose ends differ in radius), in the camera's directions; every array in metres.

    joints: (16, 3) places of `JOINTS`.
    ends: (P, 2, 3) middles of the spheres at either end of each cone.
    radii: (P, 2) of those spheres.
    normals, offsets: (P, 2, 3) and (P, 2), two planes n . p = offset that cut a cone's surface into parts.
    parts: (P, 4) uint8, the part behind both planes, before the first only, before the second only, before both.
    """

    joints: Array
    ends: Array
    radii: Array
    normals: Array
    offsets: Array
    parts: Array

    def moved(self, by: Array) -> Figure:
        """The figure at another place."""
        return replace(self, joints=self.joints + by, ends=self.ends + by, offsets=self.offsets + self.normals @ by)


def draw_skeleton(rng: np.random.Generator, *, max_turn: float) -> Skeleton:
    """A person of random size and pose, the waist at the origin.

    Args:
        rng: decides all of it.
        max_turn: in radians, how far the person may turn away from facing the camera, to either side.
    """
    stature = rng.uniform(1.45, 1.98)
    girth = stature * np.clip(rng.normal(1.0, 0.12), 0.78, 1.35)
    facing = np.diag([1.0, -1.0, -1.0])  # left is the camera's right, forward is towards it
    view = _turn(0, _bent(rng, 0, 7, 18)) @ _turn(2, _bent(rng, 0, 3, 8))
    pelvis = view @ facing @ _turn(1, rng.uniform(-max_turn, max_turn)) @ _turn(0, _bent(rng, 2, 5, 15))
    chest = pelvis @ _turn(0, _bent(rng, 4, 10, 35)) @ _turn(2, _bent(rng, 0, 7, 20)) @ _turn(1, _bent(rng, 0, 12, 30))
    head = chest @ _turn(1, _bent(rng, 0, 22, 60)) @ _turn(0, _bent(rng, 0, 12, 30)) @ _turn(2, _bent(rng, 0, 7, 20))

    at = {"waist": np.zeros(3), "collar": chest @ np.array([0, 0.195, 0]) * stature}
    at["skull"] = at["collar"] + chest @ np.array([0, 0.066, 0.008]) * stature
    at["crown"] = at["skull"] + head @ np.array([0, 0.077, 0.01]) * stature
    for side, sign in _SIGNS.items():
        at[f"{side}_hip"] = pelvis @ np.array([sign * 0.052, -0.09, 0]) * stature
        at[f"{side}_shoulder"] = chest @ np.array([sign * 0.117, 0.187, 0]) * stature
    trunk = np.linspace(pelvis @ np.array([0, -0.08 * stature, 0]), at["crown"], 12)
    thickness = np.where(np.arange(12) < 9, 0.105, 0.095) * girth  # of trunk or head, with an arm on it
    arms: dict[str, Array] = {}
    for side, sign in _SIGNS.items():
        for _ in range(_TRIES):
            arms[side] = _draw_arm(rng, at[f"{side}_shoulder"], chest, sign, stature)
            apart = np.linalg.norm(_along(arms[side][1:])[:, None] - trunk, axis=2) - thickness
            if apart.min() > 0 and (side == "left" or _gap(arms["left"][1:], arms["right"][1:]) > 0.045 * girth):
                break
    for _ in range(_TRIES):
        legs = {side: _draw_leg(rng, at[f"{side}_hip"], pelvis, sign, stature) for side, sign in _SIGNS.items()}
        if _gap(legs["left"][1:], legs["right"][1:]) > 0.055 * girth:
            break
    for side in _SIDES:
        at |= dict(zip((f"{side}_elbow", f"{side}_wrist", f"{side}_tip"), arms[side][1:], strict=True))
        at |= dict(zip((f"{side}_knee", f"{side}_ankle", f"{side}_toe"), legs[side][1:], strict=True))
    return Skeleton(at, pelvis, chest, head, stature, girth)


def clothe(skeleton: Skeleton) -> Figure:
    """Put round cones around a skeleton, each with the planes that part its surface."""
    at, chest, head, stature, girth = skeleton.places, skeleton.chest, skeleton.head, skeleton.stature, skeleton.girth
    cones: list[tuple[Array, Array, float, float]] = []
    planes: list[tuple[Array, Array, Array, Array, list[int]]] = []

    def quartered(a: Array, b: Array, radii: tuple[float, float], centre: Array, frame: Array, name: str) -> None:
        """A cone whose left is parted from its right, and its upper half from its lower, by planes through a centre."""
        ids = [_PART[f"{side}_{level}_{name}"] for level in ("lower", "upper") for side in ("right", "left")]
        cones.append((a, b, *radii))
        planes.append((frame[:, 0], frame[:, 0] @ centre, frame[:, 1], frame[:, 1] @ centre, ids))

    def ringed(a: str, b: str, radii: tuple[float, float], cuts: tuple[float, float], *parts: str) -> None:
        """A cone with a near, a middle and a far part, cut across its axis so far from its ends (shares of the stature)."""
        length = float(np.linalg.norm(at[b] - at[a]))
        axis = (at[b] - at[a]) / length
        near, far = axis @ at[a] + cuts[0] * stature, axis @ at[a] + length - cuts[1] * stature
        cones.append((at[a], at[b], *radii))
        planes.append((axis, near, axis, far, [_PART[part] for part in (*parts, parts[-1])]))

    navel, face = chest @ np.array([0, 0.05, 0]) * stature, (at["skull"] + at["crown"]) / 2
    for sign in _SIGNS.values():
        flank = chest @ np.array([sign * 0.045, 0, 0]) * stature
        low = skeleton.pelvis @ np.array([sign * 0.04, -0.075, 0]) * stature
        high = at["collar"] + flank - chest @ np.array([0, 0.06, 0]) * stature
        quartered(low, flank, (0.066, 0.06), navel, chest, "torso")
        quartered(flank, high, (0.06, 0.063), navel, chest, "torso")
    inward = (at["right_shoulder"] - at["left_shoulder"]) * 0.12
    quartered(at["left_shoulder"] + inward, at["right_shoulder"] - inward, (0.043, 0.043), navel, chest, "torso")
    quartered(at["left_hip"], at["right_hip"], (0.062, 0.062), navel, chest, "torso")
    ringed("collar", "skull", (0.034, 0.032), (-1, -1), "neck", "neck", "neck")
    quartered(at["skull"], at["crown"], (0.042, 0.055), face, head, "head")
    nose = face + head @ np.array([0, -0.01, 0.05]) * stature
    quartered(nose, nose + head @ np.array([0, -0.012, 0.012]) * stature, (0.008, 0.01), face, head, "head")
    for s in _SIDES:
        ringed(f"{s}_shoulder", f"{s}_elbow", (0.042, 0.029), (0.05, 0.032), f"{s}_shoulder", f"{s}_upper_arm", f"{s}_elbow")
        ringed(f"{s}_elbow", f"{s}_wrist", (0.029, 0.02), (0.032, 0.026), f"{s}_elbow", f"{s}_lower_arm", f"{s}_wrist")
        ringed(f"{s}_wrist", f"{s}_tip", (0.021, 0.023), (0.022, -1), f"{s}_wrist", f"{s}_hand", f"{s}_hand")
        ringed(f"{s}_hip", f"{s}_knee", (0.06, 0.039), (-1, 0.045), f"{s}_upper_leg", f"{s}_upper_leg", f"{s}_knee")
        ringed(f"{s}_knee", f"{s}_ankle", (0.04, 0.026), (0.045, 0.035), f"{s}_knee", f"{s}_lower_leg", f"{s}_ankle")
        ringed(f"{s}_ankle", f"{s}_toe", (0.028, 0.022), (0.02, -1), f"{s}_ankle", f"{s}_foot", f"{s}_foot")
    starts, stops, start_radii, stop_radii = (np.array(column) for column in zip(*cones, strict=True))
    first, near, second, far, ids = (np.array(column) for column in zip(*planes, strict=True))
    return Figure(
        skeleton.joints,
        np.stack([starts, stops], 1),
        np.stack([start_radii, stop_radii], 1) * girth,
        np.stack([first, second], 1),
        np.stack([near, far], 1),
        ids.astype(np.uint8),
    )


def _draw_arm(rng: np.random.Generator, shoulder: Array, chest: Array, sign: float, stature: float) -> Array:
    """(4, 3) shoulder, elbow, wrist, finger tips. A third of the arms hang, the others reach anywhere in front and beside."""
    if rng.random() < 0.35:
        raised, sideways, flexed = rng.uniform(0.08, 0.4), rng.uniform(-0.5, 1.2), abs(rng.normal(0, 0.5))
    else:
        raised, sideways, flexed = rng.uniform(0.3, 2.5), rng.uniform(-0.3, 1.7), rng.uniform(0, 2.3)
    out, up, forward = chest[:, 0] * sign, chest[:, 1], chest[:, 2]
    upper = -np.cos(raised) * up + np.sin(raised) * (np.cos(sideways) * out + np.sin(sideways) * forward)
    inward = forward + rng.normal(0, 0.5) * up - rng.normal(0.3, 0.5) * out
    lower = _flexed(upper, inward, flexed)
    hand = _flexed(lower, rng.normal(size=3), rng.uniform(0, 0.5))
    return np.cumsum([shoulder, 0.186 * stature * upper, 0.146 * stature * lower, 0.085 * stature * hand], 0)


def _draw_leg(rng: np.random.Generator, hip: Array, pelvis: Array, sign: float, stature: float) -> Array:
    """(4, 3) hip, knee, ankle, toes. Most legs stand or walk, some are lifted."""
    if rng.random() < 0.75:
        lifted, spread, flexed = rng.normal(0.08, 0.2), rng.uniform(-0.02, 0.3), abs(rng.normal(0, 0.25))
    else:
        lifted, spread, flexed = rng.uniform(0.2, 1.5), rng.uniform(-0.05, 0.6), rng.uniform(0.1, 1.6)
    out, up, forward = pelvis[:, 0] * sign, pelvis[:, 1], pelvis[:, 2]
    thigh = _unit(-np.cos(lifted) * up + np.sin(lifted) * forward + np.tan(spread) * out)
    shank = _flexed(thigh, -forward + 0.15 * rng.normal() * out, flexed)
    foot = _unit(_flexed(shank, forward + rng.uniform(-0.1, 0.6) * out, rng.uniform(1.2, 1.65)))
    return np.cumsum([hip, 0.245 * stature * thigh, 0.246 * stature * shank, 0.115 * stature * foot], 0)


def _turn(axis: int, angle: float) -> Array:
    """The matrix of a turn about axis 0, 1 or 2 by an angle in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix[i, i] = matrix[j, j] = cos
    matrix[i, j], matrix[j, i] = -sin, sin
    return matrix


def _bent(rng: np.random.Generator, mean: float, deviation: float, most: float) -> float:
    """A random angle in radians, from degrees."""
    return float(np.radians(np.clip(rng.normal(mean, deviation), -most, most)))


def _unit(vector: Array) -> Array:
    return np.asarray(vector / np.linalg.norm(vector))


def _flexed(direction: Array, towards: Array, angle: float) -> Array:
    """A unit vector bent by an angle towards another."""
    across = _unit(towards - (towards @ direction) * direction)
    return np.asarray(np.cos(angle) * direction + np.sin(angle) * across)


def _along(chain: Array) -> Array:
    """Points along a chain of joints, five to a bone."""
    share = np.linspace(0, 1, 5)[:, None]
    return np.concatenate([(1 - share) * a + share * b for a, b in pairwise(chain)])


def _gap(one: Array, other: Array) -> float:
    """The least distance between points of two chains."""
    return float(np.linalg.norm(_along(one)[:, None] - _along(other)[None], axis=2).min())
