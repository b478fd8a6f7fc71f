"""Which label format is this? Each annotation format answers for itself; nothing but names and a few KB is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, cast

from intarsia.core import DataError, SettingsError, nearest_names
from intarsia.data.formats import FORMATS, _coco_sets
from intarsia.data.formats._annotated import AnnotatedSet, Kind, WriteReport
from intarsia.data.formats._few_files import few_files

__all__ = ["Found", "annotation_formats", "find_format", "format_kinds", "format_reader", "format_writer"]

FILE_SUFFIXES = (".json", ".csv", ".xml", ".geojson", ".zip")
MOST_FILES = 4
"""So many files of labels side by side are no longer one data set in one file."""

Reader = Callable[..., AnnotatedSet]
Writer = Callable[..., WriteReport]

COCO: dict[str, Kind] = {"coco": "instance", "coco_panoptic": "panoptic"}
"""Formats whose `read_NAME` gives a file and not a set, with their kinds."""


class Found(NamedTuple):
    """A format that was recognised.

    name: in `FORMATS`.
    why: a sentence.
    path: what `read_NAME` takes: the path asked about, or the one file of labels in that folder.
    """

    name: str
    why: str
    path: Path


def annotation_formats() -> tuple[str, ...]:
    """Names of the formats of whole data sets: those whose file has `recognizes_NAME`."""
    return tuple(name for name, _ in _recognizers())


def find_format(path: str | Path) -> Found | None:
    """The label format of a file or folder, and why; None where it is none that we know.

    Raises:
        DataError: two formats claim it, which the message names.
    """
    path = Path(path)
    found = _claims(path)
    if not found and path.is_dir():
        found = [claim for file in _label_files(path) for claim in _claims(file)]
    if len(found) > 1:
        claims = " ".join(f"{claim.name} ({claim.path}): {claim.why}" for claim in found)
        raise DataError(f"{path} could be {' or '.join(c.name for c in found)}. {claims} Say which, as in {found[0].name}:PATH.")
    return found[0] if found else None


def format_kinds(name: str) -> tuple[Kind, ...]:
    """The kinds of truth that `write_NAME` takes, the best first."""
    return (COCO[name],) if name in COCO else getattr(FORMATS.module(name), "KINDS", ("instance",))


def format_reader(name: str) -> Reader:
    """`read_NAME`.

    Raises:
        SettingsError: no annotation format is called so.
    """
    return cast("Reader", _function(name, "read"))


def format_writer(name: str) -> Writer:
    """`write_NAME`.

    Raises:
        SettingsError: no annotation format is called so, or it is only read.
    """
    return cast("Writer", _function(name, "write"))


def _claims(path: Path) -> list[Found]:
    return [Found(name, why, path) for name, recognizes in _recognizers() if (why := recognizes(path)) is not None]


def _label_files(folder: Path) -> list[Path]:
    """The files in a folder that may hold the labels of all its images; none where there are many."""
    files = [file for suffix in FILE_SUFFIXES for file in few_files(folder, suffix, MOST_FILES, deepest=0)]
    return files if len(files) < MOST_FILES else []


def _function(name: str, verb: str) -> object:
    known = annotation_formats()
    if name not in known:
        near = nearest_names(name, known)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise SettingsError(f"There is no annotation format called {name!r}.{hint} Known: {', '.join(known)}.")
    if name in COCO:
        return getattr(_coco_sets, f"{verb}_{name}_set")
    function = getattr(FORMATS.module(name), f"{verb}_{name}", None)
    if function is None:
        raise SettingsError(f"The format {name} is not {'written' if verb == 'write' else 'read'}.")
    return function


def _recognizers() -> Iterator[tuple[str, Callable[[Path], str | None]]]:
    for name in FORMATS.names:
        recognizes = getattr(_coco_sets if name in COCO else FORMATS.module(name), f"recognizes_{name}", None)
        if recognizes is not None:
            yield name, recognizes
