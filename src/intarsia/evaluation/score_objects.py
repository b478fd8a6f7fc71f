"""Objects and panoptic maps in the files of any tool, opened by name and read one at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from intarsia.core import BoolArray, ClassSpace, DataError, InstanceMasks, Instances, Panoptic, SettingsError
from intarsia.data.formats import read_instances, read_mask_values, read_panoptic
from intarsia.data.formats.coco import CocoFile, read_coco
from intarsia.data.formats.coco_panoptic import CocoPanopticFile, read_coco_panoptic
from intarsia.evaluation.file_pairs import files_by_name, files_of_both, name_of
from intarsia.evaluation.score_classes import Ignored, Values, ids_of, ignored_value

__all__ = ["Objects", "Segments", "open_instances", "open_panoptic"]

ONE_CLASS = ("object",)


class Objects(NamedTuple):
    """Pairs of objects by name, read when called, and what is to be said about them."""

    predicted: Mapping[str, Callable[[], Instances]]
    true: Mapping[str, Callable[[], Instances]]
    notes: list[str]


class Segments(NamedTuple):
    """Pairs of panoptic maps by name, read when called."""

    predicted: Mapping[str, Callable[[], Panoptic]]
    true: Mapping[str, Callable[[], Panoptic]]


def open_instances(predictions: Path, truth: Path, names: Sequence[str] | None, ignore: Ignored) -> Objects:
    """Object numbers in PNG files, or COCO JSON, on either side.

    Raises:
        DataError: files that cannot be read.
        SettingsError: classes where files of object numbers cannot tell several apart, or where COCO files say them.
    """
    true_coco = read_coco(truth) if truth.suffix.lower() == ".json" else None
    coco = read_coco(predictions, true_coco) if predictions.suffix.lower() == ".json" else None
    if coco or true_coco:
        files, true_files = ({} if coco else files_by_name(predictions)), ({} if true_coco else files_by_name(truth))
    else:
        files, true_files = files_of_both(predictions, truth)
    values, true_values = Values.of(files.values()), Values.of(true_files.values())
    stored = true_coco.classes if true_coco else true_values.stored or values.stored
    if names is not None and (stored is not None or len(names) > 1):
        raise SettingsError(
            f"The classes {', '.join(names)} are given, and "
            + (f"the files say theirs: {', '.join(stored.names)}." if stored else "object numbers cannot tell them apart.")
            + " Leave --classes out, or give one name for objects of one class."
        )
    classes = stored or ClassSpace.from_names(names or ONE_CLASS, things=names or ONE_CLASS)
    void, notes = (None, []) if true_coco or true_values.stored else ignored_value(ignore, true_values, values, numbers=True)
    if isinstance(ignore, int) and void is None:
        raise SettingsError(
            f"--ignore {ignore} is for files of object numbers by other tools; {truth} says itself what is a crowd."
        )
    true = _of_coco(true_coco) if true_coco else {n: partial(_objects, p, classes, void) for n, p in true_files.items()}
    predicted = _of_coco(coco) if coco else {n: partial(_objects, p, classes, None) for n, p in files.items()}
    return Objects(predicted, true, notes)


def open_panoptic(predictions: Path, truth: Path, ignore: Ignored) -> Segments:
    """PNG files each with its JSON beside, or COCO panoptic JSON with its folder, on either side.

    Raises:
        DataError: files that cannot be read.
    """
    true_coco = _coco_panoptic(truth, None)
    coco = _coco_panoptic(predictions, true_coco)
    if coco or true_coco:
        files, true_files = ({} if coco else files_by_name(predictions)), ({} if true_coco else files_by_name(truth))
    else:
        files, true_files = files_of_both(predictions, truth)
    classes = true_coco.classes if true_coco else read_panoptic(next(iter(true_files.values()))).classes
    true = _of_panoptic(true_coco) if true_coco else {n: partial(read_panoptic, path, classes) for n, path in true_files.items()}
    predicted = _of_panoptic(coco) if coco else {n: partial(read_panoptic, path, classes) for n, path in files.items()}
    if isinstance(ignore, int):
        true = {name: partial(_without, read, ignore) for name, read in true.items()}
    return Segments(predicted, true)


def _of_coco(file: CocoFile) -> dict[str, Callable[[], Instances]]:
    return {name_of(Path(name)): partial(file.instances.__getitem__, name) for name in file.instances}


def _objects(path: Path, classes: ClassSpace, void: int | None) -> Instances:
    """Objects that the file tells the classes of, or that are all of the one class."""
    mask = read_mask_values(path)
    if mask.objects is not None:
        return read_instances(path, classes)
    if len(classes) > 1:
        raise DataError(
            f"{path} holds object numbers and does not say their classes, of which there are {len(classes)}: "
            f"{', '.join(classes.names[:8])}. Use COCO JSON, or files that Intarsia writes."
        )
    ids = ids_of(mask, path)
    if void is None:
        return Instances.from_ids(ids, classes, 0)
    return _with_crowd(Instances.from_ids(np.where(ids == void, 0, ids), classes, 0), ids == void)


def _with_crowd(objects: Instances, region: BoolArray) -> Instances:
    """With one more object, a crowd: nothing on it counts."""
    crops = [((int(y.start), int(x.start)), crop) for (y, x), crop in objects.masks.crops()]
    masks = InstanceMasks.pack_crops([*crops, ((0, 0), region)], objects.size_hw)
    crowd = np.arange(len(masks)) == len(objects)
    return replace(objects, masks=masks, class_id=np.append(objects.class_id, 0), is_crowd=crowd)


def _coco_panoptic(path: Path, truth: CocoPanopticFile | None) -> CocoPanopticFile | None:
    """The COCO file at a path, or beside a folder and called like it."""
    beside = path if path.suffix.lower() == ".json" else path.with_name(f"{path.name}.json")
    return read_coco_panoptic(beside, truth=truth) if beside.is_file() else None


def _of_panoptic(file: CocoPanopticFile) -> dict[str, Callable[[], Panoptic]]:
    return {name_of(Path(name)): partial(file.read, name) for name in file.segments}


def _without(read: Callable[[], Panoptic], ignore: int) -> Panoptic:
    """A map without one segment, whose pixels become void."""
    panoptic = read()
    ids = np.where(panoptic.ids == ignore, 0, panoptic.ids)
    return replace(panoptic, ids=ids, segments=tuple(segment for segment in panoptic.segments if segment.id != ignore))
