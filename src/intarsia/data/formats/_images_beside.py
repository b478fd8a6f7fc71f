"""Where the images of a label file lie: under the name it says, or those of the same name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from intarsia.data.formats.image import IMAGE_SUFFIXES

__all__ = ["first_file", "images_beside"]


def first_file(places: Sequence[Path]) -> Path:
    """The first that is a file; the first of all where none is, also for names that no file system takes."""
    for place in places:
        with suppress(OSError):
            if place.is_file():
                return place
    return places[0]


def images_beside(keys: Iterable[str], folders: Sequence[Path]) -> dict[str, Path]:
    """The image of each key that has one, below the first folder that has it; a key may be a name with or without its ending."""
    found: dict[str, Path] = {}
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            if file.suffix.lower() in IMAGE_SUFFIXES:
                name = file.relative_to(folder)
                found.setdefault(name.with_suffix("").as_posix(), file)
                found.setdefault(name.as_posix(), file)
    return {key: found[key] for key in keys if key in found}
