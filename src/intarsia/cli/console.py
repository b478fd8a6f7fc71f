"""Where commands print."""

from __future__ import annotations

from rich.console import Console

__all__ = ["open_console"]


def open_console(*, stderr: bool = False) -> Console:
    """A console that prints text as it is: a file may be called [red] and a class :car:, and neither is markup or a picture."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)
