import numpy as np
import pytest

from intarsia.core import ClassSpace, Instances, LabelMap, SegmentationClass, SegmentationError, SettingsError
from intarsia.viz.overlay import overlay

CLASSES = ClassSpace(
    (SegmentationClass("nothing", (0, 0, 0)), SegmentationClass("a", (200, 0, 100)), SegmentationClass("b", (0, 80, 0)))
)


def test_value_by_hand() -> None:
    image = np.full((1, 3, 3), 100, np.uint8)
    labels = LabelMap(np.array([[1, 0, 255]], np.uint8), CLASSES)
    drawn = overlay(image, labels, opacity=0.25, outline=False)
    assert drawn.tolist() == [[[125, 75, 100], [100, 100, 100], [100, 100, 100]]]  # black and ignored pixels stay clear


def test_the_outline_is_inside_each_segment_in_full_colour() -> None:
    ids = np.zeros((1, 9), np.uint8)
    ids[:, 3:6], ids[:, 6:] = 1, 2
    drawn = overlay(np.full((1, 9), 100, np.uint8), LabelMap(ids, CLASSES), opacity=0.5)[0]
    assert [tuple(pixel) for pixel in drawn.tolist()] == [
        *[(100, 100, 100)] * 3,
        *[(200, 0, 100), (150, 50, 100), (200, 0, 100)],
        *[(0, 80, 0), (50, 90, 50), (50, 90, 50)],
    ]


def test_opacity_runs_from_the_image_to_the_colours() -> None:
    image = np.random.default_rng(0).integers(0, 255, (6, 7, 3), np.uint8)
    labels = LabelMap(np.full((6, 7), 2, np.uint8), CLASSES)
    assert np.array_equal(overlay(image, labels, opacity=0), image)
    assert np.array_equal(overlay(image, labels, opacity=1), labels.colored())


@pytest.mark.parametrize("shape", [(8, 9), (8, 9, 1), (8, 9, 3), (8, 9, 5)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_never_writes_in_place(shape: tuple[int, ...], dtype: type) -> None:
    image = np.random.default_rng(0).random(shape) * 200
    image = image.astype(dtype)
    ids = np.random.default_rng(1).integers(0, 3, (8, 9), np.uint8)
    image_before, ids_before = image.copy(), ids.copy()
    for segmentation in (LabelMap(ids, CLASSES), LabelMap(ids), Instances.from_ids(ids, CLASSES, 1)):
        drawn = overlay(image, segmentation)
        drawn[:] = 0
    assert np.array_equal(image, image_before)
    assert np.array_equal(ids, ids_before)


def test_a_wide_line_on_a_large_image() -> None:
    ids = np.zeros((1500, 1500), np.uint8)
    ids[:, 700:] = 1
    drawn = overlay(np.zeros((1500, 1500), np.uint8), LabelMap(ids, CLASSES), opacity=0.5)
    assert (drawn[750] == CLASSES.colors[1]).all(1).sum() == 3


def test_errors() -> None:
    labels = LabelMap(np.zeros((4, 5), np.uint8), CLASSES)
    with pytest.raises(SegmentationError, match=r"segmentation is 4 x 5 pixels .* and the image 5 x 4"):
        overlay(np.zeros((5, 4), np.uint8), labels)
    with pytest.raises(SettingsError, match="opacity is 50"):
        overlay(np.zeros((4, 5), np.uint8), labels, opacity=50)
