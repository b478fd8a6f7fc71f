"""Cityscapes' `_instanceIds.png`: 16 bits, class x 1000 + number for objects, the class alone for stuff and for groups.

Source: https://github.com/mcordts/cityscapesScripts, labels and the creation of instance and panoptic images: a thing class
without a number is a group (a crowd), and classes that are not evaluated are void. Class ids in the file run from 0 to 33; the 19
evaluated ones are `CITYSCAPES_CLASSES`, whose colours are the published ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from intarsia.core import ClassSpace, DataError, LabelMap, Panoptic, SegmentationClass
from intarsia.core.class_space import Color
from intarsia.data.formats._masks import read_mask_values, require_kind, write_ids
from intarsia.data.formats.class_instance import segments_of

__all__ = ["read_cityscapes", "CITYSCAPES_CLASSES", "write_cityscapes"]  # noqa: RUF022 - the catalogue offers the first

_EVALUATED: dict[str, tuple[int, Color]] = {
    "road": (7, (128, 64, 128)),
    "sidewalk": (8, (244, 35, 232)),
    "building": (11, (70, 70, 70)),
    "wall": (12, (102, 102, 156)),
    "fence": (13, (190, 153, 153)),
    "pole": (17, (153, 153, 153)),
    "traffic light": (19, (250, 170, 30)),
    "traffic sign": (20, (220, 220, 0)),
    "vegetation": (21, (107, 142, 35)),
    "terrain": (22, (152, 251, 152)),
    "sky": (23, (70, 130, 180)),
    "person": (24, (220, 20, 60)),
    "rider": (25, (255, 0, 0)),
    "car": (26, (0, 0, 142)),
    "truck": (27, (0, 0, 70)),
    "bus": (28, (0, 60, 100)),
    "train": (31, (0, 80, 100)),
    "motorcycle": (32, (0, 0, 230)),
    "bicycle": (33, (119, 11, 32)),
}
_THINGS = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
_NOT_EVALUATED = (0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30)
CITYSCAPES_CLASSES = ClassSpace(
    tuple(SegmentationClass(name, color, (value,), name in _THINGS) for name, (value, color) in _EVALUATED.items()),
    ignore_id=255,
    ignore_sources=_NOT_EVALUATED,
)


def read_cityscapes(path: str | Path, classes: ClassSpace = CITYSCAPES_CLASSES) -> Panoptic:
    """Read one file.

    Args:
        path: the PNG file.
        classes: whose source values are the ids in the file.

    Raises:
        DataError: a file that cannot be read, holds colours, or numbers objects of a class that is no thing.
        ClassSpaceError: an id that no class claims; 65535, a licence plate, is void.
    """
    mask = read_mask_values(path)
    require_kind(mask, path, "index", "palette")
    values = mask.values.astype(np.int64)
    has_number = (values >= 1000) & (values < 65535)
    source = np.where(has_number, values // 1000, np.where(values == 65535, classes.ignore_id, values))
    labels = LabelMap(classes.ids_from_values(source, where=str(path)), classes)
    stuff = np.setdiff1d(np.arange(len(classes)), classes.thing_ids)
    odd = np.unique(values[has_number & np.isin(labels.ids, stuff)])
    if len(odd):
        name = classes.names[classes.id_of_source[int(odd[0]) // 1000]]
        raise DataError(
            f"{path} holds {odd[:6].tolist()}, objects of {name!r}, which is stuff and not counted. Is it a file of instanceIds?"
        )
    return segments_of(labels, np.where(has_number, values % 1000 + 1, 0), path, path)


def write_cityscapes(path: str | Path, panoptic: Panoptic) -> Path:
    """Write a map of Cityscapes' classes; objects of a class are numbered from 0, void is 0, "unlabeled".

    Raises:
        DataError: more than a thousand objects of a class, or a class without a number as its source.
    """
    table: dict[int, int] = {0: 0}
    count: dict[int, int] = {}
    for segment in panoptic.segments:
        entry = panoptic.classes.classes[segment.class_id]
        value = next((source for source in entry.sources if isinstance(source, int)), None)
        number = count.get(segment.class_id, 0)
        if value is None or number > 999:
            raise DataError(f"{path}: {'more than 1000 objects' if value is not None else 'no source value'} of {entry.name!r}.")
        counts = entry.is_thing and not segment.is_crowd
        count[segment.class_id] = number + counts
        table[segment.id] = value * 1000 + number if counts else value
    found, inverse = np.unique(panoptic.ids, return_inverse=True)
    values = np.array([table[int(v)] for v in found])[inverse].reshape(panoptic.ids.shape)
    return write_ids(path, values, bits=16)
