"""What `check` finds, and how lists of files and values stand in its sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

__all__ = ["Finding", "listed", "plural", "share"]


@dataclass(frozen=True)
class Finding:
    """One thing that `check` found.

    severity: an error stops training, a warning goes into the report.
    code: a word for its kind, such as "size_mismatch"; docs/datasets.md lists them.
    message: what, which files, the values found, the probable cause, what to do.
    files: those it concerns.
    fix: the block of `intarsia.toml` that settles it, where one does.
    """

    severity: Literal["error", "warning"]
    code: str
    message: str
    files: tuple[str, ...] = ()
    fix: str | None = None

    @classmethod
    def error(cls, code: str, message: str, files: Iterable[Path | str] = (), fix: str | None = None) -> Finding:
        return cls("error", code, message, tuple(map(str, files)), fix)

    @classmethod
    def warning(cls, code: str, message: str, files: Iterable[Path | str] = (), fix: str | None = None) -> Finding:
        return cls("warning", code, message, tuple(map(str, files)), fix)

    def to_dict(self) -> dict[str, Any]:
        return {
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "files": list(self.files),
            "fix": self.fix,
        }

    def sentences(self) -> str:
        """The message, and the block below it."""
        return self.message if self.fix is None else f"{self.message}\n{self.fix.rstrip()}"


def listed(names: Iterable[object], most: int = 5) -> str:
    """The first names, and how many more there are."""
    every = [str(name) for name in names]
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def plural(things: Sequence[Any] | int, one: str) -> str:
    """A number and its noun: "1 mask", "3 masks"."""
    count = things if isinstance(things, int) else len(things)
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def share(part: float, whole: float) -> str:
    """A share in percent; what is there and rounds to nothing is said to be less."""
    percent = 100 * part / whole if whole else 0.0
    return f"{percent:.1f} %" if percent >= 0.05 or not part else f"{percent:.3f} %" if percent >= 0.0005 else "less than 0.001 %"
