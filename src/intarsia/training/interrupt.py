"""Ctrl-C during a training."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from intarsia.core import IntarsiaError

__all__ = ["TrainingInterrupted", "interruptible"]


class TrainingInterrupted(IntarsiaError):
    """Somebody pressed Ctrl-C; everything is saved."""


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
