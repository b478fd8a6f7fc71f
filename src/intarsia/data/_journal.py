"""What a conversion has done already, in its folder: a file of settings and a file with a line for each image.

A line is written when its image is done. After a kill the next run takes the lines that are whole and goes on behind them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from intarsia.core import DataError, SettingsError
from intarsia.data.formats._files import write_bytes

__all__ = ["Journal"]

SETTINGS, LINES = ".intarsia-convert.json", ".intarsia-convert.jsonl"
PARTIAL = re.compile(r"\.[0-9a-f]{16}\.tmp|\..+\.\d+\.part")
"""Names of files that were being written when a process was killed."""


class Journal:
    """The journal in a folder, which must be new, empty, or that of an unfinished run with the same settings.

    Args:
        folder: where the conversion writes.
        settings: JSON values that say what it does.

    Raises:
        SettingsError: a folder that holds other files, or the journal of another conversion.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._settings, self._lines = folder / SETTINGS, folder / LINES
        wanted = json.loads(json.dumps(settings))
        if self._settings.is_file():
            _require_same(_read(self._settings), wanted, folder)
            for path in folder.rglob(".*"):
                if PARTIAL.fullmatch(path.name) and path.is_file():
                    path.unlink(missing_ok=True)
        elif folder.is_dir() and (inside := next(folder.iterdir(), None)) is not None:
            raise SettingsError(
                f"{folder} holds {inside.name} and no unfinished conversion. A conversion overwrites nothing: give a new folder."
            )
        else:
            write_bytes(self._settings, json.dumps(wanted, indent=1).encode())
        self._file: BinaryIO = self._lines.open("a+b")
        self._done = self._whole_length()
        self._file.truncate(self._done)
        self._file.seek(0)

    def next_line(self) -> str | None:
        """The next line that an earlier run wrote, from the first on; None behind the last."""
        line = self._file.readline() if self._file.tell() < self._done else b""
        return line.decode().rstrip("\n") if line else None

    def append(self, line: str) -> None:
        """Write a line, for the next run, should this one be killed."""
        self._file.seek(0, 2)
        self._file.write(line.encode() + b"\n")
        self._file.flush()
        self._done = self._file.tell()

    def close(self, *, finished: bool) -> None:
        """Leave the journal for the next run, or remove it."""
        self._file.close()
        if finished:
            self._lines.unlink(missing_ok=True)
            self._settings.unlink(missing_ok=True)

    def _whole_length(self) -> int:
        """Bytes up to the end of the last line that is whole."""
        self._file.seek(0)
        return sum(len(line) for line in _lines(self._file))


def _lines(file: BinaryIO) -> Iterator[bytes]:
    return (line for line in file if line.endswith(b"\n"))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no journal of a conversion ({error}). Delete the folder and convert again.") from error
    return content if isinstance(content, dict) else {}


def _require_same(found: Mapping[str, Any], wanted: Mapping[str, Any], folder: Path) -> None:
    other = [name for name in wanted if found.get(name) != wanted[name]]
    if other:
        listed = "; ".join(f"{name} was {_short(found.get(name))} and is {_short(wanted[name])}" for name in other)
        raise SettingsError(
            f"{folder} holds an unfinished conversion with other settings: {listed}. Go on with those, or give a new folder."
        )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
