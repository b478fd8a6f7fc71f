"""Masks of one binary file per class, `CLASS/STEM.png` or `STEM_CLASS.png`: which files belong to an image, and what they say."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from intarsia.core import Array, ClassSpace, DataError, LabelMap, MultiLabel
from intarsia.data.datasets._faults import Fault, FaultyFolder
from intarsia.data.formats.class_files import IGNORE, merge_class_files, spellings

__all__ = ["describe_class_files", "group_by_class", "read_labels"]


def group_by_class(
    images: Collection[str], masks: Mapping[str, Path], declared: ClassSpace | None, reserved: Collection[str]
) -> dict[str, dict[str, Path]]:
    """The files of each image by class name, as far as their names say so for certain; {} where they do not.

    With declared classes a name must be made of an image and a class. Without them, folders of files that are called like the
    images are classes, and so are the endings of files if every image has the same two or more; not where they differ by a number
    only, or divide the images between them.

    Args:
        images: their names, without ending.
        masks: all files below the folder of masks, by relative path without ending.
        declared: the classes, if they are.
        reserved: what means something else at either place ("train", "mask") and is no class unless declared.

    Raises:
        FaultyFolder: two files for one class of one image.
    """
    names = [mask for mask in masks if mask not in images]  # what is called like an image is its one mask
    meant = _guess(images, names, reserved) if declared is None else _look_up(images, names, spellings(declared))
    found: defaultdict[str, dict[str, Path]] = defaultdict(dict)
    for mask, (image, name) in meant.items():
        other = found[image].setdefault(name, masks[mask])
        if other != masks[mask]:
            message = f"Two files hold {name!r} of {image}: {other} and {masks[mask]}. Keep one."
            raise FaultyFolder(Fault("duplicate_name", message, (other, masks[mask])))
    return dict(found)


def read_labels(files: Mapping[str, Path], classes: ClassSpace, *, last_wins: bool = False) -> LabelMap:
    """The class of each pixel; what "ignore" marks is ignored, whatever else claims it.

    Args:
        files: of one image, by class name.
        classes: the classes.
        last_wins: whether a pixel in several files belongs to the last of their classes, and is no error.

    Raises:
        DataError: files that cannot be read or differ in size, pixels of two classes, or pixels of none.
    """
    merged = merge_class_files(files, classes)
    if isinstance(merged, LabelMap):
        return merged
    valid = np.ones(merged.size_hw, np.bool_) if merged.valid is None else merged.valid
    claims = merged.masks.sum(0)
    twice, left = valid & (claims > 1), valid & (claims == 0)
    if twice.any() and not last_wins:
        raise DataError(_overlap(merged, twice, files))
    if left.any():
        raise DataError(
            f"{left.sum():,} pixels ({left.mean():.1%}) lie in none of {', '.join(map(str, files.values()))}. A class called "
            f"'background' without a file takes what is left, and a file called {IGNORE!r} marks pixels without truth."
        )
    ids = len(classes) - 1 - merged.masks[::-1].argmax(0)
    return LabelMap(np.where(valid, ids, classes.ignore_id).astype(classes.id_dtype), classes)


def describe_class_files(files: Sequence[Mapping[str, Path]], names: Sequence[str]) -> str:
    """A sentence that says how many images have files per class, and in how many a class is absent for want of one."""
    absent = {name: sum(name not in of_image for of_image in files) for name in names if name != "background"}
    listed = ", ".join(f"{name} in {count}" for name, count in absent.items() if count)
    without = f" Taken not to occur, for want of a file: {listed}." if listed else ""
    return f"{len(files)} {'image has' if len(files) == 1 else 'images have'} one mask file per class.{without}"


def _look_up(images: Collection[str], masks: Iterable[str], owner: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The image and declared class of each file; {} if one could belong to two."""
    meant = {}
    for mask in masks:
        readings = {(image, owner[name]) for image, name in (*_in_folder(mask, images), *_ending(mask, images)) if name in owner}
        if len(readings) > 1:
            return {}
        if readings:
            meant[mask] = readings.pop()
    return meant


def _guess(images: Collection[str], masks: Sequence[str], reserved: Collection[str]) -> dict[str, tuple[str, str]]:
    """The image and probable class of each file; {} if the names could as well mean something else."""
    meant = {mask: reading for mask in masks for reading in _in_folder(mask, images)}
    are_endings = not meant
    if are_endings:
        meant = {mask: next(_ending(mask, images), ("", "")) for mask in masks}
    names: defaultdict[str, set[str]] = defaultdict(set)
    for image, name in meant.values():
        names[image].update({name} - {IGNORE})
    known = {name for of_image in names.values() for name in of_image}
    if are_endings and (len(known) < 2 or any(of_image != known for of_image in names.values())):
        return {}  # `_mine` after every name is a word for mask, and what only some names go on with may be anything
    if len(known) > 1 and all(len(of_image) < 2 for of_image in names.values()):
        return {}  # each image in one folder: batches
    if len({re.sub(r"\d", "", name) for name in known}) < len(known):
        return {}  # numbers: objects, annotators or folds
    return {} if any(name.lower() in reserved for name in known) else meant


def _in_folder(mask: str, images: Collection[str]) -> Iterator[tuple[str, str]]:
    name, _, image = mask.partition("/")
    if image in images:
        yield image, name


def _ending(mask: str, images: Collection[str]) -> Iterator[tuple[str, str]]:
    """Each image whose name the file's goes on from, the longest first, and how it goes on."""
    parts = mask.split("_")
    for cut in range(len(parts) - 1, 0, -1):
        image, name = "_".join(parts[:cut]), "_".join(parts[cut:])
        if image in images and name and "/" not in name:
            yield image, name


def _overlap(merged: MultiLabel, twice: Array, files: Mapping[str, Path]) -> str:
    """What to say of pixels that carry several classes: the two files that share most of them, and what can be done."""
    masks = merged.masks[:, twice]
    present = np.flatnonzero(masks.any(1)).tolist()
    count, first, second = max(((masks[i] & masks[j]).sum(), i, j) for i, j in combinations(present, 2))
    one, other = (files[merged.classes.names[index]] for index in (first, second))
    total = int(twice.sum())
    more = f" ({total:,} pixels of the image carry several classes)" if total > count else ""
    return (
        f"{count:,} pixels ({count / twice.size:.1%}) carry two classes: they lie in {one} and in {other}{more}. A semantic "
        "network needs one class per pixel. Keep the files apart, or declare the classes in intarsia.toml and with them "
        'overlap = "last": then the one further down the list has such pixels.'
    )
