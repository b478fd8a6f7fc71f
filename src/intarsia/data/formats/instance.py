"""Instance masks: 16-bit grey PNG, the number of the object that each pixel belongs to, 0 for none."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from intarsia.core import Array, ClassSpace, DataError, Instances
from intarsia.data.formats._hostile import refused
from intarsia.data.formats._masks import MaskValues, note_of, read_mask_values, require_kind, write_ids

__all__ = ["read_instances", "read_object_ids", "write_instances"]


def read_instances(
    path: str | Path, classes: ClassSpace | None = None, class_id: dict[int, int] | int | None = None
) -> Instances:
    """Read a map of object numbers.

    Args:
        path: the file.
        classes: the classes, unless the file is one of ours, which stores them.
        class_id: the class of all objects, or of each object number; not needed for a file of ours.

    Raises:
        DataError: a file that cannot be read or holds colours, or objects whose class nobody said.
    """
    mask = read_mask_values(path)
    require_kind(mask, path, "index", "palette")
    if mask.objects is not None and class_id is None:
        with refused(Path(path), "file of objects as Intarsia writes them"):
            return _with_stored_objects(mask, classes, path)
    if classes is None or class_id is None:
        raise DataError(f"{path} holds object numbers and does not say their class: give `classes` and `class_id`.")
    if isinstance(class_id, dict) and (unknown := sorted({int(n) for n in np.unique(mask.values)} - {0} - class_id.keys())):
        raise DataError(f"{path} holds the object numbers {unknown[:6]}, whose class `class_id` does not say.")
    return Instances.from_ids(mask.values, classes, class_id)


def read_object_ids(path: str | Path) -> Array:
    """The object numbers alone, (H, W) integer, 0 = none.

    Raises:
        DataError: a file that cannot be read or holds colours.
    """
    mask = read_mask_values(path)
    require_kind(mask, path, "index", "palette")
    return mask.values


def write_instances(path: str | Path, instances: Instances) -> Path:
    """Write the objects as numbers 1..Q, with their classes, scores and crowd flags stored beside the pixels.

    One number per pixel: where masks overlap the object of higher score, then the earlier one, is kept, and an object that others
    hide wholly is lost.

    Raises:
        SegmentationError: more than 65535 objects.
    """
    objects: dict[str, list[float] | list[int]] = {"class_id": instances.class_id.tolist()}
    if instances.score is not None:
        objects["score"] = [float(f"{score:.9g}") for score in instances.score]  # nine digits keep a float32
    if instances.is_crowd is not None:
        objects["is_crowd"] = instances.is_crowd.astype(int).tolist()
    return write_ids(path, instances.to_ids(), bits=16, note=note_of(instances.classes) | {"objects": objects})


def _with_stored_objects(mask: MaskValues, classes: ClassSpace | None, path: str | Path) -> Instances:
    stored, objects = mask.classes, mask.objects or {}
    numbers = np.unique(mask.values[mask.values > 0])
    if stored is None or (len(numbers) and numbers[-1] > len(objects.get("class_id", ()))):
        raise DataError(f"{path} holds more objects than it says anything about: it was edited elsewhere. Give `class_id`.")
    classes = classes or stored
    class_id = {int(n): classes.index(stored.names[objects["class_id"][n - 1]]) for n in numbers}
    found = Instances.from_ids(mask.values, classes, class_id)
    score = np.array(objects["score"], np.float32)[numbers - 1] if "score" in objects else None
    crowd = np.array(objects["is_crowd"], np.bool_)[numbers - 1] if "is_crowd" in objects else None
    return Instances(found.masks, found.class_id, classes, score, crowd)
