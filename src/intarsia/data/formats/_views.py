"""One kind of truth as another: classes of pixels, objects, and both together; what is lost on the way is said.

Objects to label maps: the class of each pixel; of objects that overlap the later one; crowds are ignored. The rest is background.
Label maps to objects: each connected piece (8 neighbours) of a class of things is one; touching objects become one.
Panoptic maps to either, and objects to panoptic maps: each pixel belongs to the earlier object; the rest is background or void.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from intarsia.core import (
    BoolArray,
    ClassSpace,
    InstanceMasks,
    Instances,
    LabelMap,
    Panoptic,
    Segment,
    Segmentation,
    SegmentationClass,
    SegmentationError,
    SettingsError,
    default_color,
    thing_ids_of,
)
from intarsia.data.formats._annotated import Kind

__all__ = ["View", "chosen_classes", "labels_under_objects", "renumbered"]

BACKGROUND = "background"
TOUCHING = "a label map does not tell touching objects of one class apart: each connected piece became one object"
HIDDEN = "an object lies wholly under others, and one pixel holds one object here"
COVERED = "an object lies partly under others, and one pixel holds one object here"
NO_STUFF = "stuff and background are no objects and were left out"


@dataclass(frozen=True)
class View:
    """Truths of one kind as another.

    Args:
        given: the kind of the truths.
        wanted: the kind that is made of them.
        classes: of the truths.
    """

    given: Kind
    wanted: Kind
    classes: ClassSpace

    @cached_property
    def result_classes(self) -> ClassSpace:
        """The classes of what is made: those of things alone for objects made of maps, with a background where one is needed."""
        way = (self.given, self.wanted)
        if way == ("instance", "semantic"):
            return self.classes if self._background is not None or self._is_mixed else _with_background(self.classes)
        if way in (("semantic", "instance"), ("panoptic", "instance")):
            return chosen_classes(self.classes, [self.classes.names[i] for i in thing_ids_of(self.classes)])
        if way in (("instance", "panoptic"), ("semantic", "panoptic")):
            things = set(thing_ids_of(self.classes)) if way[0] == "semantic" or self._is_mixed else set(range(len(self.classes)))
            things.discard(-1 if self._background is None else self._background)
            return replace(
                self.classes, classes=tuple(replace(c, is_thing=i in things) for i, c in enumerate(self.classes.classes))
            )
        return self.classes

    def of(self, truth: Segmentation) -> tuple[Segmentation, tuple[str, ...]]:
        """A truth of the wanted kind, and what was lost."""
        if self.given == self.wanted:
            return truth, ()
        if isinstance(truth, Panoptic):
            if self.wanted == "semantic":
                return truth.to_label_map(), ()
            objects = truth.to_instances()
            renamed = renumbered(objects, self.result_classes) if self.classes.thing_ids else self._pieces(truth.to_label_map())
            return renamed, (NO_STUFF,) if len(truth.segments) > len(objects) else ()
        if isinstance(truth, Instances):
            return (self._labels(truth), ()) if self.wanted == "semantic" else self._panoptic(truth)
        if isinstance(truth, LabelMap):
            pieces = self._pieces(truth)
            return (pieces, (TOUCHING,)) if self.wanted == "instance" else (self._both(pieces, truth), (TOUCHING,))
        raise SegmentationError(f"A {type(truth).__name__} cannot be viewed as {self.wanted}.")

    @property
    def _background(self) -> int | None:
        return self.classes.names.index(BACKGROUND) if BACKGROUND in self.classes.names else None

    @property
    def _is_mixed(self) -> bool:
        return 0 < len(self.classes.thing_ids) < len(self.classes)

    def _labels(self, objects: Instances) -> LabelMap:
        classes = self.result_classes
        shift = len(classes) - len(self.classes)
        rest = 0 if shift else classes.ignore_id if self._background is None else self._background
        ids = np.full(objects.size_hw, rest, classes.id_dtype)
        for class_id, (where, crop) in zip(objects.class_id.tolist(), objects.masks.crops(), strict=True):
            ids[where][crop] = class_id + shift
        if objects.is_crowd is not None:
            for where, crop in objects.select(objects.is_crowd).masks.crops():
                ids[where][crop] = classes.ignore_id
        return LabelMap(ids, classes)

    def _panoptic(self, objects: Instances) -> tuple[Panoptic, tuple[str, ...]]:
        ids = objects.to_ids().astype(np.int32)
        seen = np.bincount(ids.ravel(), minlength=len(objects) + 1)[1:]
        areas = objects.masks.areas()
        lost = [HIDDEN] * int(((seen == 0) & (areas > 0)).sum()) + [COVERED] * int(((seen > 0) & (seen < areas)).sum())
        segments = [
            Segment(
                index + 1, int(objects.class_id[index]), is_crowd=objects.is_crowd is not None and bool(objects.is_crowd[index])
            )
            for index in np.flatnonzero(seen).tolist()
        ]
        if self._background is not None and (ids == 0).any():
            ids[ids == 0] = len(objects) + 1
            segments.append(Segment(len(objects) + 1, self._background))
        return Panoptic(ids, tuple(segments), self.result_classes), tuple(lost)

    def _pieces(self, labels: LabelMap) -> Instances:
        """Each connected piece of a class of things, in order of classes, then from the top."""
        import cv2

        classes = self.result_classes
        crops: list[tuple[tuple[int, int], BoolArray]] = []
        class_id: list[int] = []
        for index in np.unique(labels.ids).tolist():
            name = self.classes.names[index] if index < len(self.classes) else None
            if name not in classes.names or not (self.wanted == "instance" or classes.classes[classes.index(name)].is_thing):
                continue
            count, pieces, boxes, _ = cv2.connectedComponentsWithStats((labels.ids == index).astype(np.uint8), connectivity=8)
            for number in range(1, count):
                x, y, w, h = boxes[number, :4].tolist()
                crops.append(((y, x), pieces[y : y + h, x : x + w] == number))
            class_id += [classes.index(name)] * (count - 1)
        return Instances(InstanceMasks.pack_crops(crops, labels.size_hw), np.array(class_id, np.int32), classes)

    def _both(self, pieces: Instances, labels: LabelMap) -> Panoptic:
        return labels_under_objects(pieces, replace(labels, classes=self.result_classes))


def labels_under_objects(objects: Instances, labels: LabelMap) -> Panoptic:
    """A panoptic map of objects and a label map with the same classes: what no object covers has the class of its pixel.

    Pixels that the label map gives to a thing, and no object covers, are a crowd; void is what it ignores.

    Raises:
        SegmentationError: sizes or classes that differ.
    """
    classes = objects.classes
    if labels.classes is None or labels.classes.names != classes.names or labels.size_hw != objects.size_hw:
        raise SegmentationError("Objects and label map have other sizes or other classes; a panoptic map has one of each.")
    ids = objects.to_ids().astype(np.int32)
    segments = [
        Segment(
            number, int(objects.class_id[number - 1]), 1.0, objects.is_crowd is not None and bool(objects.is_crowd[number - 1])
        )
        for number in np.unique(ids).tolist()
        if number
    ]
    rest = ids == 0
    for class_id in np.unique(labels.ids[rest]).tolist():
        if class_id < len(classes):
            number = len(objects) + 1 + class_id
            ids[rest & (labels.ids == class_id)] = number
            segments.append(Segment(number, class_id, is_crowd=classes.classes[class_id].is_thing))
    return Panoptic(ids, tuple(segments), classes)


def chosen_classes(classes: ClassSpace, names: Sequence[str]) -> ClassSpace:
    """Some of the classes, in the order of `names`, whose ids are their new positions.

    Raises:
        SettingsError: no name, or a name that is not among them.
    """
    strange = [name for name in names if name not in classes.names]
    if strange or not names:
        raise SettingsError(f"There is no class {', '.join(map(repr, strange))}; the classes are {', '.join(classes.names)}.")
    chosen = tuple(replace(classes.classes[classes.index(name)], sources=()) for name in dict.fromkeys(names))
    return ClassSpace(chosen, ignore_id=255 if len(chosen) <= 255 else 65535)


def renumbered(objects: Instances, classes: ClassSpace) -> Instances:
    """The objects with ids of `classes`, matched by name, which holds all that occur."""
    table = np.array([classes.names.index(name) if name in classes.names else -1 for name in objects.classes.names], np.int32)
    return replace(objects, class_id=table[objects.class_id], classes=classes)


def _with_background(classes: ClassSpace) -> ClassSpace:
    entries = [SegmentationClass(BACKGROUND, default_color(0))]
    entries += [replace(entry, color=default_color(index), sources=()) for index, entry in enumerate(classes.classes, 1)]
    return ClassSpace(tuple(entries), ignore_id=255 if len(entries) <= 255 else 65535)
