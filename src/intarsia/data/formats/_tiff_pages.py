"""TIFF files of many pages: opened with limits, read a page at a time, and nothing but the file itself is opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL.TiffImagePlugin import TiffImageFile

from intarsia.core import Array, DataError, IntarsiaError
from intarsia.data.formats._decode import pillow_pixels, refuse_huge
from intarsia.data.formats._tiff import _PLAIN_COMPRESSIONS, SHRINKS

__all__ = ["open_tiff", "page_count", "page_values", "read_page", "require_room"]

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
    require_room(path, page.size * page.dtype.itemsize)
    if page.compression in _PLAIN_COMPRESSIONS or find_spec("imagecodecs") is not None:
        values = np.asarray(page.asarray())
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    image = TiffImageFile(path)
    with image:
        image.seek(page.index)
        return pillow_pixels(image, "TIFF").values


def require_room(path: Path, size: int) -> None:
    """Refuse to make room for bytes that the file cannot hold."""
    if size > max(2**27, SHRINKS * path.stat().st_size):
        raise DataError(f"its header asks for {size:,} bytes, which no file of this size holds")
