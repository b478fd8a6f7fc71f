"""The folders that a training writes to, and whether it can."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["cannot_write", "needed_folders"]


def needed_folders() -> Iterator[tuple[str, Path, str]]:
    """Name, path, and what to do if it cannot be written. The caches are where their libraries look for them."""
    elsewhere = "Go to a folder of your own, or give --out."
    try:
        yield "current folder", Path.cwd(), elsewhere
        yield "runs folder", Path.cwd() / "runs", elsewhere
    except FileNotFoundError:  # deleted under our feet
        yield "current folder", Path(os.environ.get("PWD", "/deleted")), "Go to a folder that exists."
    try:
        temporary = Path(tempfile.gettempdir())
    except FileNotFoundError:  # none can be written: name the usual one
        temporary = Path("/tmp")
    yield "temporary folder", temporary, "Set TMPDIR to a folder that can be written and has room."
    caches = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    hub = os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", caches / "huggingface")) / "hub"
    yield "hub cache", Path(hub).expanduser(), "Set HF_HOME to a folder that can be written and has room."
    torch = Path(os.environ.get("TORCH_HOME", caches / "torch")).expanduser()
    yield "torch cache", torch, "Set TORCH_HOME to a folder that can be written and has room."
    beside_code = Path(__file__).parents[1]
    numba = os.environ.get("NUMBA_CACHE_DIR") or (caches / "numba" if cannot_write(beside_code) else beside_code)
    yield "numba cache", Path(numba), "Set NUMBA_CACHE_DIR to a folder that can be written and has room."


def cannot_write(folder: Path) -> str | None:
    """Why nothing can be written there, found out by writing; None if it can."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
    except OSError as error:
        return f"cannot be written: {error.strerror}"
    return None
