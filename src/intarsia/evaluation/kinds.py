"""Truth and prediction of different kinds brought to objects, or to panoptic maps, of the same classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from intarsia.classical import OBJECTS
from intarsia.core import (
    Array,
    BoolArray,
    ClassSpace,
    ClassSpaceError,
    InstanceMasks,
    Instances,
    LabelMap,
    Panoptic,
    Segment,
    Segmentation,
    SettingsError,
    thing_ids_of,
)
from intarsia.postprocess.panoptic_merge import merge_segments

__all__ = ["compared_as_objects", "compared_as_panoptic"]

REGIONS = (
    "The prediction has regions. One of which at least half lies on objects of the truth counts as an object, the others as "
    "none, so the scores are the best that its borders allow."
)
PARTS = "The prediction is a map of classes: each connected part of a countable class was taken for an object."
NO_KIND = "The objects of the prediction have no class: each was given that of the true object with which it shares most pixels."
ONE_KIND = "The prediction calls its one kind of object {!r} and the truth {!r}; they were taken for the same."
UNKNOWN = "Objects of classes that the truth does not know were left out: {}."
THINGS_ONLY = "The prediction has objects and no stuff, which is void there."


def compared_as_objects(prediction: Segmentation, truth: Segmentation) -> tuple[Instances, Instances, list[str]]:
    """Prediction and truth as objects of the truth's classes, and a sentence for each thing that was done to the prediction.

    Raises:
        SettingsError: a kind of segmentation without objects.
        ClassSpaceError: the prediction lacks a countable class of the truth.
    """
    if isinstance(truth, Panoptic):
        truth = truth.to_instances()
    if not isinstance(truth, Instances):
        raise SettingsError(f"The truth is a {type(truth).__name__}, and objects can only be scored against a truth of objects.")
    notes: list[str] = []
    if isinstance(prediction, Panoptic):
        prediction = prediction.to_instances()
    elif isinstance(prediction, LabelMap) and prediction.classes is None:
        notes.append(REGIONS)
        prediction = _regions_on(prediction, truth)
    elif isinstance(prediction, LabelMap) and prediction.classes is not None:
        notes.append(PARTS)
        prediction = _parts(prediction, prediction.classes)
    if not isinstance(prediction, Instances):
        raise SettingsError(f"A prediction of kind {type(prediction).__name__} cannot be scored as objects.")
    return *_of_same_classes(prediction, truth, notes), notes


def compared_as_panoptic(prediction: Segmentation, truth: Segmentation) -> tuple[Panoptic, Panoptic, list[str]]:
    """Prediction and truth as panoptic maps of the truth's classes, and a sentence for each thing that was done.

    Raises:
        SettingsError: a kind of segmentation without classes or segments.
        ClassSpaceError: the prediction lacks a class of the truth.
    """
    if not isinstance(truth, Panoptic):
        raise SettingsError(f"The truth is a {type(truth).__name__}, and panoptic maps can only be scored against panoptic maps.")
    classes, notes = truth.classes, list[str]()
    if isinstance(prediction, Panoptic):
        return _with_classes_of(prediction, classes), truth, notes
    if isinstance(prediction, LabelMap) and prediction.classes is not None:
        own = prediction.classes
        table = np.full(max(len(own), own.ignore_id + 1), -1, np.int64)
        table[: len(own)] = _index_of(own, classes, range(len(classes)))
        labels = table[prediction.ids]
        notes.append(PARTS)
        things = LabelMap(np.where(labels < 0, classes.ignore_id, labels).astype(classes.id_dtype), classes)
        found = _parts(things, classes)
        stuff = np.where(np.isin(labels, thing_ids_of(classes)), -1, labels)
    elif isinstance(prediction, Instances):
        found, _ = _of_same_classes(prediction, truth.to_instances(), notes)
        notes.append(THINGS_ONLY)
        stuff = np.full(truth.size_hw, -1, np.int64)
    else:
        raise SettingsError(f"A prediction of kind {type(prediction).__name__} without classes is no panoptic map.")
    score = np.ones(len(found)) if found.score is None else found.score
    ids, segments = merge_segments(found.masks, found.class_id, score, stuff, min_stuff_area=0)
    return Panoptic(ids, segments, classes), truth, notes


def _of_same_classes(prediction: Instances, truth: Instances, notes: list[str]) -> tuple[Instances, Instances]:
    classes, own = truth.classes, prediction.classes
    if own.names == classes.names:
        return replace(prediction, classes=classes), truth
    countable = thing_ids_of(classes)
    if own is OBJECTS:
        if len(countable) > 1:
            notes.append(NO_KIND)
            class_id = _class_by_overlap(prediction, truth)
        else:
            class_id = np.full(len(prediction), countable[0], np.int32)
        return replace(prediction, classes=classes, class_id=class_id), truth
    mine = [own.names[i] for i in thing_ids_of(own)]
    if len(mine) == len(countable) == 1 and mine[0] != classes.names[countable[0]]:
        notes.append(ONE_KIND.format(mine[0], classes.names[countable[0]]))
        return replace(prediction, classes=classes, class_id=np.full(len(prediction), countable[0], np.int32)), truth
    table = _index_of(own, classes, countable)
    class_id = table[prediction.class_id]
    if (class_id < 0).any():
        notes.append(UNKNOWN.format(", ".join(own.names[i] for i in np.unique(prediction.class_id[class_id < 0]))))
    known = class_id >= 0
    return replace(prediction.select(known), classes=classes, class_id=class_id[known].astype(np.int32)), truth


def _index_of(own: ClassSpace, classes: ClassSpace, needed: tuple[int, ...] | range) -> Array:
    """(K of `own`,) the id in `classes` of each class, by name; -1 for those that they do not have."""
    missing = [classes.names[index] for index in needed if classes.names[index] not in own.names]
    if missing:
        raise ClassSpaceError(
            f"The prediction has no class {', '.join(map(repr, missing))}, which the truth has. Its classes are "
            f"{', '.join(own.names)}. Score it on data with these classes, or rename the classes in the data's intarsia.toml."
        )
    return np.array([classes.names.index(name) if name in classes.names else -1 for name in own.names], np.int64)


def _with_classes_of(prediction: Panoptic, classes: ClassSpace) -> Panoptic:
    """The same map with classes matched by name; segments of classes that the truth does not know become void."""
    own = prediction.classes
    if own.names == classes.names:
        return replace(prediction, classes=classes)
    table = _index_of(own, classes, range(len(classes)))
    kept = tuple(s._replace(class_id=int(table[s.class_id])) for s in prediction.segments if table[s.class_id] >= 0)
    known = np.isin(prediction.ids, [s.id for s in kept])
    return Panoptic(np.where(known, prediction.ids, 0), tuple(map(Segment._make, kept)), classes)


def _class_by_overlap(prediction: Instances, truth: Instances) -> Array:
    """(Q,) the class of the true object that shares most pixels with each; the first countable one where none does."""
    from intarsia.metrics._overlap import intersections

    if not len(truth) or not len(prediction):
        return np.full(len(prediction), thing_ids_of(truth.classes)[0], np.int32)
    shared = intersections(prediction.masks, truth.masks)
    best = truth.class_id[shared.argmax(1)]
    return np.where(shared.any(1), best, thing_ids_of(truth.classes)[0]).astype(np.int32)


def _regions_on(regions: LabelMap, truth: Instances) -> Instances:
    """The regions of which at least half lies on true objects, as objects without class."""
    inside = truth.to_ids() > 0
    _, numbers = np.unique(regions.ids, return_inverse=True)
    numbers = numbers.reshape(regions.size_hw) + 1
    area, on = np.bincount(numbers.ravel()), np.bincount(numbers[inside], minlength=int(numbers.max()) + 1)
    return Instances.from_ids(np.where((2 * on >= area)[numbers], numbers, 0), OBJECTS, 0)


def _parts(labels: LabelMap, classes: ClassSpace) -> Instances:
    """The 8-connected parts of the countable classes."""
    from scipy.ndimage import find_objects, label

    class_id: list[int] = []

    def crops() -> Iterator[tuple[tuple[int, int], BoolArray]]:
        for index in thing_ids_of(classes):
            numbers, _ = label(labels.ids == index, np.ones((3, 3)))
            for number, where in enumerate(find_objects(numbers), 1):
                class_id.append(index)
                yield (where[0].start, where[1].start), numbers[where] == number

    masks = InstanceMasks.pack_crops(crops(), labels.size_hw)
    return Instances(masks, np.array(class_id, np.int32), classes)
