import numpy as np
import pytest

from intarsia.core import DataError
from intarsia.viz.rgb import as_rgb


def test_bytes_are_shown_as_they_are() -> None:
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    assert np.array_equal(as_rgb(image), image)


@pytest.mark.parametrize(("channels", "shown"), [(1, [0, 0, 0]), (2, [0, 0, 0]), (3, [0, 1, 2]), (5, [0, 1, 2])])
def test_channels(channels: int, shown: list[int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (4, 5, channels), np.uint8)
    assert np.array_equal(as_rgb(image), image[..., shown])


def test_a_grey_image_needs_no_channel_axis() -> None:
    assert as_rgb(np.full((2, 2), 7, np.uint8)).tolist() == [[[7] * 3] * 2] * 2


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_wide_values_are_stretched_between_black_and_white(dtype: type) -> None:
    image = np.linspace(1000, 3000, 100 * 100).astype(dtype).reshape(100, 100)
    image[0, 0] = 60_000  # one hot pixel must not darken the rest
    shown = as_rgb(image)[..., 0].astype(int)
    assert shown[0, 0] == 255
    assert shown[0, 1] == 0
    assert abs(shown[50, 0] - 127) <= 2
    assert (np.diff(shown.ravel()[1:]) >= 0).all()


def test_hues_stay() -> None:
    image = np.zeros((10, 10, 3), np.float32)
    image[..., 0] = np.linspace(0, 2, 100).reshape(10, 10)
    assert (as_rgb(image)[..., 1:] == 0).all()


@pytest.mark.parametrize("value", [0.0, 5.0, np.nan])
def test_constant_and_undefined_images(value: float) -> None:
    assert (as_rgb(np.full((3, 3), value, np.float32)) == 0).all()


def test_undefined_pixels_are_black_and_infinite_ones_at_the_ends() -> None:
    image = np.linspace(0, 1, 100, dtype=np.float32).reshape(10, 10)
    image[0, :3] = np.nan, np.inf, -np.inf
    assert as_rgb(image)[0, :3, 0].tolist() == [0, 255, 0]


def test_errors() -> None:
    with pytest.raises(DataError, match=r"shape \(3,\)"):
        as_rgb(np.zeros(3, np.uint8))
