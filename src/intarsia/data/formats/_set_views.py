"""Annotated sets made of others: of another kind, of some classes, of objects and label maps together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from intarsia.core import (
    Array,
    ClassSpace,
    DataError,
    Instances,
    LabelMap,
    Panoptic,
    Segmentation,
    SegmentationError,
    SettingsError,
    thing_ids_of,
)
from intarsia.data.formats._annotated import Annotated, AnnotatedSet, Kind
from intarsia.data.formats._views import View, chosen_classes, labels_under_objects, renumbered

__all__ = ["combined", "of_classes", "viewed"]

OTHER_CLASS = "an object of a class that was not chosen was left out"


def viewed(annotated: AnnotatedSet, kind: Kind) -> AnnotatedSet:
    """The set with truths of another kind."""
    if kind == annotated.kind:
        return annotated
    view = View(annotated.kind, kind, annotated.classes)
    return replace(annotated, kind=kind, classes=view.result_classes, reader=_Viewed(annotated, view))


def of_classes(annotated: AnnotatedSet, names: Sequence[str]) -> AnnotatedSet:
    """The set with some of its classes, in that order: other objects are left out, other pixels are without truth.

    Raises:
        SettingsError: a name that is no class of the set.
    """
    classes = chosen_classes(annotated.classes, names)
    return replace(annotated, classes=classes, reader=_OfClasses(annotated, classes))


def combined(objects: AnnotatedSet, labels: AnnotatedSet) -> AnnotatedSet:
    """Panoptic maps of objects and label maps of the same images: things are the classes of the objects.

    Raises:
        SettingsError: sets of other kinds.
        DataError: images that only one of the sets has.
    """
    if (objects.kind, labels.kind) != ("instance", "semantic"):
        raise SettingsError(
            f"Panoptic maps are made of objects and of label maps; {objects.name} is of kind {objects.kind} and {labels.name} of "
            f"kind {labels.kind}."
        )
    lonely = sorted(set(objects.keys) ^ set(labels.keys))
    if lonely:
        where = objects.name if lonely[0] in set(objects.keys) else labels.name
        raise DataError(f"{len(lonely)} images are in one of the two sets only, such as {lonely[0]!r} in {where}.")
    things = {objects.classes.names[i] for i in thing_ids_of(objects.classes)}
    entries = list(labels.classes.classes)
    entries += [c for c in objects.classes.classes if c.name in things and c.name not in labels.classes.names]
    classes = ClassSpace(
        tuple(replace(c, sources=(), is_thing=c.name in things) for c in entries), 255 if len(entries) <= 255 else 65535
    )
    return replace(objects, kind="panoptic", classes=classes, reader=_Combined(objects, labels, classes))


@dataclass(frozen=True, eq=False)
class _Viewed:
    """Reads a set through a view; travels to other processes, as the next two do."""

    annotated: AnnotatedSet
    view: View

    def __call__(self, key: str) -> Annotated:
        found = self.annotated.read(key)
        truth, lost = self.view.of(found.truth)
        others = tuple(self.view.of(other)[0] for other in found.other_truths)
        return replace(found, truth=truth, other_truths=others, lost=(*found.lost, *lost))

    def alone(self, key: str) -> _Viewed | None:
        one = self.annotated.alone(key)
        return None if one is None else replace(self, annotated=one)


@dataclass(frozen=True, eq=False)
class _OfClasses:
    annotated: AnnotatedSet
    classes: ClassSpace

    def __call__(self, key: str) -> Annotated:
        found = self.annotated.read(key)
        truth, dropped = _chosen(found.truth, self.annotated.classes, self.classes)
        others = tuple(_chosen(other, self.annotated.classes, self.classes)[0] for other in found.other_truths)
        return replace(found, truth=truth, other_truths=others, lost=(*found.lost, *[OTHER_CLASS] * dropped))

    def alone(self, key: str) -> _OfClasses | None:
        one = self.annotated.alone(key)
        return None if one is None else replace(self, annotated=one)


@dataclass(frozen=True, eq=False)
class _Combined:
    objects: AnnotatedSet
    labels: AnnotatedSet
    classes: ClassSpace

    def __call__(self, key: str) -> Annotated:
        found, below = self.objects.read(key), self.labels.read(key)
        if not isinstance(found.truth, Instances) or not isinstance(below.truth, LabelMap):
            raise DataError(f"{key}: objects and a label map were expected.")
        if found.size_hw != below.size_hw:
            raise DataError(
                f"{key} is {found.size_hw} in {self.objects.name} and {below.size_hw} (height, width) in {self.labels.name}."
            )
        counted = found.truth.select(np.isin(found.truth.class_id, thing_ids_of(self.objects.classes)))
        ids = _id_table(self.labels.classes, self.classes)[below.truth.ids].astype(self.classes.id_dtype)
        panoptic = labels_under_objects(renumbered(counted, self.classes), LabelMap(ids, self.classes))
        return Annotated(key, panoptic, (*found.lost, *below.lost), found.properties)


def _chosen(truth: Segmentation, given: ClassSpace, classes: ClassSpace) -> tuple[Segmentation, int]:
    """The truth with the chosen classes, and how many objects were left out."""
    table = _id_table(given, classes)
    if isinstance(truth, LabelMap):
        return LabelMap(table[truth.ids].astype(classes.id_dtype), classes), 0
    if isinstance(truth, Instances):
        kept = table[truth.class_id] != classes.ignore_id
        return renumbered(truth.select(kept), classes), int((~kept).sum())
    if isinstance(truth, Panoptic):
        segments = tuple(
            s._replace(class_id=int(table[s.class_id])) for s in truth.segments if table[s.class_id] != classes.ignore_id
        )
        ids = np.where(np.isin(truth.ids, [s.id for s in segments]), truth.ids, 0)
        return Panoptic(ids, segments, classes), len(truth.segments) - len(segments)
    raise SegmentationError(f"Classes cannot be chosen from a {type(truth).__name__}.")


def _id_table(given: ClassSpace, classes: ClassSpace) -> Array:
    """The id in `classes` of each id of `given`, by name; the ignore id for the rest."""
    table = np.full(max(len(given), given.ignore_id + 1), classes.ignore_id, np.int64)
    for index, name in enumerate(given.names):
        if name in classes.names:
            table[index] = classes.index(name)
    return table
