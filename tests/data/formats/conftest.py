"""Other programs' eyes and hands: PNG files written byte by byte, and read by Pillow."""

import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from intarsia.core import ClassSpace, InstanceMasks, Instances
from intarsia.data.formats import write_image
from intarsia.data.formats._annotated import Annotated, AnnotatedSet

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


OBJECT_CLASSES = ClassSpace.from_names(["zebra", "cat", "large dog"], things=["zebra", "cat", "large dog"])


@st.composite
def _drawn_objects(draw: st.DrawFn) -> Instances:
    size_hw = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    masks = [m for m in draw(st.lists(arrays(np.bool_, size_hw), max_size=4)) if m.any()]
    class_id = np.array([draw(st.integers(0, 2)) for _ in masks], np.int32)
    return Instances(InstanceMasks.pack(masks, size_hw), class_id, OBJECT_CLASSES)


@pytest.fixture(scope="session")
def drawn_objects() -> st.SearchStrategy[list[Instances]]:
    """Objects of two images that hypothesis draws: with holes, of one pixel, of several pieces, at borders, overlapping."""
    return st.lists(_drawn_objects(), min_size=2, max_size=2)


@pytest.fixture(scope="session")
def object_set() -> Callable[[Path, list[Instances]], AnnotatedSet]:
    """`object_set(root, objects)` is a set of these objects, whose images `root/images/first.png` and `deep/second.png` exist."""

    def make(root: Path, objects: list[Instances]) -> AnnotatedSet:
        found = dict(zip(("first", "deep/second"), objects, strict=False))
        for key, truth in found.items():
            write_image(root / "images" / f"{key}.png", np.zeros((*truth.size_hw, 3), np.uint8))
        return AnnotatedSet(
            name="drawn",
            kind="instance",
            classes=objects[0].classes,
            keys=tuple(found),
            reader={key: Annotated(key, truth) for key, truth in found.items()}.__getitem__,
            images={key: root / "images" / f"{key}.png" for key in found},
        )

    return make


@pytest.fixture(scope="session")
def new_folder() -> Callable[[], object]:
    """`with new_folder() as path:`, for the many examples of one test."""

    @contextmanager
    def make() -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)

    return make


@pytest.fixture(scope="session")
def same_objects() -> Callable[[AnnotatedSet, AnnotatedSet], None]:
    """`same_objects(first, second)` asserts that two sets hold the same images and objects, pixel for pixel."""

    def check(first: AnnotatedSet, second: AnnotatedSet) -> None:
        assert first.classes.names == second.classes.names
        assert set(first.keys) == set(second.keys)
        for key in first.keys:
            a, b = first.read(key).truth, second.read(key).truth
            assert a.size_hw == b.size_hw
            assert a.class_id.tolist() == b.class_id.tolist()
            assert a.masks.boxes_xyxy.tolist() == b.masks.boxes_xyxy.tolist()
            assert a.masks.bits.tobytes() == b.masks.bits.tobytes()

    return check
