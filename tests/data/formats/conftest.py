"""Other programs' eyes and hands: PNG files written byte by byte, and read by Pillow."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

PngBytes = Callable[[int, int, int, int, list[bytes]], bytes]


@pytest.fixture(scope="session")
def png_bytes() -> PngBytes:
    """`png_bytes(width, height, depth, color_type, rows)` is a PNG file of unfiltered rows."""

    def make(width: int, height: int, depth: int, color_type: int, rows: list[bytes]) -> bytes:
        def chunk(name: bytes, content: bytes) -> bytes:
            return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

        header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
        pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")

    return make


@pytest.fixture(scope="session")
def pillow() -> Callable[[Path], Image.Image]:
    """`pillow(path)` is the picture as Pillow opens it."""
    return lambda path: Image.open(BytesIO(path.read_bytes()))
