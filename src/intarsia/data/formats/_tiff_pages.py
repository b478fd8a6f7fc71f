"""TIFF files of many pages: opened with limits, read a page at a time, and nothing but the file itself is opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL.TiffImagePlugin import TiffImageFile

from intarsia.core import Array, DataError, IntarsiaError
from intarsia.data.formats._decode import pillow_pixels, refuse_huge
from intarsia.data.formats._tiff import _PLAIN_COMPRESSIONS, SHRINKS

__all__ = ["open_tiff", "page_count", "page_values", "read_page", "series_values"]

MOST_PAGES = 10**6


@contextmanager
def open_tiff(path: Path) -> Iterator[Any]:
    """A `tifffile.TiffFile`; whatever goes wrong in the block is a sentence with the name of the file.

    Raises:
        DataError: a file that is missing, or no TIFF, or damaged.
    """
    from tifffile import TiffFile

    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    try:
        with TiffFile(path, _multifile=False) as tiff:  # OME may name other files, anywhere
            if "<!DOCTYPE" in (tiff.pages.first.description or ""):
                raise DataError("its description declares a document type, which metadata have no need of")
            yield tiff
    except MemoryError:
        raise
    except Exception as error:  # tifffile raises whatever it likes on damaged data
        if isinstance(error, IntarsiaError) and str(path) in str(error):
            raise
        said = str(error).strip().rstrip(".") or type(error).__name__
        raise DataError(
            f"{path} cannot be read as TIFF ({said[:300]}). It was cut off, is damaged or of another kind."
        ) from error


def page_count(path: str | Path) -> int:
    """Number of pages.

    Raises:
        DataError: see `open_tiff`; or more pages than any stack has.
    """
    with open_tiff(Path(path)) as tiff:
        count = len(tiff.pages)
        if count > MOST_PAGES:
            raise DataError(f"it has {count:,} pages, more than the {MOST_PAGES:,} that are read")
        return count


def read_page(path: str | Path, index: int) -> Array:
    """Page `index` as it is stored, (H, W) or (H, W, C).

    Raises:
        DataError: see `open_tiff`; or no such page.
    """
    path = Path(path)
    with open_tiff(path) as tiff:
        count = len(tiff.pages)
        if not 0 <= index < count:
            raise DataError(f"there is no page {index}; it has {count}")
        return page_values(path, tiff.pages[index])


def page_values(path: Path, page: Any) -> Array:
    """The values of a page, in the order of bytes of this machine; compressions that tifffile leaves to others by Pillow."""
    refuse_huge(page.imagelength, page.imagewidth)
    _require_room(path, page.size * page.dtype.itemsize)
    if not _is_plain(page):
        return _by_pillow(path, [page.index])[0]
    values = np.asarray(page.asarray())
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def series_values(path: Path, series: Any) -> Array:
    """The same of all pages of a series, of its shape."""
    _require_room(path, series.size * series.dtype.itemsize)
    if not _is_plain(series.keyframe):
        return np.stack(_by_pillow(path, [page.index for page in series.pages])).reshape(series.shape)
    values = np.asarray(series.asarray())
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _is_plain(page: Any) -> bool:
    return page.compression in _PLAIN_COMPRESSIONS or find_spec("imagecodecs") is not None


def _by_pillow(path: Path, indices: Sequence[int]) -> list[Array]:
    values = []
    with TiffImageFile(path) as image:
        for index in indices:
            image.seek(index)
            values.append(pillow_pixels(image, "TIFF").values)
    return values


def _require_room(path: Path, size: int) -> None:
    """Refuse to make room for bytes that the file cannot hold."""
    if size > max(2**27, SHRINKS * path.stat().st_size):
        raise DataError(f"its header asks for {size:,} bytes, which no file of this size holds")
