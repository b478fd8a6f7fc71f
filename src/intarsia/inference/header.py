"""The JSON header of a model file: what is read of any, before it is known what kind of model it holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from intarsia import __version__
from intarsia.core import ModelFileError

__all__ = ["FORMAT_VERSION", "KEY", "read_header", "understand_header"]

FORMAT_VERSION = 1
KEY = "intarsia"
LONGEST_HEADER = 100_000_000
"""Bytes that the safetensors format allows its header."""
"""Of the safetensors metadata."""
UNREADABLE = (ValueError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError)
"""What reading a header raises where bytes of it were changed."""

Card = TypeVar("Card")


def read_header(path: str | Path, understand: Callable[[Mapping[str, Any]], Card]) -> Card:
    """What `understand` makes of the header of a model file, whose weights are not read.

    Raises:
        ModelFileError: missing, truncated, not a model file of ours, of a newer version, or without what `understand` looks for.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder; name the file in it, such as best.safetensors" if path.is_dir() else "does not exist"
        raise ModelFileError(f"The model file {path} {what}.")
    text = _read_text(path)
    if text is None:
        raise ModelFileError(
            f"The file {path} holds weights, but was not written by Intarsia: it does not say which architecture, classes and "
            "preprocessing belong to them."
        )
    return understand_header(path, text, understand)


def understand_header(path: Path, text: str, understand: Callable[[Mapping[str, Any]], Card]) -> Card:
    """What `understand` makes of the JSON that was found in `path`.

    Raises:
        ModelFileError: damaged, of a newer version, or without what `understand` looks for.
    """
    try:
        data = json.loads(text)
        if data.get("format_version", 0) <= FORMAT_VERSION:
            return understand(data)
    except ModelFileError:
        raise
    except KeyError as error:
        raise ModelFileError(f"The header of {path} lacks {error}; the file was damaged or edited. Copy it again.") from error
    except UNREADABLE as error:
        raise ModelFileError(f"The header of {path} cannot be used: {error} The file was damaged or edited.") from error
    raise ModelFileError(
        f"The model file {path} was written by Intarsia {data.get('version')} in format {data['format_version']}; this is "
        f"{__version__}, which reads up to format {FORMAT_VERSION}. Upgrade Intarsia."
    )


def _read_text(path: Path) -> str | None:
    """What a safetensors file says under our key; None when it says nothing.

    Raises:
        ModelFileError: another kind of file, or one of another length than its header says.
    """
    have = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if start.startswith(b"PK\x03\x04"):  # two bytes do not tell: headers of 19280 bytes begin with them as well
            raise ModelFileError(
                f"The file {path} is a zip archive, such as torch.save writes, and no model file. In the folder of a run that is "
                "best.safetensors."
            )
        size = int.from_bytes(start, "little")
        if size > LONGEST_HEADER:
            raise ModelFileError(f"The file {path} is no model file; it begins with {start!r}. Model files end in .safetensors.")
        if size > have - 8:
            raise ModelFileError(
                f"The model file {path} is not whole, or not a safetensors file: its header should have {size} bytes, and the "
                f"file has {have}. Copy it again."
            )
        try:
            header = json.loads(file.read(size))
            text: str | None = header.pop("__metadata__", {}).get(KEY)
            end = 8 + size + max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
        except (KeyError, *UNREADABLE) as error:
            raise ModelFileError(
                f"The file {path} is no safetensors file, or its header was damaged ({error}). Model files end in .safetensors."
            ) from error
    if have != end:
        what = f"is truncated: {end - have} bytes are missing" if have < end else f"is damaged: {have - end} bytes too many are"
        raise ModelFileError(f"The model file {path} {what} at its end. Copy it again.")
    return text
