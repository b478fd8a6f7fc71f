"""Images that a label file does not name: those of the same name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from intarsia.data.formats.image import IMAGE_SUFFIXES

__all__ = ["images_beside"]


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
