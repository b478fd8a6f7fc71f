"""What was named as data, as it is kept beside a run."""

from __future__ import annotations

from pathlib import Path

from intarsia.classical import OBJECTS
from intarsia.core import Dataset, IntarsiaError, Predictor, Task

__all__ = ["lasting_source", "open_truths"]


def open_truths(source: str | Path, predictor: Predictor, task: Task | None = None) -> Dataset:
    """The data with the truth that a predictor is compared with.

    Objects for a predictor of objects and panoptic maps for one of those, else classes of pixels; unless `task` says which.
    Classical methods, which find objects of no class, are compared by pixels where there is no truth of objects.

    Raises:
        IntarsiaError: data that cannot be opened, or have no such truth.
    """
    from intarsia.data.datasets import open_dataset

    wanted = task or predictor.task
    view = wanted if wanted in ("instance", "panoptic") else "semantic"
    try:
        return open_dataset(source, view=view)
    except IntarsiaError:
        if task is not None or predictor.classes is not OBJECTS:
            raise
        return open_dataset(source, view="semantic")


def lasting_source(source: str | Path) -> str:
    """What `open_dataset` takes, with its path made absolute, so that it means the same from any folder; generated data stay.

    Raises:
        DataError: a path that does not exist.
    """
    from intarsia.data.datasets import find_dataset

    name, rest = find_dataset(source)
    if not rest or not Path(rest).exists():
        return str(source)
    named = isinstance(source, str) and source.startswith(f"{name}:")
    return f"{name}:{Path(rest).absolute()}" if named else str(Path(rest).absolute())
