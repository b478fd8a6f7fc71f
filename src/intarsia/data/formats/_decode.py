"""Image files to pixels as they are stored: upright, palettes not expanded, greys of few bits not stretched.

Pillow decodes the 8-bit files: measured on 480 x 360 JPEG it is as fast as OpenCV, and it refuses a file that is cut off where
OpenCV returns half a picture. It cannot hold 16-bit colour: those PNG files go to OpenCV, and TIFF goes to `_tiff`.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin
from PIL.Image import Exif
from PIL.ImageFile import ImageFile

from intarsia.core import Array, DataError
from intarsia.data.formats._files import read_bytes

__all__ = ["MAX_PIXELS", "Pixels", "decode", "decoded_size", "pillow_pixels", "upright"]

MAX_PIXELS = 2**30
"""More than this is a damaged header or a picture that must be cut into tiles first."""

MOST_PER_BYTE = 10_000
"""Pixels that a byte of PNG, JPEG or BMP can stand for: deflate shrinks 1032-fold at most, and 8 one-bit pixels share a byte."""

_ORIENTATION = 0x0112
_SIGNATURES = {
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "JPEG": (b"\xff\xd8\xff",),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "BMP": (b"BM",),
}
# The plugins themselves rather than Image.open: no other decoder can be reached, and the size limit is ours.
_PLUGINS: dict[str, Callable[[BytesIO], ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
}
_STRANGERS = {
    b"version https://git-lfs": "a Git LFS pointer, not the image: run `git lfs pull`",
    b"<": "a text file (HTML or XML): the download was answered with a page",
    b"GIF8": "a GIF",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP archive",
}


class Pixels(NamedTuple):
    """values: (H, W) or (H, W, C), colour as RGB; palette: (256, 3 or 4) uint8; bits: of a grey sample; text: what we stored."""

    values: Array
    file_format: str
    palette: Array | None = None
    bits: int = 8
    text: str | None = None


def decode(path: str | Path) -> Pixels:
    """The pixels of an image or mask file, EXIF orientation applied.

    Raises:
        DataError: missing, empty, cut off, damaged, too large, or none of PNG, JPEG, TIFF, WebP and BMP.
    """
    path = Path(path)
    data = read_bytes(path)
    file_format = _format_of(data, path)
    try:
        if file_format == "TIFF":
            from intarsia.data.formats._tiff import decode_tiff

            return decode_tiff(data)
        image = _PLUGINS[file_format](BytesIO(data))
        refuse_huge(image.height, image.width, None if file_format == "WebP" else len(data))
        if file_format == "PNG" and data[24] == 16 and data[25] in (2, 4, 6):  # IHDR: 16 bits; RGB, grey + alpha, RGBA
            pixels = _deep_png(data)
        else:
            pixels = pillow_pixels(image, file_format)
        if file_format == "PNG" and data[25] == 0 and data[24] in (2, 4):  # Pillow stretches 0..3 and 0..15 to 0..255
            pixels = pixels._replace(values=pixels.values // (255 // (2 ** data[24] - 1)), bits=data[24])
        return pixels._replace(values=upright(pixels.values, _orientation(image, data)))
    except Exception as error:  # three libraries raise whatever they like on damaged data
        raise _damaged(path, data, file_format, error) from error


def decoded_size(path: str | Path) -> tuple[int, int]:
    """Height and width that `decode` would give, from the header alone.

    Raises:
        DataError: as `decode`, as far as the header shows it.
    """
    path = Path(path)
    data = read_bytes(path)
    file_format = _format_of(data, path)
    try:
        if file_format == "TIFF":
            from intarsia.data.formats._tiff import tiff_size

            return tiff_size(data)
        image = _PLUGINS[file_format](BytesIO(data))
        turned = _orientation(image, data) > 4
        return (image.width, image.height) if turned else (image.height, image.width)
    except Exception as error:
        raise _damaged(path, data, file_format, error) from error


def refuse_huge(height: int, width: int, stored_bytes: int | None = None) -> None:
    """Refuse to make room for pixels that the file cannot hold."""
    if height * width > MAX_PIXELS:
        raise DataError(
            f"its header says {height} x {width} pixels, more than {MAX_PIXELS:,}: it is damaged, or must be cut into tiles first"
        )
    if stored_bytes is not None and height * width > max(2**24, MOST_PER_BYTE * stored_bytes):
        raise DataError(f"its header says {height} x {width} pixels, which no file of this size holds")


def upright(values: Array, orientation: int) -> Array:
    """Undo an EXIF orientation 1..8; other numbers mean nothing and change nothing."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.ascontiguousarray(values)


