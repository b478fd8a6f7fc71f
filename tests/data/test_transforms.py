import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intarsia.core import ClassSpace, LabelMap
from intarsia.data.transforms import Augmentation, ColorShift, Draw, crop_image, crop_truth, shift_color

COLUMNS = ClassSpace.from_names([str(i) for i in range(64)])


def ramp(height, width):
    """An image whose value is its column and a label that says the same."""
    columns = np.arange(width, dtype=np.uint8)[None].repeat(height, 0)
    return columns[..., None], columns.copy()


def scale_and_crop(image, label, zoom, crop_hw, place_yx):
    """Image, label and what is inside, of a crop that is not mirrored; 255 is the id to ignore."""
    draw = Draw(zoom, place_yx, False, None)
    cropped, inside = crop_image(image, draw, crop_hw)
    return cropped, crop_truth(LabelMap(label, COLUMNS), draw, crop_hw).ids, inside


def test_zoom_one_at_the_corner_is_a_plain_crop():
    image, label = ramp(10, 20)
    out, ids, inside = scale_and_crop(image, label, 1.0, (4, 8), (0.0, 0.0))
    assert np.array_equal(out, image[:4, :8])
    assert np.array_equal(ids, label[:4, :8])
    assert inside.all()


def test_window_larger_than_the_image_is_padded_with_ignored_pixels():
    image, label = ramp(4, 4)
    out, ids, inside = scale_and_crop(image, label, 1.0, (4, 8), (0.0, 0.5))
    assert ids[0].tolist() == [255, 255, 0, 1, 2, 3, 255, 255]
    assert out[0, :, 0].tolist() == [0, 0, 0, 1, 2, 3, 0, 0]
    assert np.array_equal(inside, ids != 255)


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    crop=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    zoom=st.floats(0.3, 3.0),
    place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
@settings(max_examples=150, deadline=None)
def test_image_and_label_stay_in_step_and_no_id_is_new(size, crop, zoom, place):
    width = size[1]
    image, label = ramp(*size)
    out, ids, inside = scale_and_crop(image, label, zoom, crop, place)
    assert out.shape == (*crop, 1)
    assert ids.shape == inside.shape == crop
    assert set(np.unique(ids)) <= {*range(width), 255}
    assert np.array_equal(ids == 255, ~inside)
    step = np.abs(out[..., 0].astype(int) - ids)[inside]
    assert step.max(initial=0) <= 2


def test_same_generator_same_result_and_flips_go_together():
    image, label = ramp(32, 32)
    augment = Augmentation((16, 16), scale=(1.0, 1.0), flip=1.0, color=0.0)
    truth = LabelMap(label, COLUMNS)
    first, seen, inside = augment(image, truth, np.random.default_rng(3))
    again = augment(image, truth, np.random.default_rng(3))
    assert np.array_equal(first, again[0])
    assert np.array_equal(seen.ids, again[1].ids)
    assert np.array_equal(inside, again[2])
    assert np.array_equal(first[..., 0], seen.ids)
    assert (np.diff(seen.ids[0].astype(int)) == -1).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_color_keeps_dtype_and_range_and_does_not_write_in_place(dtype, channels):
    image = (np.random.default_rng(0).random((9, 9, channels)) * 200).astype(dtype)
    before = image.copy()
    changed = shift_color(image, ColorShift.draw(0.5, channels, np.random.default_rng(1)))
    assert changed.dtype == dtype
    assert changed.shape == image.shape
    assert np.array_equal(image, before)
    assert not np.array_equal(changed, image)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
@pytest.mark.parametrize(("dtype", "largest", "least"), [(np.uint8, 255, 1), (np.uint16, 65535, 1), (np.float32, np.inf, 1e-5)])
def test_one_matrix_is_brightness_contrast_saturation_and_gain_one_after_the_other(dtype, largest, least, channels):
    rng = np.random.default_rng(channels)
    image = (rng.random((9, 14, channels)) * min(largest, 65535)).astype(dtype)[:, ::-1]
    shift = ColorShift.draw(0.5, channels, rng)
    values = image.astype(np.float64)
    if channels == 3:
        grey = (values @ [0.299, 0.587, 0.114])[..., None]
        values = grey + shift.saturation * (values - grey)
    values = values.mean((0, 1)) + shift.contrast * (values - values.mean((0, 1)))
    expected = np.clip(values * shift.brightness * shift.gain, 0 if dtype != np.float32 else -np.inf, largest)
    out = shift_color(image, shift)
    assert out.dtype == dtype
    error = np.abs(out - (expected if dtype == np.float32 else np.rint(expected)))
    assert error.max() <= (least * 65535 if dtype == np.float32 else least)
    assert dtype == np.float32 or (error > 0).mean() < 0.05, "only where the value lies half way between two integers"


def test_zero_strength_is_the_identity_up_to_rounding():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    assert ColorShift.draw(0.0, 3, np.random.default_rng(1)) == ColorShift(1.0, 1.0, 1.0, (1.0, 1.0, 1.0))
    assert np.abs(shift_color(image, ColorShift(1.0, 1.0, 1.0, (1.0, 1.0, 1.0))).astype(int) - image).max() <= 1
