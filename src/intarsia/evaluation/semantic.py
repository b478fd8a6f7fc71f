"""Truth and prediction of different kinds, or of classes in another order, brought to label maps that can be compared."""

from __future__ import annotations

import numpy as np

from intarsia.classical import OBJECTS, TWO_CLASSES
from intarsia.core import ClassSpace, ClassSpaceError, Instances, LabelMap, Panoptic, Segmentation, SettingsError

__all__ = ["compared_as_labels"]

MATCHED = (
    "The prediction has no classes of its own: each region was given the class that most of its pixels have in the truth, so the "
    "scores are the best that its borders allow."
)


def compared_as_labels(prediction: Segmentation, truth: Segmentation) -> tuple[LabelMap, LabelMap, list[str]]:
    """Prediction and truth as label maps of the same classes in the same order, and a sentence for each thing that was done.

    Panoptic maps are read by the class of each pixel. Objects are read as the classes of the label map on the other side: those
    of their own names, and the one class left over where there is no object; between two classes, any object is the second one.
    Classes are matched by name, in the order of the truth. Regions without classes, and a foreground that the truth does not call
    so, are given the class that most of their pixels have in the truth: the best that anyone could make of them.

    Raises:
        SettingsError: the truth has no class for each pixel, or the prediction no regions.
        ClassSpaceError: the prediction lacks a class of the truth, or the classes of objects and labels do not fit together.
    """
    notes: list[str] = []
    sides: list[Segmentation] = [prediction, truth]
    names = ("prediction", "truth")
    for index, side in enumerate(sides):
        if isinstance(side, Panoptic):
            sides[index] = side.to_label_map()
            notes.append(f"The {names[index]} is panoptic; it was scored by the class of each pixel.")
    for index, side in enumerate(sides):
        other = sides[1 - index]
        if index == 0 and isinstance(side, Instances) and isinstance(other, LabelMap) and _of_no_kind(side, other):
            sides[0] = LabelMap(side.to_ids())
        elif isinstance(side, Instances) and isinstance(other, LabelMap) and other.classes is not None:
            sides[index] = _objects_as_labels(side, other.classes)
            notes.append(f"The {names[index]} is made of objects; it was scored by whether a pixel belongs to one.")
    if isinstance(sides[0], LabelMap) and isinstance(sides[1], LabelMap) and _needs_matching(sides[0], sides[1]):
        sides[0] = _matched_to_truth(sides[0], sides[1])
        notes.append(MATCHED)
    labels = [side for side in sides if isinstance(side, LabelMap) and side.classes is not None]
    if len(labels) != 2:
        raise SettingsError(
            f"A prediction of kind {type(prediction).__name__} cannot be scored against a truth of kind {type(truth).__name__} "
            "pixel by pixel: one of them must have a class for each pixel."
        )
    matched, void = _in_classes_of(labels[0], labels[1])
    if void:
        notes.append(f"The prediction also knows {', '.join(void)}, which the truth does not; such pixels count as wrong.")
    return matched, labels[1], notes


def _needs_matching(prediction: LabelMap, truth: LabelMap) -> bool:
    """Regions, or the foreground of a classical method, against a truth of other classes. A trained model means its classes."""
    if truth.classes is None:
        return False
    unnamed = prediction.classes is None or prediction.classes is TWO_CLASSES  # the very object: classical methods alone have it
    return unnamed and (prediction.classes is None or prediction.classes.names != truth.classes.names)


def _of_no_kind(objects: Instances, truth: LabelMap) -> bool:
    """Objects of classical methods, which do not say of what class, against a truth of several."""
    return objects.classes is OBJECTS and truth.classes is not None and len(truth.classes) > 2


def _matched_to_truth(regions: LabelMap, truth: LabelMap) -> LabelMap:
    """Each region as the class of most of its pixels that have one, ties to the first; background where none has."""
    classes = truth.classes
    if classes is None or regions.size_hw != truth.size_hw:
        raise SettingsError(f"Regions of {regions.size_hw} cannot be matched to a truth of {truth.size_hw} (height, width).")
    _, number = np.unique(regions.ids, return_inverse=True)
    number = number.reshape(regions.size_hw)
    scored = truth.ids != classes.ignore_id
    pairs = number[scored].astype(np.int64) * len(classes) + truth.ids[scored]
    counts = np.bincount(pairs, minlength=(int(number.max()) + 1) * len(classes)).reshape(-1, len(classes))
    return LabelMap(counts.argmax(1).astype(classes.id_dtype)[number], classes)


def _objects_as_labels(objects: Instances, classes: ClassSpace) -> LabelMap:
    own = objects.classes.names
    if set(own) <= set(classes.names) and len(classes) == len(own) + 1:
        ids = [classes.index(name) for name in own]
        background = next(index for index, name in enumerate(classes.names) if name not in own)
    elif len(own) == 1 and len(classes) == 2:
        ids, background = [1], 0
    else:
        raise ClassSpaceError(
            f"Objects of the classes {', '.join(own)} cannot be read as labels of the classes {', '.join(classes.names)}: these "
            "should be the same and one more, for pixels without object."
        )
    crowd = np.zeros(len(objects), np.bool_) if objects.is_crowd is None else objects.is_crowd
    label_of = np.where(crowd, classes.ignore_id, np.array(ids)[objects.class_id])
    return LabelMap(np.append(background, label_of).astype(classes.id_dtype)[objects.to_ids()], classes)


def _in_classes_of(prediction: LabelMap, truth: LabelMap) -> tuple[LabelMap, list[str]]:
    """The prediction with its classes matched by name, and the names of classes that became void."""
    own, classes = prediction.classes, truth.classes
    if own is None or classes is None or own.names == classes.names:
        return prediction, []
    missing = [name for name in classes.names if name not in own.names]
    if missing:
        raise ClassSpaceError(
            f"The prediction has no class {', '.join(repr(name) for name in missing)}, which the truth has. Its classes are "
            f"{', '.join(own.names)}. Score it on data with these classes, or rename the classes in the data's intarsia.toml."
        )
    table = np.full(max(len(own), own.ignore_id + 1), classes.ignore_id, classes.id_dtype)
    for index, name in enumerate(own.names):
        if name in classes.names:
            table[index] = classes.index(name)
    return LabelMap(table[prediction.ids], classes), [name for name in own.names if name not in classes.names]
