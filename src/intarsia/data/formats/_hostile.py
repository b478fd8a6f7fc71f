"""Files that nobody vouches for: names that lead out of a folder, JSON and XML that are damaged or made to fill the memory."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from zipfile import BadZipFile, LargeZipFile, ZipFile

from intarsia.core import DataError, IntarsiaError
from intarsia.data.formats._files import read_bytes

__all__ = ["Archive", "ends_of_file", "open_zip", "read_json", "read_xml", "refused", "safe_join"]

MOST_JSON = 2**32
MOST_XML = 2**28
MOST_MEMBERS = 10**6
MOST_UNPACKED = 2**30
"""Bytes of one file in an archive."""
MOST_TIMES = 1100
"""Deflate shrinks 1032-fold at most."""
LOOKED_AT = 4096


def safe_join(root: str | Path, name: str, where: str | Path | None = None) -> Path:
    r"""A path below `root`, of a name that a file says; \ is read as /.

    Args:
        root: the folder.
        name: a relative path.
        where: the file that says it, for the message.

    Raises:
        DataError: a name that leads out of the folder, also by a link; one that is empty, absolute or of no system.
    """
    root = Path(root)
    parts = name.replace("\\", "/").split("/")
    strange = not name.strip() or parts[0] == "" or ".." in parts or any(ord(c) < 32 for c in name) or parts[0][1:2] == ":"
    try:
        path = root.joinpath(*parts)
        strange = strange or not path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError):
        strange = True
    if strange:
        raise DataError(
            f"{where if where is not None else root} names {name[:120]!r}, which is no path inside {root}; nothing outside the "
            "folder is read or written."
        )
    return path


def read_json(path: Path, limit_bytes: int = MOST_JSON, what: str = "JSON file") -> Any:
    """The content of a JSON file; `what` it should be is for the message.

    Raises:
        DataError: a file that cannot be read, is larger than the limit, or is no JSON.
    """
    with refused(path, what):
        return json.loads(_limited(path, limit_bytes))


def read_xml(path: Path, limit_bytes: int = MOST_XML) -> ET.Element:
    """The root element of an XML file without entities of its own.

    Raises:
        DataError: a file that cannot be read, is larger than the limit, is no XML, or declares a document type.
    """
    parser = ET.XMLParser(target=_Tree(path))
    try:
        parser.feed(_limited(path, limit_bytes))
        root = parser.close()
    except ET.ParseError as error:
        raise DataError(f"{path} is no XML file ({error}). It was cut off or is of another kind.") from error
    except (ValueError, LookupError, RecursionError) as error:  # an encoding that does not exist, say
        if isinstance(error, IntarsiaError):
            raise
        raise DataError(f"{path} is no XML file ({type(error).__name__}: {error}).") from error
    if not isinstance(root, ET.Element):
        raise DataError(f"{path} is an XML file without an element.")
    return root


class Archive:
    """The files of a ZIP archive, read one at a time into memory; none is ever written to the disk under its own name.

    Args:
        path: the archive.
        file: the same, open.

    Raises:
        DataError: a name that leads out of a folder, a name twice, or more files than any export has.
    """

    def __init__(self, path: Path, file: ZipFile) -> None:
        self._path, self._file = path, file
        members = [member for member in file.infolist() if not member.filename.endswith("/")]  # `is_dir` fails on an empty name
        if len(members) > MOST_MEMBERS:
            raise DataError(f"{path} lists {len(members):,} files, more than the {MOST_MEMBERS:,} that are read.")
        for member in members:
            safe_join(path.parent, member.filename, path)
        self._members = {member.filename: member for member in members}
        if len(self._members) != len(members):
            raise DataError(f"{path} holds a file name twice, so it cannot be told which of them is meant.")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the files, in the order of the archive."""
        return tuple(self._members)

    def read(self, name: str, limit_bytes: int = MOST_UNPACKED) -> bytes:
        """The bytes of a file.

        Raises:
            DataError: no such file, one that is locked or damaged, or one that would unpack to more than the limit, or to more
                than its packed bytes can stand for.
        """
        member = self._members.get(name)
        if member is None:
            raise DataError(f"{self._path} holds no {name[:120]!r}. It holds {', '.join(self.names[:6]) or 'nothing'}.")
        try:
            with self._file.open(member) as file:
                data = file.read(min(limit_bytes, MOST_TIMES * member.compress_size + 2**16) + 1)
        except (BadZipFile, EOFError, OSError, ValueError, RuntimeError, zlib.error) as error:  # RuntimeError: a password
            raise DataError(f"{name[:120]} in {self._path} cannot be unpacked ({error}). Export it again.") from error
        if len(data) > limit_bytes or len(data) > MOST_TIMES * member.compress_size + 2**16:
            raise DataError(f"{name[:120]} in {self._path} unpacks to more than {len(data) - 1:,} bytes and is not read further.")
        return data


@contextmanager
def open_zip(path: str | Path) -> Iterator[Archive]:
    """Open a ZIP archive to read its files.

    Raises:
        DataError: a file that cannot be read or is no ZIP archive; see `Archive`.
    """
    path = Path(path)
    if not path.is_file():
        read_bytes(path)  # says what is there instead
    try:
        file = ZipFile(path)
    except (BadZipFile, LargeZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{path} is no ZIP archive ({error}). It was cut off, or is of another kind.") from error
    with file:
        yield Archive(path, file)


@contextmanager
def refused(path: Path, what: str, expected: str = "") -> Iterator[None]:
    """Turn what malformed content raises into a sentence: the file, what it is not, and what was expected."""
    try:
        yield
    except DataError:
        raise
    except IntarsiaError as error:
        raise DataError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        tail = f" Expected: {expected}." if expected else ""
        raise DataError(f"{path} is no {what} ({type(error).__name__}: {str(error)[:200]}).{tail}") from error


def ends_of_file(path: Path, suffix: str) -> str:
    """The beginning and the end of a text file of this suffix, a few KB; empty where it is none."""
    try:
        if path.suffix.lower() != suffix or not path.is_file():
            return ""
        with path.open("rb") as file:
            begin = file.read(LOOKED_AT)
            file.seek(max(LOOKED_AT, path.stat().st_size - LOOKED_AT))
            end = file.read(LOOKED_AT)
    except (OSError, ValueError):
        return ""
    return (begin + end).decode("utf-8", "replace")


class _Tree(ET.TreeBuilder):
    """Builds the elements; a document type, where entities would be declared, is refused."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise DataError(f"{self._path} declares a document type ({name!r}), which label files have no need of. It is not read.")


def _limited(path: Path, limit_bytes: int) -> bytes:
    with refused(path, "file that can be read"):
        size = path.stat().st_size if path.is_file() else 0
    if size > limit_bytes:
        raise DataError(f"{path} has {size:,} bytes, more than the {limit_bytes:,} that are read at once.")
    return read_bytes(path)
