"""Any data set or label format to any label format: image by image, in several processes, resumable after a kill. No torch.

OUT/images/KEY.jpg          the image files: copied, linked, or left where they are
OUT/...                     what the format asks for
OUT/split.toml              train, val and test, where the format itself does not say them
"""

from __future__ import annotations

import hashlib
import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core import DataError, SettingsError
from intarsia.data._each_image import EachImage, Images, Progress
from intarsia.data._journal import Journal
from intarsia.data.datasets._mask_folders import MASK_FOLDERS, write_mask_folder
from intarsia.data.datasets._split_file import SPLIT, write_split
from intarsia.data.datasets.annotations import annotated_of
from intarsia.data.datasets.folder import Folder
from intarsia.data.formats import FORMATS
from intarsia.data.formats._annotated import AnnotatedSet, Kind, WriteReport
from intarsia.data.formats._recognize import COCO, annotation_formats, format_kinds, format_reader, format_writer
from intarsia.data.formats._round_trip import round_trip_ious
from intarsia.data.formats._set_views import of_classes, viewed

__all__ = ["Conversion", "convert_set", "target_formats", "target_kinds"]

COMPARED = 100
"""Images that are read back after a conversion, unless asked for otherwise."""
WITH_IMAGES = (*MASK_FOLDERS, "yolo")
"""Formats that are opened with their images only: the images say what there is, or how large it is."""
NOT_BACK = "an image that was written is not found when the result is read"


@dataclass(frozen=True)
class Conversion:
    """What was converted.

    to: the format.
    out: the folder.
    kind: of the truths that were written.
    classes: their names, in order.
    images: their number.
    splits: images of each split.
    objects: objects or segments of each class, by name; in label maps the images in which it occurs.
    lost: how often each sentence about what could not be represented holds.
    compared: images that were read back.
    iou: mean IoU of the objects, classes or segments of those images with what was written; None where none was compared.
    lowest_iou: the lowest of them.
    notes: sentences about the result.
    """

    to: str
    out: Path
    kind: Kind
    classes: Sequence[str]
    images: int
    splits: Mapping[str, int]
    objects: Mapping[str, int]
    lost: Mapping[str, int]
    compared: int
    iou: float | None
    lowest_iou: float | None
    notes: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "to": self.to,
            "out": str(self.out),
            "kind": self.kind,
            "classes": list(self.classes),
            "images": self.images,
            "splits": dict(self.splits),
            "objects": dict(self.objects),
            "lost": dict(self.lost),
            "compared": self.compared,
            "iou": self.iou,
            "lowest_iou": self.lowest_iou,
            "notes": list(self.notes),
        }


def target_formats() -> tuple[str, ...]:
    """Names of the formats that can be written."""
    return tuple(sorted({*MASK_FOLDERS, *(name for name in annotation_formats() if name in COCO or _writes(name))}))


def target_kinds(to: str) -> tuple[Kind, ...]:
    """The kinds of truth that a format takes, the best first.

    Raises:
        SettingsError: no such format.
    """
    if to not in target_formats():
        raise SettingsError(f"There is no format {to!r} to write. Known: {', '.join(target_formats())}.")
    return MASK_FOLDERS[to] if to in MASK_FOLDERS else format_kinds(to)


