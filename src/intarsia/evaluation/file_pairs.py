"""Which prediction file belongs to which truth."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from intarsia.core import DataError
from intarsia.data.formats import IMAGE_SUFFIXES

__all__ = ["annotators_by_name", "files_by_name", "files_of_both", "name_of", "paired_names"]

SHOWN = 8


def name_of(inside: Path) -> str:
    """The name that pairs a file: its path within the folder without ending.

    An accent is part of its letter or, in names from a Mac, a sign of its own: the same name in other bytes.
    """
    return unicodedata.normalize("NFC", inside.with_suffix("").as_posix())


def files_by_name(root: Path) -> dict[str, Path]:
    """The mask files at or below a path, by their path within it and without ending, sorted.

    Raises:
        DataError: there is no such path or no mask file, or two files of one name.
    """
    if root.is_file():
        return {name_of(Path(root.name)): root}
    if not root.is_dir():
        raise DataError(f"There is no file or folder {root}.")
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if path.suffix.lower() not in IMAGE_SUFFIXES or any(part.startswith(".") for part in inside.parts):
            continue
        name = name_of(inside)
        if name in found:
            raise DataError(f"{root} holds {found[name].name} and {path.name}; of files with one name only one can be meant.")
        found[name] = path
    if not found:
        raise DataError(f"{root} holds no mask file; one ends in {', '.join(IMAGE_SUFFIXES)}.")
    return found


def files_of_both(predictions: Path, truth: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """The files of predictions and truth by name; a single file of each belongs together whatever their names."""
    files, true_files = files_by_name(predictions), files_by_name(truth)
    return (dict.fromkeys(true_files, predictions) if predictions.is_file() and truth.is_file() else files), true_files


def paired_names(predictions: Iterable[str], truths: Iterable[str], predictions_at: Path, truths_at: Path) -> list[str]:
    """The names that both sides have.

    Raises:
        DataError: a name that one side has alone; the message lists them.
    """
    predicted, true = set(predictions), set(truths)
    without_truth, without_prediction = sorted(predicted - true), sorted(true - predicted)
    if not without_truth and not without_prediction:
        return sorted(true)
    said = []
    if without_prediction:
        said.append(f"Of {len(true)} truths in {truths_at}, {_listed(without_prediction)} have no prediction.")
    if without_truth:
        said.append(f"Of {len(predicted)} predictions in {predictions_at}, {_listed(without_truth)} have no truth.")
    raise DataError(f"{' '.join(said)} A prediction and its truth have the same name up to the ending.")


def annotators_by_name(predictions: Iterable[str], truths: Mapping[str, Path]) -> dict[str, list[Path]]:
    """The truths of each prediction: NAME, NAME_1 or NAME_a1, or files in a folder NAME. Others keep their own name."""
    known = set(predictions)
    found: dict[str, list[Path]] = {}
    for name, path in truths.items():
        numbered = re.fullmatch(r"(.+)_a?\d+", name)
        candidates = [name, numbered[1] if numbered else name, name.rpartition("/")[0]]
        found.setdefault(next((c for c in candidates if c in known), name), []).append(path)
    return found


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
