"""Scenes: streets and parks drawn by a generator, with complete truth. The data set that needs no data.

Every picture is a street with pavements and houses, gardens or parks beside it, seen along, askew, across or from a footpath,
by day, at dusk or under clouds. People, cars, bicycles and signs are countable things; sky, buildings, road, pavement, grass
and trees are stuff. The truth is exact, since each stroke of the brush sets colours, class, thing and depth at once. One box
of paints serves cars, clothes, signs, doors and bicycles; foliage shares its greens with lawns and its reds with bricks; walls,
road and pavement share greys. So a class is told by shape, texture and context, not by colour.

Licence: that of Intarsia. There is no folder: nothing is read, and a key such as `train/0007` and the seed are the picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from intarsia.core import (
    ClassSpace,
    DataError,
    Instances,
    LabelMap,
    Panoptic,
    Sample,
    Segment,
    Segmentation,
    SegmentationClass,
    SettingsError,
    Task,
    nearest_names,
)
from intarsia.data.datasets._scenery import Scene, render_scene
from intarsia.data.datasets._scenery_space import THING_IDS

__all__ = ["Scenes"]

SCENE_CLASSES = ClassSpace(
    tuple(
        SegmentationClass(name, color, is_thing=index in THING_IDS)
        for index, (name, color) in enumerate(
            {
                "sky": (150, 190, 225),
                "building": (176, 128, 106),
                "road": (98, 98, 110),
                "pavement": (200, 188, 170),
                "grass": (130, 176, 88),
                "tree": (52, 112, 66),
                "person": (226, 66, 86),
                "car": (48, 96, 200),
                "bicycle": (250, 170, 40),
                "sign": (150, 70, 180),
            }.items()
        )
    )
)

_SPLITS = ("train", "val", "test")
_VIEWS: dict[str, Task] = {"semantic": "semantic", "instance": "instance", "panoptic": "panoptic"}
_OPTIONS = (*_SPLITS, "size", "seed")
_SMALLEST = 32


class Scenes:
    """Procedural streets and parks.

    Args:
        train, val, test: pictures in each split. A picture does not depend on how many there are.
        size_hw: height and width, each at least 32 pixels, odd or even.
        seed: another seed gives other pictures.
        view: which truth `read` gives: "semantic", "instance" (things only) or "panoptic".

    Raises:
        SettingsError: a count or a seed below 0, no picture at all, a side below 32, another view.
    """

    name = "scenes"
    classes = SCENE_CLASSES

    def __init__(
        self,
        *,
        train: int = 320,
        val: int = 64,
        test: int = 64,
        size_hw: tuple[int, int] = (128, 128),
        seed: int = 0,
        view: str = "semantic",
    ) -> None:
        counts = {"train": train, "val": val, "test": test}
        for option, value in {**counts, "seed": seed}.items():
            if value < 0:
                raise SettingsError(f"The scenes option {option} is {value}; a whole number from 0 up is expected.")
        if not any(counts.values()):
            raise SettingsError("The scenes options train, val and test are all 0, so there is no picture; set one to 1 or more.")
        if min(size_hw) < _SMALLEST:
            raise SettingsError(
                f"The scenes size is {size_hw[0]} x {size_hw[1]} (height x width); below {_SMALLEST} pixels a person is a dot. "
                f"Use {_SMALLEST} or more for both."
            )
        if view not in _VIEWS:
            raise SettingsError(f"scenes has no {view} truth; its views are {', '.join(_VIEWS)}.")
        self.task: Task = _VIEWS[view]
        self.size_hw, self.seed = size_hw, seed
        self.splits: Mapping[str, Sequence[str]] = {
            split: tuple(f"{split}/{i:04d}" for i in range(count)) for split, count in counts.items() if count
        }
        things = ", ".join(entry.name for entry in SCENE_CLASSES.classes if entry.is_thing)
        self.notes: Sequence[str] = (
            f"scenes are drawn, not photographed: streets and parks, {size_hw[0]} x {size_hw[1]} pixels, seed {seed}.",
            f"{len(SCENE_CLASSES)} classes, of which {things} are countable things; every pixel has a truth.",
        )

    @classmethod
    def from_options(cls, options: Mapping[str, str], view: str | None = None) -> Scenes:
        """Scenes from what stands behind the colon in `scenes:train=400,size=96x128,seed=3`.

        Args:
            options: train, val, test and seed as whole numbers, size as HEIGHTxWIDTH or one number for a square.
            view: which truth is wanted; None is semantic.

        Raises:
            SettingsError: an unknown option or a value that cannot be read.
        """
        for option in options:
            if option not in _OPTIONS:
                near = nearest_names(option, _OPTIONS)
                hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
                raise SettingsError(f"scenes has no option {option!r}.{hint} Its options are {', '.join(_OPTIONS)}.")
        numbers = {option: _whole(option, text) for option, text in options.items() if option != "size"}
        size_hw = _size(options["size"]) if "size" in options else (128, 128)
        return cls(**numbers, size_hw=size_hw, view=view or "semantic")

    def scene(self, key: str) -> Scene:
        """The picture called `key` with its complete truth, depth and boundaries among it.

        Raises:
            DataError: no picture has this key.
        """
        split, _, number = key.partition("/")
        if key not in self.splits.get(split, ()):
            known = ", ".join(f"{keys[0]} ... {keys[-1]}" for keys in self.splits.values())
            raise DataError(f"scenes has no picture {key!r}; its keys are {known}.")
        return render_scene(np.random.default_rng([self.seed, _SPLITS.index(split), int(number)]), self.size_hw)

    def read(self, key: str) -> Sample:
        """The picture called `key` and the truth of this view.

        Raises:
            DataError: no picture has this key.
        """
        scene = self.scene(key)
        return Sample(scene.image, (_truth(scene, self.task),), key)


def _truth(scene: Scene, view: Task) -> Segmentation:
    if view == "semantic":
        return LabelMap(scene.semantic, SCENE_CLASSES)
    if view == "instance":
        of_number = {number: int(class_id) for number, class_id in enumerate(scene.class_of_instance, 1)}
        return Instances.from_ids(scene.instance, SCENE_CLASSES, of_number)
    # Stuff is numbered by class from 1, things follow.
    stuff = np.unique(scene.semantic[scene.instance == 0]).tolist()
    first = len(SCENE_CLASSES) + 1
    ids = np.where(scene.instance > 0, scene.instance + np.uint16(first - 1), scene.semantic + np.uint16(1))
    segments = [Segment(class_id + 1, class_id) for class_id in stuff]
    segments += [Segment(first + index, int(class_id)) for index, class_id in enumerate(scene.class_of_instance)]
    return Panoptic(ids, tuple(segments), SCENE_CLASSES)


def _whole(option: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise SettingsError(f"The scenes option {option} is {text!r}; a whole number such as {option}=64 is expected.") from None


def _size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if not 1 <= len(sides) <= 2 or not all(side.isascii() and side.isdigit() for side in sides):
        raise SettingsError(f"The scenes option size is {text!r}; HEIGHTxWIDTH such as 96x128, or one number, is expected.")
    return int(sides[0]), int(sides[-1])