def convert_set(
    annotated: AnnotatedSet,
    out: str | Path,
    to: str,
    *,
    images: Images = "copy",
    workers: int = 1,
    compare: int = COMPARED,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Conversion:
    """Write a set in another format.

    A run that was killed goes on where it stopped when it is started again with the same arguments, and its result is the same
    byte for byte.

    Args:
        annotated: the set; truths of a kind that the format does not take are turned into one that it does.
        out: a new or empty folder, or that of a run that was killed.
        to: a name in `target_formats()`.
        images: "copy", "link" (hard links, on one disk) or "leave" the image files.
        workers: processes; more than 1 ask the calling script for `if __name__ == "__main__":`.
        compare: up to so many images, evenly spread, are read back and compared; 0 for none.
        options: keyword arguments of the format's writer.
        progress: called with the number of images done and of all.

    Raises:
        DataError: an image that cannot be read or written; the message names it. The next run goes on there.
        SettingsError: an unknown format or option, or a folder that holds something else.
    """
    if compare < 0:
        raise SettingsError(f"{compare} images cannot be compared; 0 or more are expected.")
    kinds = target_kinds(to)
    out, options = Path(out), dict(options or {})
    write = _writer(to, options)
    given = annotated if annotated.kind in kinds else viewed(annotated, kinds[0])
    if given.kind == "instance" and 0 < len(given.classes.thing_ids) < len(given.classes):
        given = of_classes(given, [given.classes.names[i] for i in given.classes.thing_ids])  # stuff has no objects
    if not given.keys:
        raise DataError(f"{annotated.name} holds no image, so there is nothing to convert.")
    journal = Journal(out, _settings(annotated, given, to, images, options))
    finished = False
    try:
        each = EachImage(given, journal, images, out / "images", workers, progress)
        placed = given.images if images == "leave" else {key: out / "images" / given.image_name(key) for key in given.keys}
        report = _write(write, out, to, replace(given, images=placed, through=each))
        back = _read_back(to, out, given.kind)
        notes = _keep_splits(out, given, back)
        notes += [f"Nothing was read back: {to} is opened with its images, and there are none."] if back is None else []
        ious, compared, missing = _compare(given, back, compare)
        finished = True
    finally:
        journal.close(finished=finished)
    return Conversion(
        to=to,
        out=out,
        kind=given.kind,
        classes=given.classes.names,
        images=report.images,
        splits={split: len(keys) for split, keys in given.splits.items()},
        objects=report.objects,
        lost={**report.lost, **({NOT_BACK: missing} if missing else {})},
        compared=compared,
        iou=float(np.mean(ious)) if ious else None,
        lowest_iou=min(ious) if ious else None,
        notes=notes,
    )


def _writes(name: str) -> bool:
    return hasattr(FORMATS.module(name), f"write_{name}")


def _writer(to: str, options: Mapping[str, Any]) -> Callable[[Path, AnnotatedSet], WriteReport]:
    """The writer with its options.

    Raises:
        SettingsError: an option that it does not have, or a value of another kind.
    """
    write = partial(write_mask_folder, form=to) if to in MASK_FOLDERS else format_writer(to)
    known = {name: p.default for name, p in list(inspect.signature(write).parameters.items())[2:] if name != "form"}
    strange = sorted(set(options) - set(known))
    if strange:
        raise SettingsError(f"{to} has no option {', '.join(strange)}. It has {', '.join(known) or 'none'}.")
    for name, value in options.items():
        if isinstance(known[name], bool) and not isinstance(value, bool):
            raise SettingsError(f"The option {name} of {to} is {value!r}; true or false is expected.")
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if type(known[name]) in (int, float) and not (is_number and 0 <= value < float("inf")):
            raise SettingsError(f"The option {name} of {to} is {value!r}; a number from 0 up is expected.")
    return partial(write, **options)


def _settings(annotated: AnnotatedSet, given: AnnotatedSet, to: str, images: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What must be the same for a run to go on."""
    keys = hashlib.sha256("\n".join(given.keys).encode()).hexdigest()[:16]
    return {
        "source": annotated.name,
        "format": to,
        "kind": given.kind,
        "classes": list(given.classes.names),
        "images": images,
        "keys": f"{len(given)} ({keys})",
        "options": dict(options),
    }


def _write(write: Callable[[Path, AnnotatedSet], WriteReport], out: Path, to: str, placed: AnnotatedSet) -> WriteReport:
    """One file for each split where COCO's formats are asked for, else one writing of all."""
    if to not in COCO:
        return write(out / getattr(FORMATS.module(to), "FILE", "") if to not in MASK_FOLDERS else out, placed)
    images, objects, lost = 0, Counter[str](), Counter[str]()
    for path, keys in _coco_files(to, out, placed):
        report = write(path, placed.limited(keys))
        images += report.images
        objects.update(report.objects)
        lost.update(report.lost)
    return WriteReport(images, dict(sorted(objects.items())), dict(lost))


def _coco_files(to: str, out: Path, given: AnnotatedSet) -> Iterator[tuple[Path, Sequence[str]]]:
    """The files that COCO calls instances_train.json, panoptic_val.json ..., with their images."""
    stem = "instances" if to == "coco" else "panoptic"
    listed = {key for keys in given.splits.values() for key in keys}
    rest = [key for key in given.keys if key not in listed]
    for split, keys in (*given.splits.items(), ("", rest)):
        if keys:
            yield out / f"{stem}_{split}.json".replace("_.", "."), keys


def _read_back(to: str, out: Path, kind: Kind) -> AnnotatedSet | None:
    """The result as a set; None where it cannot be opened without its images."""
    if to in COCO:
        stem = "instances" if to == "coco" else "panoptic"
        read = [(path, format_reader(to)(path)) for path in sorted(out.glob(f"{stem}*.json"))]
        splits = {path.stem.partition("_")[2]: part.keys for path, part in read}
        return _joined([part for _, part in read], {split: keys for split, keys in splits.items() if split})
    if to in WITH_IMAGES and not (out / "images").is_dir():
        return None
    if to in MASK_FOLDERS:
        return annotated_of(Folder(out, view=kind, val_fraction=0))
    back = format_reader(to)(out / getattr(FORMATS.module(to), "FILE", ""))
    return back if to not in WITH_IMAGES else back.limited([key for key in back.keys if back.images[key].is_file()])


def _joined(parts: Sequence[AnnotatedSet], splits: Mapping[str, Sequence[str]]) -> AnnotatedSet:
    owner = {key: part for part in parts for key in part.keys}
    images = {key: path for part in parts for key, path in part.images.items()}
    return replace(parts[0], keys=tuple(owner), reader=lambda key: owner[key].read(key), images=images, splits=splits)


def _keep_splits(out: Path, given: AnnotatedSet, back: AnnotatedSet | None) -> list[str]:
    """Write the split beside the result if the result does not say it."""
    wanted = {split: set(keys) for split, keys in given.splits.items() if keys}
    if not wanted or (back is not None and {s: set(keys) for s, keys in back.splits.items() if keys} == wanted):
        return []
    if not wanted.keys() <= {"train", "val", "test"}:
        return [f"The splits {', '.join(wanted)} are not said by the result, which knows train, val and test."]
    write_split(out / SPLIT, given.splits, "Written by `intarsia convert`: the splits of the source.")
    return [f"{out / SPLIT} says train, val and test{', which the format itself does not' if back is not None else ''}."]


def _compare(given: AnnotatedSet, back: AnnotatedSet | None, most: int) -> tuple[list[float], int, int]:
    """IoU of what was written with what is read back, the images compared, and those that are missing among all."""
    if back is None:
        return [], 0, 0
    there = set(back.keys)
    keys = [key for key in given.keys if key in there]
    found = viewed(back, given.kind)
    chosen = [keys[int(i)] for i in np.linspace(0, len(keys) - 1, min(most, len(keys)))]
    ious = [iou for key in chosen for iou in round_trip_ious(given.read(key).truth, found.read(key).truth)]
    return ious, len(chosen), len(given) - len(keys)
