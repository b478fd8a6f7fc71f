"""score: files that any tool made against files of the truth, in scores with intervals. Never imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from intarsia.core import Task

if TYPE_CHECKING:
    from intarsia.evaluation.score import FileScores

__all__ = ["class_names", "score"]


def score(
    predictions: str | Path,
    truth: str | Path,
    task: Task = "semantic",
    *,
    classes: str | Sequence[str] | None = None,
    ignore: int | None = None,
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
        ignore: the value of pixels without truth. None: 255, where it occurs in the truth only.
        progress: called with number, count and name.

    Raises:
        IntarsiaError: files that cannot be read or do not pair, or options that do not fit them, in words.
    """
    from intarsia.evaluation.score import score_files

    return score_files(predictions, truth, task, classes=class_names(classes), ignore=ignore, progress=progress)


def class_names(given: str | Sequence[str] | None) -> list[str] | None:
    """Names from a list, "a,b,c" or a text file with one in each line."""
    if given is None or not isinstance(given, str):
        return None if given is None else list(given)
    path = Path(given)
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else given.split(",")
    return [line.strip() for line in lines if line.strip()]
