import numpy as np
import pytest

from intarsia.core import DataError
from intarsia.data.preprocessing import Preprocessing, resize_image, resize_label

GREY = Preprocessing((0.5,), (0.25,))
RGB = Preprocessing((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def test_normalisation_by_hand():
    image = np.array([[[0], [255]]], np.uint8)
    assert GREY.normalize(image).tolist() == [[[-2.0, 2.0]]]
    assert GREY.normalize(np.array([[[65535]]], np.uint16)).item() == 2.0
    assert GREY.normalize(np.array([[[0.75]]], np.float32)).item() == 1.0


def test_fitting_keeps_proportions():
    fit = Preprocessing((0.0,), (1.0,), (120, 160))
    assert fit.fitted_size((360, 480)) == (120, 160)
    assert fit.fitted_size((480, 360)) == (120, 90)
    assert fit.fitted_size((1, 4000)) == (1, 160)
    assert fit.fit(np.zeros((360, 480, 1), np.uint8)).shape == (120, 160, 1)


def test_label_and_image_stay_in_step():
    """A picture of its own labels, resized as an image, is nowhere more than half a step away from its resized labels."""
    label = np.arange(24).reshape(1, 24).repeat(9, 0)
    for width in (5, 12, 24, 31, 96):
        as_image = resize_image(label[..., None].astype(np.float32), (9, width))[..., 0]
        assert np.abs(as_image - resize_label(label, (9, width))).max() <= 0.5 + 1e-4
        assert set(np.unique(resize_label(label, (9, width)))) <= set(range(24))


@pytest.mark.parametrize("channels", [1, 3, 4, 7])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("size", [(4, 6), (20, 30), (7, 30)])
def test_any_channels_and_dtype_can_be_resized(channels, dtype, size):
    image = np.full((10, 15, channels), 77, dtype)
    resized = resize_image(image, size)
    assert resized.shape == (*size, channels)
    assert resized.dtype == dtype
    assert (resized == 77).all()


def test_channels_are_matched_where_the_meaning_is_plain():
    grey, rgba = np.full((2, 2, 1), 9, np.uint8), np.full((2, 2, 4), 9, np.uint8)
    assert RGB.match_channels(grey).shape == (2, 2, 3)
    assert RGB.match_channels(rgba).shape == (2, 2, 3)
    assert (GREY.match_channels(rgba) == 9).all()
    with pytest.raises(DataError, match=r"photo\.tif has 5 channels and the network was made for 3"):
        RGB.fit(np.zeros((2, 2, 5), np.uint8), where="photo.tif")


def test_dictionary_round_trip():
    assert Preprocessing.from_dict(RGB.to_dict()) == RGB
    fit = Preprocessing((0.0,), (1.0,), (120, 160))
    assert Preprocessing.from_dict(fit.to_dict()) == fit


def test_values_that_are_not_finite_are_refused():
    image = np.zeros((4, 4, 1), np.float32)
    image[1, 2] = np.nan
    with pytest.raises(DataError, match="scan holds values that are not finite"):
        GREY.fit(image, where="scan")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_normalizing_is_the_formula_bit_for_bit(dtype):
    image = (np.random.default_rng(0).random((7, 9, 3)) * (65535 if dtype == np.uint16 else 255)).astype(dtype)[:, ::-1]
    preprocessing = Preprocessing((0.4, 0.5, 0.6), (0.2, 0.3, 0.1))
    span = {np.uint8: 255.0, np.uint16: 65535.0, np.float32: 1.0}[dtype]
    std = np.array(preprocessing.std, np.float32)
    expected = image.astype(np.float32) * (1 / (span * std)).astype(np.float32) - np.array(preprocessing.mean, np.float32) / std
    ready = preprocessing.normalize(image)
    assert np.array_equal(ready, expected.transpose(2, 0, 1))
    assert ready.dtype == np.float32
    assert ready.flags.c_contiguous
