"""How far something long has come, told in lines."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["tell_of"]

SECONDS_BETWEEN_LINES = 5.0


def tell_of(verb: str, console: Console | None, *, noun: str = "images") -> Callable[[int, int], None] | None:
    """What prints a line every few seconds, with the time left, when told how many of how many are done."""
    if console is None:
        return None
    began = told = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told < SECONDS_BETWEEN_LINES or done == total:
            return
        told = now
        left = (now - began) / done * (total - done)
        console.print(f"{verb}: {done:,} of {total:,} {noun}, about {left:.0f} s left", highlight=False)

    return tell
