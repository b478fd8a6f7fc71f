"""TorchScript without its notice: torch says at every call that torch.export has come after it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_deprecations"]


@contextmanager
def without_deprecations() -> Iterator[None]:
    """Leave out what torch says about the age of a format that was asked for by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        yield
