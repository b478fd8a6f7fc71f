"""Folders as the data set `folder` reads them, written from any annotated set: images/, masks/, instances/ and intarsia.toml.

`palette`, `index` and `color` hold a mask of classes for each image, `class_files` a binary file for each class, and
`class_instance` a mask of classes and one of object numbers.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from intarsia.core import ClassSpace, Instances, LabelMap, Panoptic, SegmentationClass, SegmentationError, default_color
from intarsia.data.datasets._declared import write_classes
from intarsia.data.formats import write_mask
from intarsia.data.formats._annotated import OTHER_TRUTH, Annotated, AnnotatedSet, Kind, Part, Tally, WriteReport
from intarsia.data.formats._masks import note_of, write_ids
from intarsia.data.formats._views import View
from intarsia.data.formats.class_files import write_class_files
from intarsia.data.formats.class_instance import write_class_instance
from intarsia.data.formats.color import write_color
from intarsia.data.formats.index import write_index
from intarsia.data.formats.palette import write_palette

__all__ = ["MASK_FOLDERS", "classes_in_folder", "write_mask_folder"]

MASK_FOLDERS: dict[str, tuple[Kind, ...]] = {
    "palette": ("semantic",),
    "index": ("semantic",),
    "color": ("semantic",),
    "class_files": ("semantic",),
    "class_instance": ("panoptic", "instance"),
}
"""The kinds of truth that each takes."""
IGNORED_COLOR = (224, 224, 192)
"""Of pixels without truth in colour masks: PASCAL VOC's, or, if a class has it, the first that none has."""


def write_mask_folder(path: str | Path, annotated: AnnotatedSet, form: str) -> WriteReport:
    """Write the masks of a set and the declaration of its classes.

    Args:
        path: the folder that holds, or shall hold, images/.
        annotated: the set, of a kind that the form takes.
        form: a name in `MASK_FOLDERS`.

    Raises:
        SegmentationError: ids, or classes of equal colours, that the form does not hold.
    """
    path = Path(path)
    classes = classes_in_folder(annotated, form)
    tally = Tally()
    for _, part in annotated.each(partial(_encode, path, form, classes)):
        tally.add(part)
    write_classes(path, classes)
    return tally.report()


def classes_in_folder(annotated: AnnotatedSet, form: str) -> ClassSpace:
    """The classes as the folder declares them: by their ids, or by their colours; of objects also the background."""
    classes = (
        View("instance", "semantic", annotated.classes).result_classes if annotated.kind == "instance" else annotated.classes
    )
    by_color = form == "color"
    colors = [c.color for c in classes.classes]
    if by_color and len(set(colors)) < len(colors):
        colors = [default_color(index) for index in range(len(colors))]
    entries = [
        SegmentationClass(c.name, color, (color,) if by_color else (), c.is_thing)
        for c, color in zip(classes.classes, colors, strict=True)
    ]
    if annotated.kind == "instance":  # a folder takes object numbers for those of things
        entries = [replace(c, is_thing=c.is_thing or c.name in _things(annotated.classes)) for c in entries]
    others = (IGNORED_COLOR, *map(default_color, range(len(entries) + 1)))
    ignored = next(color for color in others if color not in colors)
    return ClassSpace(tuple(entries), classes.ignore_id, (ignored,) if by_color else ())


def _things(classes: ClassSpace) -> set[str]:
    return {classes.names[i] for i in classes.thing_ids} or set(classes.names) - {"background"}


def _encode(folder: Path, form: str, classes: ClassSpace, annotated: Annotated) -> Part:
    truth, key = annotated.truth, annotated.key
    mask = folder / "masks" / f"{key}.png"
    lost: tuple[str, ...] = ()
    if form == "class_instance":
        if isinstance(truth, Instances):
            lost = _write_objects(folder, key, truth, classes)
        elif isinstance(truth, Panoptic):
            write_class_instance(mask, folder / "instances" / f"{key}.png", replace(truth, classes=classes))
    elif isinstance(truth, LabelMap):
        labels = LabelMap(truth.ids, classes)
        if form == "class_files":
            write_class_files(mask.parent, mask.stem, labels)
        else:
            {"palette": write_palette, "index": write_index, "color": write_color}[form](mask, labels)
    else:
        raise SegmentationError(f"{key}: {form} holds a class for each pixel, not a {type(truth).__name__}.")
    return Part.of(annotated, lost=[*lost, *[OTHER_TRUTH] * len(annotated.other_truths)])


def _write_objects(folder: Path, key: str, objects: Instances, classes: ClassSpace) -> tuple[str, ...]:
    """Object numbers, and a mask in which each pixel has the class of the object that is seen there."""
    panoptic, lost = View("instance", "panoptic", objects.classes).of(objects)
    if not isinstance(panoptic, Panoptic):
        raise SegmentationError(f"{key}: objects did not become a panoptic map.")
    ids = np.where(panoptic.ids > len(objects), 0, panoptic.ids)  # above are pixels of the background
    crowd = np.zeros(len(objects) + 1, np.bool_)
    if objects.is_crowd is not None:
        crowd[1:] = objects.is_crowd
    class_of = np.array([classes.names.index("background") if "background" in classes.names else classes.ignore_id])
    names = objects.classes.names
    table = np.concatenate([class_of, [classes.index(names[i]) for i in objects.class_id.tolist()]]).astype(np.int64)
    labels = table[ids]
    labels[crowd[ids]] = classes.ignore_id
    numbers = np.where(crowd[ids], 0, ids)
    if crowd.any():
        lost = (*lost, *["a crowd became pixels without truth"] * int(crowd.sum()))
    write_mask(folder / "masks" / f"{key}.png", LabelMap(labels.astype(classes.id_dtype), classes))
    write_ids(folder / "instances" / f"{key}.png", numbers, bits=16, note=note_of(None))
    return lost
