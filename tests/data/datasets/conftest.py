"""Folders of images and masks, made for a test."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from intarsia.data.formats import write_image


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """`make("images/a.jpg", "masks/a.png", ...)` writes 6 x 8 files: noise as images, the `values` in turn as masks."""

    def write(*names: str, values: tuple = (0, 1, 2), palette: list[int] | None = None) -> Path:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if "images" in path.parts or "image" in path.stem:
                write_image(path, np.random.default_rng(len(name)).integers(0, 255, (6, 8, 3), np.uint8))
                continue
            pixels = np.resize(np.array(values), (6, 8) if isinstance(values[0], int) else (6, 8, 3))
            picture = Image.fromarray(pixels.astype(np.uint16 if pixels.max() > 255 else np.uint8))
            if palette is not None:
                picture.putpalette(palette)
            picture.save(path)
        return tmp_path

    return write


@pytest.fixture
def small_camvid(tmp_path: Path) -> Path:
    """One frame for each split, and the class list."""
    root = tmp_path / "frames"
    root.mkdir()
    rows = [f"{i} {name} 0 0 0" for i, name in enumerate(["sky", "building", "pole", "road", "pavement", "tree", "sign_symbol"])]
    rows += [f"{i} {name} 0 0 0" for i, name in enumerate(["fence", "car", "pedestrian", "bicyclist", "void"], 7)]
    (root / "classes.txt").write_text("# id name r g b\n" + "\n".join(rows))
    for split in ("train", "val", "test"):
        write_image(root / "images" / split / "x.jpg", np.zeros((3, 4, 3), np.uint8))
        write_image(root / "masks" / split / "x.png", np.arange(12, dtype=np.uint8).reshape(3, 4))
    return root
