"""Hints that a patient person might give, drawn from the truth, so that interactive methods can be scored."""

from __future__ import annotations

import re
from typing import Literal, get_args

import numpy as np

from intarsia.core import (
    Array,
    ClassSpace,
    Hints,
    Instances,
    LabelMap,
    Panoptic,
    Predictor,
    Sample,
    Segmentation,
    SettingsError,
    Task,
)

__all__ = ["Guided", "HintKind", "predict_sample", "simulate_hints"]

HintKind = Literal["box", "clicks", "contour"]
SAID = {
    "box": "the box of each object",
    "clicks": "{} clicks well inside each class",
    "contour": "{} clicks along the outline of each object",
}


def simulate_hints(truth: Segmentation, kind: HintKind, count: int, rng: np.random.Generator) -> Hints | None:
    """Hints that agree with a truth; None where it shows nothing to point at.

    Args:
        truth: label map, objects or panoptic map. The objects of a label map are the connected parts of its second class.
        kind: "box": around each object. "clicks": in each class, at random among the pixels that are at least half as far from
            its border as any. "contour": evenly along the outline of each object, whose number is their class.
        count: of clicks in each class or along each outline.
        rng: where clicks fall.

    Raises:
        SettingsError: boxes or contours of a truth of other than two classes, or regions without classes.
    """
    from scipy.ndimage import distance_transform_edt, find_objects

    if kind == "clicks":
        ids, classes = _class_ids(truth)
        points, numbers = [], []
        for number in range(len(classes)):
            inside = ids == number
            if inside.any():
                depth = distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
                deep = np.argwhere(depth >= depth.max() / 2)
                points.append(rng.choice(deep, min(count, len(deep)), replace=False))
                numbers += [number] * len(points[-1])
        return Hints(points_yx=np.concatenate(points), point_class=np.array(numbers)) if points else None
    objects = _objects(truth)
    if kind == "box":
        boxes = [(x.start, y.start, x.stop, y.stop) for y, x in (part for part in find_objects(objects) if part is not None)]
        return Hints(boxes_xyxy=np.array(boxes)) if boxes else None
    outlines = [(number, outline) for number in range(1, objects.max() + 1) if len(outline := _outline(objects == number)) >= 3]
    if not outlines:
        return None
    chosen = [
        outline[np.unique(np.linspace(0, len(outline), max(3, count), endpoint=False).astype(int))] for _, outline in outlines
    ]
    numbers = np.repeat([number for number, _ in outlines], [len(points) for points in chosen]).tolist()
    return Hints(points_yx=np.concatenate(chosen), point_class=np.array(numbers))


class Guided:
    """An interactive predictor with hints simulated from the truth of each sample; its name says so.

    Args:
        predictor: that takes hints.
        hints: "box", "clicks=5" or "contour=8".
        rng: seed of the clicks, for each sample anew.

    Raises:
        SettingsError: hints that are none of these.
    """

    def __init__(self, predictor: Predictor, hints: str, *, rng: int = 0) -> None:
        match = re.fullmatch(r"(\w+?)(?:=(\d+))?", hints)
        kind = match[1] if match else ""
        if match is None or kind not in get_args(HintKind) or match[2] == "0" or (kind == "box") != (match[2] is None):
            raise SettingsError(f"Simulated hints are {hints!r}; box, clicks=5 or contour=8 are understood, with any number.")
        self.predictor, self.hints, self.rng = predictor, hints, rng
        self.kind: HintKind = next(known for known in get_args(HintKind) if known == kind)
        self.count = int(match[2] or 1)

    @property
    def name(self) -> str:
        return f"{self.predictor.name} (simulated {self.hints})"

    @property
    def task(self) -> Task:
        return self.predictor.task

    @property
    def classes(self) -> ClassSpace | None:
        return self.predictor.classes

    @property
    def note(self) -> str:
        said = SAID[self.kind].format(self.count)
        return (
            f"Hints were simulated from the truth: {said}. The scores say what the method makes of such help, not what it finds "
            "alone."
        )

    def predict(self, image: Array, hints: Hints | None = None) -> Segmentation:
        return self.predictor.predict(image, hints)

    def predict_sample(self, sample: Sample) -> Segmentation:
        """The prediction with hints from the first truth, in its classes where it has two or the hints named them."""
        hints = simulate_hints(sample.truth, self.kind, self.count, np.random.default_rng(self.rng))
        classes = sample.truth.classes if not isinstance(sample.truth, Instances) else None
        if hints is None:
            return LabelMap(np.zeros(sample.size_hw, np.uint8), classes or ClassSpace.from_names(["background", "foreground"]))
        found = self.predictor.predict(sample.image, hints)
        if not isinstance(found, LabelMap):
            return found
        ids = found.ids.clip(0, 1) if self.kind == "contour" else found.ids
        if classes is not None and (found.classes is None or len(classes) == 2):
            return LabelMap(ids, classes)
        return LabelMap(ids, found.classes or ClassSpace.from_names(["background", "foreground"]))


def predict_sample(predictor: Predictor, sample: Sample) -> Segmentation:
    """What a predictor makes of a sample: of its image, and of its truth only if it is `Guided`."""
    return predictor.predict_sample(sample) if isinstance(predictor, Guided) else predictor.predict(sample.image)


def _class_ids(truth: Segmentation) -> tuple[Array, ClassSpace]:
    """(H, W) class ids and their classes; of objects, background and foreground."""
    if isinstance(truth, Panoptic):
        truth = truth.to_label_map()
    if isinstance(truth, Instances):
        return (_objects(truth) > 0).astype(np.uint8), ClassSpace.from_names(["background", "foreground"])
    if not isinstance(truth, LabelMap) or truth.classes is None:
        raise SettingsError(f"Hints cannot be simulated from a {type(truth).__name__} without classes.")
    return truth.ids, truth.classes


def _objects(truth: Segmentation) -> Array:
    """(H, W) object numbers from 1; later objects lie over earlier ones."""
    from scipy.ndimage import label

    if isinstance(truth, Instances):
        numbers = np.zeros(truth.size_hw, np.int32)
        for number in range(len(truth)):
            numbers[truth.masks.mask(number)] = number + 1
        return numbers
    ids, classes = _class_ids(truth)
    if len(classes) != 2:
        raise SettingsError(
            f"Boxes and contours are simulated for one foreground, and the truth has {len(classes)} classes: "
            f"{', '.join(classes.names)}. Take clicks, such as --hints clicks=5, or data of two classes."
        )
    return np.asarray(label(ids == 1, np.ones((3, 3)))[0], np.int32)


def _outline(mask: Array) -> Array:
    """(L, 2) pixels (y, x) of the longest outline of a mask, in order around it."""
    import cv2

    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    longest = max(found, key=len, default=np.zeros((0, 1, 2), np.int32))
    return np.asarray(longest[:, 0, ::-1], np.int64)
