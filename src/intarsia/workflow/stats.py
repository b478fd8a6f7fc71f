"""stats: what a data set holds, as one HTML file. Never imports torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from intarsia.core import Dataset
from intarsia.data.datasets import find_dataset, open_dataset
from intarsia.data.describe import DataStatistics, describe_dataset

__all__ = ["stats"]


def stats(
    data: str | Path | Dataset,
    *,
    view: str | None = None,
    out: str | Path | None = None,
    command: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> DataStatistics:
    """Count classes, objects and sizes of a data set.

    Args:
        data: as `open_dataset` takes it, or a data set.
        view: "semantic", "instance" or "panoptic"; None is the data set's own.
        out: the HTML file to write; None for none.
        command: what was typed, for the page.
        progress: called with the samples counted and their number.

    Raises:
        DataError: a data set that cannot be read.
        SettingsError: a view that the data set does not have.
    """
    dataset = open_dataset(data, view=view or _own_view(data)) if isinstance(data, str | Path) else data
    found = describe_dataset(dataset, progress=progress)
    if out is not None:
        from intarsia.evaluation.statistics_page import write_statistics

        write_statistics(out, found, command=command)
    return found


def _own_view(data: str | Path) -> str | None:
    """Objects where a data set is a file of them: its semantic view, which is asked for elsewhere, has none."""
    return "instance" if find_dataset(data)[0] == "coco" else None