def pillow_pixels(image: ImageFile, file_format: str) -> Pixels:
    """Decode with Pillow, without a change of values but for colour models that are not RGB."""
    image.load()
    palette, bits = None, 8
    if image.mode == "P":
        values, palette = np.array(image), _palette(image)
    elif image.mode == "1":
        bits, values = 1, np.array(image).astype(np.uint8)
    elif image.mode in ("LA", "La", "PA", "RGBa"):
        values = np.array(image.convert("RGBA"))
    elif image.mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX"):
        values = np.array(image.convert("RGB"))
    else:
        values = np.array(image)
    return Pixels(
        values.astype(values.dtype.newbyteorder("="), copy=False), file_format, palette, bits, image.info.get("intarsia")
    )


def _palette(image: ImageFile) -> Array:
    """(256, 3) colours, or (256, 4) with the alpha of each index where the file has it."""
    flat = image.getpalette("RGB") or []
    palette = np.zeros((256, 3), np.uint8)
    palette.flat[: len(flat)] = flat
    transparency = image.info.get("transparency")  # one index, or an alpha for each of the first indices
    if transparency is None:
        return palette
    alpha = np.full((256, 1), 255, np.uint8)
    if isinstance(transparency, bytes):
        alpha[: len(transparency), 0] = list(transparency)
    else:
        alpha[transparency] = 0
    return np.concatenate([palette, alpha], 1)


def _deep_png(data: bytes) -> Pixels:
    """16-bit colour by OpenCV, which must see a whole file: it does not always refuse one that is cut off."""
    import cv2

    if not _png_is_whole(data):
        raise DataError("image file is truncated")
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise DataError("OpenCV cannot decode it")
    return Pixels(values[..., [2, 1, 0, 3][: values.shape[2]]], "PNG")


def _png_is_whole(data: bytes) -> bool:
    position = 8
    while position + 12 <= len(data):
        if data[position + 4 : position + 8] == b"IEND":
            return True
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    return False


def _orientation(image: ImageFile, data: bytes) -> int:
    if isinstance(image, PngImagePlugin.PngImageFile) and b"eXIf" not in data:
        return 1  # asking Pillow would decode the whole file to look for a chunk behind the pixels
    try:
        exif: Exif = image.getexif()
        return int(exif.get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF says nothing about the picture
        return 1


def _format_of(data: bytes, path: Path) -> str:
    for name, signatures in _SIGNATURES.items():
        if data.startswith(signatures):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    what = next((known for begin, known in _STRANGERS.items() if data.startswith(begin)), None)
    if data[4:12] in (b"ftypheic", b"ftypavif", b"ftypmif1"):
        what = "a HEIC or AVIF photo: convert it to JPEG or PNG"
    found = f"It is {what}." if what else f"It begins with {data[:8]!r}."
    raise DataError(f"{path} is no PNG, JPEG, TIFF, WebP or BMP image, whatever its ending says. {found}")


def _damaged(path: Path, data: bytes, file_format: str, error: Exception) -> DataError:
    said = str(error).rstrip(".") or type(error).__name__
    return DataError(
        f"{path} cannot be decoded: a {file_format} file of {len(data):,} bytes, cut off, damaged or of an unusual kind "
        f"({said}). Open it in a viewer; copy or export it again."
    )
