from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from intarsia.core import DataError
from intarsia.data.formats.binary import read_binary, write_binary


def test_write_then_read_is_the_identity(tmp_path: Path, pillow: Callable[[Path], Image.Image]) -> None:
    mask = np.random.default_rng(0).random((20, 30)) > 0.5
    path = write_binary(tmp_path / "a.png", mask)
    np.testing.assert_array_equal(read_binary(path), mask)
    assert read_binary(path).dtype == np.bool_
    assert np.unique(np.asarray(pillow(path))).tolist() == [0, 255]


@pytest.mark.parametrize("inside", [1, 7, 255])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1"])
def test_any_single_value_is_inside(tmp_path: Path, mode: str, inside: int) -> None:
    grey = Image.fromarray(np.array([[0, inside], [inside, 0]], np.uint8))
    (grey.point(lambda v: 255 * (v > 0)) if mode == "1" else grey).convert(mode).save(tmp_path / "a.png")
    assert read_binary(tmp_path / "a.png").tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize("value", [False, True])
def test_one_value_everywhere(tmp_path: Path, value: bool) -> None:
    assert (read_binary(write_binary(tmp_path / "a.png", np.full((1, 1), value))) == value).all()


def test_errors(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 3, 255]], np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png holds 3 values \(3, 255 \.\.\.\), not 0 and one other: it was resized"):
        read_binary(tmp_path / "a.png")
    Image.fromarray(np.kron(np.eye(6), np.ones((5, 5))).astype(np.uint8) * 255).save(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="JPEG compression smeared it"):
        read_binary(tmp_path / "a.jpg")
    Image.new("RGB", (2, 2), (9, 0, 0)).save(tmp_path / "rgb.png")
    with pytest.raises(DataError, match=r"rgb\.png holds RGB colours"):
        read_binary(tmp_path / "rgb.png")
