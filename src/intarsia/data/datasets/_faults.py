"""What is wrong with a folder, fault by fault: opening it refuses the first look, `check` goes on and lists all."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from intarsia.core import DataError

__all__ = ["Fault", "FaultyFolder"]


class Fault(NamedTuple):
    """One thing that is wrong.

    code: a word for its kind, such as "missing_mask"; docs/datasets.md lists them.
    message: the sentences that say it.
    files: those it concerns.
    """

    code: str
    message: str
    files: tuple[Path, ...] = ()


class FaultyFolder(DataError):
    """A folder that is no usable data set, with all that was found to be wrong."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(*faults)
        self.faults = faults

    def __str__(self) -> str:
        return " ".join(fault.message for fault in self.faults)
