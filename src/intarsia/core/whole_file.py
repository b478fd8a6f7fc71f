"""Files that are whole or not there: neither they nor what they replace is lost in a kill, a full disk or a power cut."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["remove_partial_files", "written_whole"]


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give the name of a file to write; when the block ends, it takes the place of `path` in one step.

    Its content, and then its new name, are on the disk before that. At any moment `path` is the old file or the new one. When
    the block fails the old one stays; only a kill leaves the other file behind, for `remove_partial_files`.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield partial
        _flush(partial, os.O_RDWR)
        partial.replace(path)
        if os.name == "posix":  # elsewhere a folder cannot be opened
            with suppress(OSError):  # nor flushed on some file systems of networks
                _flush(path.parent, os.O_RDONLY)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def remove_partial_files(folder: Path) -> None:
    """Delete what a process that was killed inside `written_whole` left in this folder."""
    for partial in folder.glob(".*.*.part"):
        partial.unlink(missing_ok=True)


def _flush(path: Path, how: int) -> None:
    descriptor = os.open(path, how)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
