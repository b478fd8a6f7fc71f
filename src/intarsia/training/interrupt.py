"""What ends a training before its time."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from intarsia.core import IntarsiaError

__all__ = ["TrainingInterrupted", "TrainingStopped", "interruptible"]


class TrainingInterrupted(IntarsiaError):
    """Somebody pressed Ctrl-C; everything is saved."""


class TrainingStopped(IntarsiaError):
    """A training that cannot go on as it is: no memory, no room on the disk, no finite gradient. What was saved is whole."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C becomes an exception that passes through Lightning's callbacks, which save; Lightning itself would exit."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise TrainingInterrupted("interrupted")

    try:
        before = signal.signal(signal.SIGINT, interrupt)
    except ValueError:  # not in the main thread, where no signal arrives
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
