"""convert: any data set or label format to any label format. Never imports torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intarsia.core import DataError, Dataset, IntarsiaError, SettingsError
from intarsia.data._each_image import Images
from intarsia.data.convert import COMPARED, Conversion, convert_set, target_kinds
from intarsia.data.datasets import find_dataset, open_dataset
from intarsia.data.datasets.annotations import annotated_of, kind_of
from intarsia.data.formats._annotated import AnnotatedSet
from intarsia.data.formats._recognize import annotation_formats, find_format, format_reader
from intarsia.data.formats._set_views import combined, of_classes, viewed
from intarsia.workflow.progress import tell_of

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["convert"]

IMAGES: tuple[Images, ...] = ("copy", "link", "leave")
FEW = 200
"""Images that one process has converted before others have started."""


def convert(
    source: str | Path | Dataset | AnnotatedSet,
    out: str | Path,
    *,
    to: str,
    kind: str | None = None,
    semantic: str | Path | None = None,
    classes: Sequence[str] | None = None,
    images: str = "copy",
    workers: int | None = 1,
    compare: int = COMPARED,
    options: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> Conversion:
    """Write a data set in another label format. A run that was killed goes on when it is started again.

    Args:
        source: a folder or file of any label format, whose images need not be there, or what `open_dataset` takes, or a data set.
        out: a new or empty folder, or that of a run that was killed.
        to: the format, a name in `intarsia.data.convert.target_formats()`.
        kind: "instance", "semantic" or "panoptic": the truths to write. None: those of the source if the format takes them.
        semantic: label maps of the same images, which with the objects of `source` make panoptic maps.
        classes: names of the classes to keep, in their new order; None keeps all.
        images: "copy", "link" (hard links, on one disk) or "leave" the image files.
        workers: processes; None chooses by the number of images.
        compare: up to so many images are read back and compared; 0 for none.
        options: keyword arguments of the format's writer.
        console: where to say how far it has come.

    Raises:
        DataError: a source that cannot be read; the message names the file.
        SettingsError: a format, kind, class or option that does not exist, or a folder that holds something else.
    """
    way = next((way for way in IMAGES if way == images), None)
    if way is None:
        raise SettingsError(f"--images is {images!r}; {', '.join(IMAGES)} is expected.")
    kinds = target_kinds(to)
    wanted = None if kind is None else kind_of(kind)
    if wanted is not None and wanted not in kinds:
        raise SettingsError(f"{to} holds truths of kind {' or '.join(kinds)}, not {wanted}.")
    if semantic is not None:
        objects, labels = _opened(source, "instance"), _opened(semantic, "semantic")
        annotated = combined(viewed(objects, "instance"), viewed(labels, "semantic"))
    else:
        annotated = _opened(source, wanted, *kinds)
    if classes is not None:
        annotated = of_classes(annotated, classes)
    if wanted is not None:
        annotated = viewed(annotated, wanted)
    return convert_set(
        annotated,
        out,
        to,
        images=way,
        workers=_count(len(annotated)) if workers is None else workers,
        compare=compare,
        options=options,
        progress=tell_of("convert", console),
    )


def _opened(source: str | Path | Dataset | AnnotatedSet, *views: str | None) -> AnnotatedSet:
    """The source as a set, with truths of the first of these kinds that it has."""
    if isinstance(source, AnnotatedSet):
        return source
    if not isinstance(source, str | Path):
        return annotated_of(source)
    name, _, rest = str(source).partition(":")
    if rest and name in annotation_formats() and not Path(source).exists():
        return format_reader(name)(Path(rest))
    if Path(source).is_file() and (found := find_format(source)) is not None:
        return format_reader(found.name)(Path(source))  # which asks for no image
    if find_dataset(source)[0] == "annotations":
        found = find_format(source)
        if found is not None:
            return format_reader(found.name)(found.path)
    refused: list[IntarsiaError] = []
    for view in dict.fromkeys([*filter(None, views), "panoptic", "instance", "semantic"]):
        try:
            return annotated_of(open_dataset(source, view=view))
        except (DataError, SettingsError) as error:  # which data sets have which view, they say when asked
            refused.append(error)
    raise refused[0]


def _count(images: int) -> int:
    return 1 if images <= FEW else min(8, os.cpu_count() or 1)
