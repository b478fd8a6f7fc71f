"""What was named as data, as it is kept beside a run."""

from __future__ import annotations

from pathlib import Path

__all__ = ["lasting_source"]


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
