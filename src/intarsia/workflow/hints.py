"""Which hints belong to which image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from intarsia.core import Hints, SettingsError
from intarsia.data.hints_file import HINT_SUFFIXES, read_hints

__all__ = ["open_hints"]


def open_hints(hints: str | Path | Hints | None = None, boxes: Sequence[Sequence[float]] = ()) -> Callable[[Path], Hints | None]:
    """A function from an image's path to what was said about it.

    Args:
        hints: said about every image, from a file or not; or a folder that holds STEM.json or STEM.png for an image STEM.jpg.
        boxes: x0, y0, x1, y1 of each box, for every image; they come to those of `hints`.

    Raises:
        SettingsError: a file that is not there, or an empty box.
    """
    own = Hints(boxes_xyxy=np.array(boxes, np.float64)) if len(boxes) else None
    if isinstance(hints, str | Path):
        place = Path(hints)
        if place.is_dir():
            return lambda image: _join(_find(place, image), own)
        if not place.is_file():
            raise SettingsError(f"There is no hints file {str(place)!r}; give a scribble map (.png), .json, or a folder of them.")
        hints = read_hints(place)
    joined = _join(hints, own)
    return lambda image: joined


def _find(folder: Path, image: Path) -> Hints | None:
    for suffix in HINT_SUFFIXES:
        path = folder / f"{image.stem}{suffix}"
        if path.is_file():
            return read_hints(path)
    return None


def _join(hints: Hints | None, boxes: Hints | None) -> Hints | None:
    if hints is None or boxes is None:
        return hints if boxes is None else boxes
    known = [part for part in (hints.boxes_xyxy, boxes.boxes_xyxy) if part is not None]
    return replace(hints, boxes_xyxy=np.concatenate(known))
