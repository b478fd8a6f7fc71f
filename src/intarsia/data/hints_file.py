"""Hints as files: a scribble map as PNG, or boxes, points and the name of a scribble map as JSON.

A scribble map is a grey or palette PNG of class ids, 255 where nothing was said. The JSON has the names of `Hints`:

    {"boxes_xyxy": [[12, 8, 90, 70]], "points_yx": [[30, 40], [4, 4]], "point_class": [1, 0], "scribbles": "photo.scribbles.png"}

with any of them left out; the scribble map is looked for beside the JSON file.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from intarsia.core import Array, DataError, Hints
from intarsia.data.formats import read_mask_values, write_image

__all__ = ["HINT_SUFFIXES", "read_hints", "write_hints"]

HINT_SUFFIXES = (".json", ".png")
NOTHING_SAID = 255


def read_hints(path: str | Path) -> Hints:
    """Read hints from JSON, or a scribble map from PNG.

    Raises:
        DataError: a file that cannot be read, of another kind, or with other contents.
        SettingsError: hints that say nothing, or arrays that do not fit each other.
    """
    path = Path(path)
    if path.suffix.lower() == ".png":
        return Hints(scribbles=_read_scribbles(path))
    if path.suffix.lower() != ".json":
        raise DataError(f"{path} ends in {path.suffix or 'nothing'}; hints are a scribble map (.png) or .json.")
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        unknown = set(said) - {"boxes_xyxy", "points_yx", "point_class", "scribbles"}
        boxes, points, classes = (
            None if name not in said else np.array(said[name], dtype).reshape(shape)
            for name, dtype, shape in (("boxes_xyxy", float, (-1, 4)), ("points_yx", int, (-1, 2)), ("point_class", int, (-1,)))
        )
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path} cannot be read as hints: {error}. See `intarsia.data.hints_file` for an example.") from error
    if unknown:
        raise DataError(f"{path} holds {sorted(unknown)}; hints are boxes_xyxy, points_yx with point_class, and scribbles.")
    scribbles = _read_scribbles(path.parent / said["scribbles"]) if "scribbles" in said else None
    return Hints(boxes, points, classes, scribbles)


def write_hints(path: str | Path, hints: Hints) -> Path:
    """Write hints: scribbles alone as PNG, anything as JSON with the scribbles in `STEM.scribbles.png` beside it.

    Raises:
        DataError: an ending that does not hold them, or class ids of scribbles outside 0 to 254.
    """
    path = Path(path)
    if path.suffix.lower() == ".png" and hints.kinds == ("scribbles",) and hints.scribbles is not None:
        return _write_scribbles(path, hints.scribbles)
    if path.suffix.lower() != ".json":
        raise DataError(f"{path} does not hold {' and '.join(hints.kinds)}; .json holds all hints, .png scribbles alone.")
    arrays = {"boxes_xyxy": hints.boxes_xyxy, "points_yx": hints.points_yx, "point_class": hints.point_class}
    said: dict[str, object] = {name: array.tolist() for name, array in arrays.items() if array is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    if hints.scribbles is not None:
        said["scribbles"] = _write_scribbles(path.with_suffix(".scribbles.png"), hints.scribbles).name
    path.write_text(json.dumps(said), encoding="utf-8")
    return path


def _read_scribbles(path: Path) -> Array:
    mask = read_mask_values(path)
    values = mask.values[..., 0] if mask.is_grey else mask.values
    if values.ndim != 2:
        raise DataError(
            f"{path} is a colour image; a scribble map is a grey or palette PNG of class ids, 255 where nothing was said."
        )
    return np.where(values == NOTHING_SAID, -1, values.astype(np.int32))


def _write_scribbles(path: Path, scribbles: Array) -> Path:
    if scribbles.min(initial=-1) < -1 or scribbles.max(initial=-1) >= NOTHING_SAID:
        raise DataError(
            f"{path}: the scribbles have values {scribbles.min()} to {scribbles.max()}; a scribble map holds class ids 0 to 254, "
            "and -1 where nothing was said."
        )
    return write_image(path, np.where(scribbles < 0, NOTHING_SAID, scribbles).astype(np.uint8))
