"""Bytes in and out: errors that say what is wrong with a path, and writing that never leaves half a file."""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path

from intarsia.core import DataError, nearest_names

__all__ = ["png_path", "read_bytes", "write_bytes"]


def read_bytes(path: Path) -> bytes:
    """All bytes of a file.

    Raises:
        DataError: missing (with the nearest names beside it), a folder, unreadable, or empty.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}.{_near(path)}") from error
    except (OSError, ValueError) as error:
        what = "is a folder, not a file" if path.is_dir() else f"cannot be read ({error})"
        raise DataError(f"{path} {what}.") from error
    if not data:
        raise DataError(f"{path} is empty (0 bytes): a copy, download or export was cut off. Make the file again.")
    return data


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: to a temporary name beside it, then in one step to its own. Makes missing folders."""
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")  # shorter than most names, which may be as long as names can be
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error}). Is the disk full, or the folder read-only?") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def png_path(path: str | Path) -> Path:
    """`path` as the name of a PNG file; the ending may be left out.

    Raises:
        DataError: another ending.
    """
    path = Path(path)
    if path.suffix.lower() == ".png":
        return path
    if path.suffix.lower() in (".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"):
        raise DataError(f"{path} ends in {path.suffix}; masks are written as PNG, which keeps every id. End the name in .png.")
    return path.with_name(path.name + ".png")


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return f" The folder {path.parent} does not exist either."
    near = nearest_names(path.name, (entry.name for entry in path.parent.iterdir()))
    return f" Nearest there: {', '.join(near)}." if near else ""
