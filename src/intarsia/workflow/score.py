"""score: files that any tool made against files of the truth, in scores with intervals. Never imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from intarsia.core import SettingsError, Task

if TYPE_CHECKING:
    from intarsia.evaluation.score import FileScores
    from intarsia.evaluation.score_classes import Ignored

__all__ = ["class_names", "score"]


def score(
    predictions: str | Path,
    truth: str | Path,
    task: Task = "semantic",
    *,
    classes: str | Sequence[str] | None = None,
    ignore: int | str | None = None,
    allow_partial: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> FileScores:
    """Score files that any tool made. A file and its truth have the same name up to the ending.

    Args:
        predictions: a folder, a file, or COCO JSON.
        truth: likewise.
        task: "semantic" masks of class ids, "instance" (object numbers or COCO JSON), "panoptic" (COCO panoptic, or as Intarsia
            writes it) or "regions" (region numbers, by one or several annotators).
        classes: names of the ids 0, 1 ...: a list, "a,b,c", or a text file with one in each line. None: those stored in files
            that Intarsia wrote, else one class for each id seen.
        ignore: the value of pixels without truth, or "none" where all have one. None: 255, where it occurs in the truth only.
        allow_partial: score semantic masks even if most pixels are ignored or only one class is scored, with a note.
        progress: called with number, count and name.

    Raises:
        IntarsiaError: files that cannot be read or do not pair, or options that do not fit them, in words. ScoreRefused, one of
            them, where the scores would not mean what they seem to.
    """
    from intarsia.evaluation.score import score_files

    return score_files(
        predictions,
        truth,
        task,
        classes=class_names(classes),
        ignore=_ignored(ignore),
        allow_partial=allow_partial,
        progress=progress,
    )


def class_names(given: str | Sequence[str] | None) -> list[str] | None:
    """Names from a list, "a,b,c" or a text file with one in each line."""
    if given is None or not isinstance(given, str):
        return None if given is None else list(given)
    path = Path(given)
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else given.split(",")
    return [line.strip() for line in lines if line.strip()]


def _ignored(given: int | str | None) -> Ignored:
    if given is None or isinstance(given, int):
        return given
    if given.strip().lower() == "none":
        return "none"
    try:
        return int(given)
    except ValueError:
        raise SettingsError(f"The value to ignore is {given!r}; say a number, or none where all pixels have a truth.") from None
