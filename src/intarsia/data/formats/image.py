"""Images: PNG, JPEG, TIFF, WebP and BMP; 8 and 16 bits and float; any number of channels that the file type holds."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np

from intarsia.core import Array, DataError, as_image
from intarsia.data.formats._decode import decode, decoded_size
from intarsia.data.formats._files import write_bytes

__all__ = ["read_image", "read_image_size", "write_image"]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
"""Endings of the files that are read as images and masks, in lower case."""

_HOLDS: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "PNG": (("uint8", "uint16"), (1, 3, 4)),
    "JPEG": (("uint8",), (1, 3)),
    "TIFF": (("uint8", "uint16", "float32"), ()),  # () is any number
    "WebP": (("uint8",), (3, 4)),
    "BMP": (("uint8",), (1, 3)),
}
_FORMAT_OF_SUFFIX = {"jpg": "JPEG", "jpeg": "JPEG", "tif": "TIFF", "tiff": "TIFF", "png": "PNG", "webp": "WebP", "bmp": "BMP"}
_OPTIONS: dict[str, dict[str, int | bool]] = {
    "PNG": {"compress_level": 3},  # a third of the time of the default, for files a few percent larger
    "JPEG": {"quality": 95, "subsampling": 0},
    "WebP": {"lossless": True, "exact": True},
    "BMP": {},
}


def read_image(path: str | Path) -> Array:
    """Read an image, upright as its EXIF orientation says.

    Palettes become RGB, alpha is kept as a fourth channel, CMYK becomes RGB, black and white becomes 0 and 255, 16 bits stay
    16 bits, and what is neither uint8 nor uint16 but fits (float64, int8, int16) becomes float32.

    Returns:
        (H, W, C) uint8, uint16 or float32, writable; colour is RGB.

    Raises:
        DataError: a file that is missing, empty, cut off, damaged, too large or of another type; the message names it.
    """
    pixels = decode(path)
    values = pixels.values
    if pixels.palette is not None:
        values = pixels.palette[values]
    elif pixels.bits < 8:
        values = values * np.uint8(255 // (2**pixels.bits - 1))
    elif values.dtype in (np.int8, np.int16):
        values = values.astype(np.float32)
    return as_image(values, where=str(path))


def read_image_size(path: str | Path) -> tuple[int, int]:
    """Height and width that `read_image` would give, from the file's header.

    Raises:
        DataError: as `read_image`, as far as the header shows it.
    """
    return decoded_size(path)


def write_image(path: str | Path, image: Array) -> Path:
    """Write (H, W), (H, W, C) uint8, uint16 or float32 under a name whose ending says the type; all but JPEG keep every value.

    The file is written whole or not at all, and missing folders are made.

    Raises:
        DataError: an unknown ending, a dtype, number of channels or size that the type does not hold, or a place that cannot be
            written.
    """
    path = Path(path)
    image = as_image(image, where=f"The image for {path}")
    file_format = _FORMAT_OF_SUFFIX.get(path.suffix.lower()[1:])
    if file_format is None:
        raise DataError(f"{path} ends in {path.suffix or 'nothing'}; an image is written as {', '.join(IMAGE_SUFFIXES)}.")
    dtypes, channels = _HOLDS[file_format]
    if image.dtype.name not in dtypes or (channels and image.shape[2] not in channels):
        raise DataError(
            f"{path}: {file_format} does not hold {image.shape[2]} channels of {image.dtype}. It holds "
            f"{' or '.join(map(str, channels)) or 'any number of'} channels of {' or '.join(dtypes)}; TIFF holds all of them."
        )
    try:
        data = _encode(image, file_format)
    except MemoryError:
        raise
    except Exception as error:  # three libraries raise whatever they like
        raise DataError(
            f"{path} cannot be written as {file_format} ({str(error).strip() or type(error).__name__}): the image is "
            f"{image.shape[0]} x {image.shape[1]} (height x width). JPEG holds at most 65,500 pixels a side and WebP 16,383; PNG "
            "and TIFF hold more."
        ) from error
    write_bytes(path, data)
    return path


def _encode(image: Array, file_format: str) -> bytes:
    if file_format == "TIFF":
        from intarsia.data.formats._tiff import encode_tiff

        return encode_tiff(image)
    if image.dtype == np.uint16:  # Pillow has no 16-bit colour
        import cv2

        return bytes(cv2.imencode(".png", image[..., [2, 1, 0, 3][: image.shape[2]]] if image.shape[2] > 1 else image)[1])
    from PIL import Image

    buffer = BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(image[..., 0] if image.shape[2] == 1 else image))
    picture.save(buffer, file_format, **_OPTIONS[file_format])
    return buffer.getvalue()
