"""One binary file per class: `STEM_CLASS.png`, or `CLASS/STEM.png`. The only PNG form in which classes may overlap."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from intarsia.core import BoolArray, ClassSpace, DataError, LabelMap, MultiLabel, SegmentationError
from intarsia.data.formats.binary import read_binary, write_binary
from intarsia.data.formats.image import IMAGE_SUFFIXES

__all__ = ["read_class_files", "write_class_files"]

IGNORE = "ignore"
"""Stands in place of the class in the name of the file that marks pixels without truth."""


def spellings(classes: ClassSpace) -> dict[str, str]:
    """What may stand for a class in the name of a file, to the class's name: that name, or a text among its source values.

    "ignore", and a text among the ignored source values, stand for "ignore".
    """
    ignored = [IGNORE, *(source for source in classes.ignore_sources if isinstance(source, str))]
    named = {
        source: entry.name for entry in classes.classes for source in (entry.name, *entry.sources) if isinstance(source, str)
    }
    return dict.fromkeys(ignored, IGNORE) | named


def find_class_files(folder: str | Path, stem: str, classes: ClassSpace) -> dict[str, Path]:
    """The files of one image by class name, found as `STEM_NAME.*` or `NAME/STEM.*`. A class without a file is left out."""
    found: dict[str, Path] = {}
    for spelling, owner in spellings(classes).items():
        forms = (f"{stem}_{spelling}", f"{spelling}/{stem}")
        candidates = (Path(folder, form + suffix) for form in forms for suffix in IMAGE_SUFFIXES)
        for file in filter(Path.is_file, candidates):
            if owner in found:
                raise DataError(f"Two files hold {owner!r} of {stem}: {found[owner]} and {file}. Keep one.")
            found[owner] = file
    return found


def read_class_files(folder: str | Path, stem: str, classes: ClassSpace) -> LabelMap | MultiLabel:
    """Read the masks of one image. Classes without a file do not occur in it.

    Returns:
        A LabelMap if every pixel is ignored, has exactly one class, or has none and there is a class "background" without a
        file, which then takes it. A MultiLabel otherwise.

    Raises:
        DataError: no file at all, a file that is no binary mask, or files of different sizes.
    """
    files = find_class_files(folder, stem, classes)
    if not files:
        raise DataError(
            f"{folder} holds no file for {stem}; {stem}_{classes.names[0]}.png or {classes.names[0]}/{stem}.png was expected."
        )
    return merge_class_files(files, classes)


def merge_class_files(files: Mapping[str, Path], classes: ClassSpace) -> LabelMap | MultiLabel:
    """Read the masks of one image, at least one, given by class name; "ignore" may be among them. See `read_class_files`."""
    read = {name: read_binary(file) for name, file in files.items()}
    sizes = {mask.shape: name for name, mask in read.items()}
    if len(sizes) > 1:
        listed = ", ".join(f"{files[name]} {size[0]} x {size[1]}" for size, name in sizes.items())
        raise DataError(f"The masks of one image differ in size (height x width): {listed}.")
    size = next(iter(read.values())).shape
    ignored = read.pop(IGNORE, np.zeros(size, np.bool_)) if IGNORE not in classes.names else np.zeros(size, np.bool_)
    masks: BoolArray = np.stack([read.get(name, np.zeros(size, np.bool_)) for name in classes.names])
    if "background" in classes.names and "background" not in read:
        masks[classes.index("background")] = ~(masks.any(0) | ignored)
    if (masks.sum(0) + ignored == 1).all():
        ids = masks.argmax(0).astype(classes.id_dtype)
        ids[ignored] = classes.ignore_id
        return LabelMap(ids, classes)
    return MultiLabel(masks, classes, ~ignored if ignored.any() else None)


def write_class_files(folder: str | Path, stem: str, segmentation: LabelMap | MultiLabel) -> dict[str, Path]:
    """Write `STEM_CLASS.png` for every class, and `STEM_ignore.png` where pixels have no truth.

    Returns:
        The files by class name.

    Raises:
        SegmentationError: a label map without classes, or ignored pixels beside a class called "ignore".
    """
    classes = segmentation.classes
    if classes is None:
        raise SegmentationError(f"{stem}: regions without classes cannot be written as one file per class; use `write_index`.")
    if isinstance(segmentation, LabelMap):
        masks = {name: segmentation.ids == index for index, name in enumerate(classes.names)}
        ignored = segmentation.ids == classes.ignore_id
    else:
        masks = dict(zip(classes.names, segmentation.masks, strict=True))
        ignored = np.zeros(segmentation.size_hw, np.bool_) if segmentation.valid is None else ~segmentation.valid
    if ignored.any():
        if IGNORE in masks:
            raise SegmentationError(
                f"{stem}: a class called {IGNORE!r} and ignored pixels would share one file; rename the class."
            )
        masks[IGNORE] = ignored
    return {name: write_binary(Path(folder) / f"{stem}_{name}.png", mask) for name, mask in masks.items()}
