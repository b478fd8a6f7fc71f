import numpy as np
import pytest

from intarsia.core import ClassSpace, DataError, LabelMap, Sample, as_image

SPACE = ClassSpace.from_names(["a", "b"])


def test_a_truth_of_another_size_is_named_and_rotation_recognised():
    truth = LabelMap(np.zeros((6, 4), np.uint8), SPACE)
    with pytest.raises(DataError, match=r"val/x: the image is 4 x 6 pixels .* mask 6 x 4\. It matches if rotated by 90"):
        Sample(np.zeros((4, 6, 3), np.uint8), (truth,), "val/x")


def test_no_truth_is_said():
    sample = Sample(np.zeros((4, 6, 1), np.uint8), (), "lonely")
    assert sample.size_hw == (4, 6)
    with pytest.raises(DataError, match="lonely has no truth"):
        _ = sample.truth


@pytest.mark.parametrize(
    ("array", "dtype", "channels"),
    [
        (np.zeros((2, 3), np.uint8), np.uint8, 1),
        (np.zeros((2, 3, 5), np.uint16), np.uint16, 5),
        (np.zeros((2, 3, 3)), np.float32, 3),
        (np.ones((2, 3), bool), np.uint8, 1),
    ],
)
def test_images_get_a_channel_axis_and_a_known_dtype(array, dtype, channels):
    image = as_image(array)
    assert image.dtype == dtype
    assert image.shape == (2, 3, channels)


def test_bool_becomes_black_and_white():
    assert as_image(np.array([[True, False]])).ravel().tolist() == [255, 0]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(4, np.uint8), r"shape \(4,\)"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \(0, 4, 3\)"),
        (np.zeros((2, 2), np.int64), "dtype int64"),
    ],
)
def test_other_arrays_are_refused(array, message):
    with pytest.raises(DataError, match=message):
        as_image(array)
