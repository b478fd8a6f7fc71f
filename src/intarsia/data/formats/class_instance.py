"""Panoptic maps as two PNG files: the class of each pixel, and the number of its object.

A segment is a thing class with a number: what has the same class and the same number from 1 up. Pixels of a thing class with
number 0 are a crowd, a group in which nobody told the objects apart. Numbers on stuff mean nothing; a stuff class is one segment.
Pixels without truth are void. So both conventions can be read: numbers that go through all classes, and numbers of each class.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from intarsia.core import Array, ClassSpace, DataError, LabelMap, Panoptic, Segment
from intarsia.data.formats import write_mask
from intarsia.data.formats._masks import label_map, note_of, read_mask_values, require_kind, write_ids

__all__ = ["read_class_instance", "segments_of", "write_class_instance"]


def read_class_instance(class_path: str | Path, instance_path: str | Path, classes: ClassSpace | None = None) -> Panoptic:
    """Read the two files.

    Args:
        class_path: mask of classes.
        instance_path: mask of object numbers.
        classes: what the values of the first mean, and which are things. None: the classes stored in a file of ours.

    Raises:
        DataError: a file that cannot be read, sizes that differ, or classes of which none is a thing.
        ClassSpaceError: a value that no class claims.
    """
    labels = label_map(read_mask_values(class_path), classes, class_path)
    numbers = read_mask_values(instance_path)
    require_kind(numbers, instance_path, "index", "palette")
    return segments_of(labels, numbers.values, class_path, instance_path)


def segments_of(labels: LabelMap, numbers: Array, class_path: str | Path, instance_path: str | Path) -> Panoptic:
    """The panoptic map of a label map and object numbers (H, W); the paths are for messages. Things come first, then stuff.

    Raises:
        DataError: see `read_class_instance`.
    """
    classes = labels.classes
    if numbers.shape != labels.ids.shape:
        raise DataError(
            f"{instance_path} is {numbers.shape} and {class_path} {labels.ids.shape} (height, width); they must agree."
        )
    if classes is None or not classes.thing_ids:
        raise DataError(
            f"No class of {class_path} is a thing, so none of the objects in {instance_path} can be counted. Say which are in "
            "intarsia.toml: { name = ..., thing = true }."
        )
    is_thing = np.zeros(max(len(classes), classes.ignore_id + 1), np.bool_)
    is_thing[list(classes.thing_ids)] = True
    number = np.where(is_thing[labels.ids], numbers.astype(np.int64), 0)
    span = int(number.max(initial=0)) + 1
    pairs, inverse = np.unique(labels.ids.astype(np.int64) * span + number, return_inverse=True)
    entries = []
    for index, pair in enumerate(pairs.tolist()):
        class_id, own = divmod(pair, span)
        if class_id != classes.ignore_id:
            entries.append((own == 0, class_id, own, index))
    table = np.zeros(len(pairs), np.int32)
    segments = []
    for value, (is_whole, class_id, _, index) in enumerate(sorted(entries), 1):
        table[index] = value
        segments.append(Segment(value, class_id, is_crowd=bool(is_whole and is_thing[class_id])))
    return Panoptic(table[inverse].reshape(labels.ids.shape), tuple(segments), classes)


def write_class_instance(class_path: str | Path, instance_path: str | Path, panoptic: Panoptic) -> tuple[Path, Path]:
    """Write the two files: a PNG of classes (palette, or 16 bits above 256 ids), and 16 bits of numbers through all objects.

    Raises:
        SegmentationError: more than 65535 objects.
    """
    labels = panoptic.to_label_map()
    things = [s.id for s in panoptic.segments if panoptic.classes.classes[s.class_id].is_thing and not s.is_crowd]
    values, inverse = np.unique(panoptic.ids, return_inverse=True)
    place = {segment_id: number for number, segment_id in enumerate(things, 1)}
    numbers = np.array([place.get(int(v), 0) for v in values])[inverse].reshape(panoptic.ids.shape)
    return write_mask(class_path, labels), write_ids(instance_path, numbers, bits=16, note=note_of(None))
