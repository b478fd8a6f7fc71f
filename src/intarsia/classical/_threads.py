"""How many threads share what releases the interpreter. Importing this file imports numba."""

from __future__ import annotations

from numba import config

__all__ = ["THREADS"]

THREADS: int = getattr(config, "NUMBA_NUM_THREADS", 1)  # the cores, or what the user set by the variable of this name
