"""TIFF by tifffile, which keeps every depth and number of channels, where Pillow and OpenCV drop or convert some of them."""

from __future__ import annotations

from importlib.util import find_spec
from io import BytesIO
from typing import Any

import numpy as np
from PIL.TiffImagePlugin import TiffImageFile

from intarsia.core import Array, DataError
from intarsia.data.formats._decode import Pixels, pillow_pixels, refuse_huge, upright

__all__ = ["decode_tiff", "encode_tiff", "tiff_size"]

_PLAIN_COMPRESSIONS = (1, 8, 32946, 32773)
"""None, deflate under both of its numbers, PackBits: tifffile reads these without the optional package imagecodecs."""
SHRINKS = 1500
"""Deflate shrinks 1032-fold at most; LZW, whose strings grow byte by byte to 4096 before its table starts anew, about as much."""
_GREY, _RGB = 1, 2
_CHANNEL_AXES = "SCQ"
"""Samples, channels, and an axis of pages that nobody named, as arrays of shape (C, H, W) are saved."""


def decode_tiff(data: bytes) -> Pixels:
    """The first image of a TIFF file, upright, channels last."""
    from tifffile import TiffFile

    with TiffFile(BytesIO(data)) as tiff:
        page: Any = tiff.pages[0]
        refuse_huge(page.imagelength, page.imagewidth)
        if page.photometric not in (_GREY, _RGB) or page.bitspersample < 8:  # palette, CMYK, white is zero, black and white ...
            return pillow_pixels(TiffImageFile(BytesIO(data)), "TIFF")  # ... which turns it upright too
        series = tiff.series[0]
        if series.size * page.dtype.itemsize > max(2**27, SHRINKS * len(data)):
            raise DataError(f"its header asks for {series.shape} values of {page.dtype}, which no file of this size holds")
        axes = series.axes
        extra = axes.replace("Y", "", 1).replace("X", "", 1)
        if len(extra) > 1 or extra not in ("", *_CHANNEL_AXES):
            raise DataError(f"it is a stack of shape {series.shape} with the axes {axes}: save its slices as single images")
        if page.compression not in _PLAIN_COMPRESSIONS and find_spec("imagecodecs") is None:
            return Pixels(_by_opencv(data, page), "TIFF")
        values = np.asarray(series.asarray())
        if extra and axes[0] == extra:
            values = np.moveaxis(values, 0, -1)
        return Pixels(upright(values.astype(values.dtype.newbyteorder("="), copy=False), _orientation(page)), "TIFF")


def tiff_size(data: bytes) -> tuple[int, int]:
    """Height and width after turning upright."""
    from tifffile import TiffFile

    with TiffFile(BytesIO(data)) as tiff:
        page: Any = tiff.pages[0]
        height, width = int(page.imagelength), int(page.imagewidth)
        return (width, height) if _orientation(page) > 4 else (height, width)


def encode_tiff(image: Array) -> bytes:
    """A (H, W, C) image as deflated TIFF; three or four integer channels are marked as RGB(A)."""
    from tifffile import imwrite

    colour = image.shape[2] in (3, 4) and image.dtype.kind == "u"
    buffer = BytesIO()
    imwrite(
        buffer,
        image[..., 0] if image.shape[2] == 1 else image,
        photometric="rgb" if colour else "minisblack",
        planarconfig=None if image.shape[2] == 1 else "contig",
        extrasamples=["unassalpha"] if colour and image.shape[2] == 4 else None,
        compression="zlib",
    )
    return buffer.getvalue()


def _by_opencv(data: bytes, page: Any) -> Array:
    """Compressions that tifffile leaves to imagecodecs (LZW above all); OpenCV turns the picture upright itself."""
    import cv2

    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    channels = 1 if values is None or values.ndim == 2 else values.shape[2]
    if values is None or channels != page.samplesperpixel or values.dtype != page.dtype:
        raise DataError(
            f"its {page.samplesperpixel} channels of {page.dtype} are compressed with {page.compression.name}: install the "
            "package imagecodecs, or save the file with deflate compression"
        )
    return np.ascontiguousarray(values[..., [2, 1, 0, 3][:channels]]) if channels > 1 else values


def _orientation(page: Any) -> int:
    tag = page.tags.get(274)
    return int(tag.value) if tag is not None else 1
