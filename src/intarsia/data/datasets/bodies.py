"""Bodies: people as a depth camera sees them, with the 31 parts of the body and its joints. Rendered, so that it needs no data.

A figure is a skeleton of random size, girth and pose, clothed in capsules, in an empty room; its limbs do not pass through each
other or the trunk, or hardly ever. An image is depth in millimetres as of a Kinect, (H, W, 1) uint16, 0 where nothing is; noise
grows with the square of the distance, as that of its stereo does. The parts are those of Shotton et al., "Real-Time Human Pose
Recognition in Parts from Single Depth Images", CVPR 2011; left is the person's own.

Licence: that of Intarsia. There is no folder: nothing is read, and a key such as `train/0007` and the seed are the picture.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from intarsia.core import (
    Array,
    BoolArray,
    ClassSpace,
    DataError,
    LabelMap,
    Sample,
    SegmentationClass,
    SettingsError,
    Task,
    nearest_names,
)
from intarsia.data.datasets._bodies_figure import JOINTS, PARTS, PARTS_OF_JOINT, Figure, clothe, draw_skeleton

__all__ = ["Bodies", "Body"]


def _colors() -> tuple[tuple[int, int, int], ...]:
    """Neighbouring parts far apart in hue; what is on the right paler than its twin on the left."""
    found = [(0, 0, 0)]
    pairs = list(dict.fromkeys(name.removeprefix("left_").removeprefix("right_") for name in PARTS[1:]))
    for name in PARTS[1:]:
        hue = (pairs.index(name.removeprefix("left_").removeprefix("right_")) * 0.381966) % 1
        rgb = colorsys.hsv_to_rgb(hue, 0.5 if name.startswith("right") else 0.9, 0.98 if name.startswith("right") else 0.85)
        found.append((round(255 * rgb[0]), round(255 * rgb[1]), round(255 * rgb[2])))
    return tuple(found)


BODY_CLASSES = ClassSpace(tuple(SegmentationClass(name, color) for name, color in zip(PARTS, _colors(), strict=True)))

_SPLITS = ("train", "val", "test")
_OPTIONS = (*_SPLITS, "size", "seed", "turn")
_SMALLEST = 24
_NOISE = 0.0015
"""Metres at 1 m: a fixed error of the disparity is one of depth that grows with its square."""


@dataclass(frozen=True, eq=False)
class Body:
    """A picture of a person and all that is known about it.

    Args:
        depth_mm: (H, W) uint16, 0 where nothing is.
        parts: (H, W) uint8 ids of the classes, 0 is background.
        joints_m: (16, 3) float32 places of `JOINTS` inside the body, metres from the camera: right, down, away.
        visible: (16,) bool, whether any pixel shows a part of that joint.
    """

    depth_mm: Array
    parts: Array
    joints_m: Array
    visible: BoolArray


class Bodies:
    """Depth images of procedural people.

    Args:
        train, val, test: pictures in each split. A picture does not depend on how many there are.
        size_hw: height and width, each at least 24 pixels. The field of view is that of 320 x 240 pixels of a Kinect, or more.
        seed: another seed gives other pictures.
        turn: degrees by which a person may be turned away from the camera, to either side; 180 is all around.
        distance_m: nearest and farthest. A whole person who does not fit stands farther away.
        whole: whether the image must contain all of the person.
        view: which truth `read` gives: "semantic" is the only one; `body` has the joints.

    Raises:
        SettingsError: a value outside of its range, no picture at all, another view.
    """

    name = "bodies"
    classes = BODY_CLASSES
    joints = JOINTS
    parts_of_joint = PARTS_OF_JOINT
    task: Task = "semantic"

    def __init__(
        self,
        *,
        train: int = 200,
        val: int = 50,
        test: int = 50,
        size_hw: tuple[int, int] = (240, 320),
        seed: int = 0,
        turn: float = 60,
        distance_m: tuple[float, float] = (2.0, 4.0),
        whole: bool = True,
        view: str = "semantic",
    ) -> None:
        counts = {"train": train, "val": val, "test": test}
        for option, value in {**counts, "seed": seed}.items():
            if value < 0:
                raise SettingsError(f"The bodies option {option} is {value}; a whole number from 0 up is expected.")
        if not any(counts.values()):
            raise SettingsError("The bodies options train, val and test are all 0, so there is no picture; set one to 1 or more.")
        if min(size_hw) < _SMALLEST:
            raise SettingsError(
                f"The bodies size is {size_hw[0]} x {size_hw[1]} (height x width); below {_SMALLEST} pixels an arm is a dot. "
                f"Use {_SMALLEST} or more for both."
            )
        if not 0 <= turn <= 180:
            raise SettingsError(f"The bodies option turn is {turn}; degrees from 0 (facing the camera) to 180 are expected.")
        if not 0.5 <= distance_m[0] <= distance_m[1] <= 8:
            raise SettingsError(f"The bodies distance is {distance_m} m; nearest and farthest within 0.5 and 8 are expected.")
        if view != "semantic":
            raise SettingsError(f"bodies has no {view} truth; its view is semantic, and `Bodies.body(key)` has the joints.")
        self.size_hw, self.seed, self.turn, self.distance_m, self.whole = size_hw, seed, turn, distance_m, whole
        self.splits: Mapping[str, Sequence[str]] = {
            split: tuple(f"{split}/{i:04d}" for i in range(count)) for split, count in counts.items() if count
        }
        self.notes: Sequence[str] = (
            f"bodies are rendered, not recorded: depth in millimetres, {size_hw[0]} x {size_hw[1]} pixels, seed {seed}; people "
            f"are turned by up to {turn:g} degrees.",
            "32 classes: background, and 31 parts of the body, left and right as the person has them.",
        )

    @classmethod
    def from_options(cls, options: Mapping[str, str], view: str | None = None) -> Bodies:
        """Bodies from what stands behind the colon in `bodies:train=400,size=120x160,turn=180`.

        Args:
            options: train, val, test, seed and turn as whole numbers, size as HEIGHTxWIDTH.
            view: which truth is wanted; None is semantic.

        Raises:
            SettingsError: an unknown option or a value that cannot be read.
        """
        for option in options:
            if option not in _OPTIONS:
                near = nearest_names(option, _OPTIONS)
                hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
                raise SettingsError(f"bodies has no option {option!r}.{hint} Its options are {', '.join(_OPTIONS)}.")
        given: dict[str, Any] = {option: _whole(option, text) for option, text in options.items() if option != "size"}
        if "size" in options:
            given["size_hw"] = _size(options["size"])
        return cls(**given, view=view or "semantic")

    @property
    def focal_px(self) -> float:
        """Focal length: 320 pixels see the 57 degrees of a Kinect, which makes it 294.7; other sizes in proportion."""
        return float(160 / np.tan(np.radians(28.5)) * min(self.size_hw[0] / 240, self.size_hw[1] / 320))

    def body(self, key: str) -> Body:
        """The picture called `key` with its complete truth.

        Raises:
            DataError: no picture has this key.
        """
        split, _, number = key.partition("/")
        if key not in self.splits.get(split, ()):
            known = ", ".join(f"{keys[0]} ... {keys[-1]}" for keys in self.splits.values())
            raise DataError(f"bodies has no picture {key!r}; its keys are {known}.")
        rng = np.random.default_rng([self.seed, _SPLITS.index(split), int(number)])
        return _draw_body(rng, self.size_hw, self.focal_px, max_turn=self.turn, distance_m=self.distance_m, whole=self.whole)

    def read(self, key: str) -> Sample:
        """The picture called `key`, (H, W, 1) uint16, and its parts.

        Raises:
            DataError: no picture has this key.
        """
        body = self.body(key)
        return Sample(body.depth_mm[..., None], (LabelMap(body.parts, BODY_CLASSES),), key)


def _draw_body(
    rng: np.random.Generator,
    size_hw: tuple[int, int],
    focal_px: float,
    *,
    max_turn: float,
    distance_m: tuple[float, float],
    whole: bool,
) -> Body:
    """A random person, placed before the camera and rendered; `Bodies` says what the arguments are."""
    from intarsia.data.datasets._bodies_render import render_figure

    figure = clothe(draw_skeleton(rng, max_turn=np.radians(max_turn)))
    placed = _placed(rng, figure, np.array(size_hw[::-1]) / focal_px, distance_m, whole)
    depth, parts = render_figure(placed, size_hw, focal_px)
    noisy = depth + _NOISE * depth**2 * rng.standard_normal(size_hw, np.float32)
    shown = np.bincount(parts.ravel(), minlength=len(PARTS)) > 0
    return Body(
        np.rint(1000 * noisy).astype(np.uint16),
        parts,
        placed.joints.astype(np.float32),
        np.array([shown[list(ids)].any() for ids in PARTS_OF_JOINT]),
    )


def _placed(rng: np.random.Generator, figure: Figure, field: Array, distance_m: tuple[float, float], whole: bool) -> Figure:
    """The figure moved before a camera that sees `field` (width, height) at 1 m."""
    reach = figure.radii[..., None]
    low, high = (figure.ends - reach).min((0, 1)), (figure.ends + reach).max((0, 1))
    distance = rng.uniform(*distance_m) - low[2]  # of its nearest point
    if whole:
        distance = max(distance, float(((high - low)[:2] * 1.04 / field).max()) - low[2])
    room = np.maximum(field * (distance + low[2]) - (high - low)[:2], 0) / 2
    aside = rng.uniform(-1, 1, 2) * room * np.array([0.8, 0.9]) - (low + high)[:2] / 2
    return figure.moved(np.array([*aside, distance]))


def _whole(option: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise SettingsError(f"The bodies option {option} is {text!r}; a whole number such as {option}=60 is expected.") from None


def _size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isascii() and side.isdigit() for side in sides):
        raise SettingsError(f"The bodies option size is {text!r}; HEIGHTxWIDTH such as 240x320 is expected.")
    return int(sides[0]), int(sides[1])
