import io

import numpy as np
import pytest
from PIL import Image

from intarsia.core import ClassSpace, Instances, LabelMap, MultiLabel, Panoptic, Segment, Segmentation, SegmentationError
from intarsia.viz.colorize import CHECKS, NOTHING, checkerboard, colorize, distinct_colors, paint, png_bytes

CLASSES = ClassSpace.from_names(["sky", "road", "car"], things=["car"])


def test_classes_have_their_colours_and_ignored_pixels_are_checked() -> None:
    labels = LabelMap(np.array([[0, 1, 2, 255]], np.uint8), CLASSES)
    picture, clear = paint(labels)
    assert picture[0, :3].tolist() == CLASSES.colors.tolist()
    assert tuple(picture[0, 3].tolist()) in CHECKS
    assert clear.tolist() == [[True, False, False, True]]  # sky has the colour black


def test_every_class_and_dtype_of_a_large_space() -> None:
    classes = ClassSpace.from_names([str(i) for i in range(300)])
    ids = np.append(np.arange(300), 65535).astype(np.int32)[None]
    assert np.array_equal(colorize(LabelMap(ids, classes))[0, :300], classes.colors)


def test_the_checkerboard_has_two_greys() -> None:
    board = checkerboard((20, 30))
    assert board.shape == (20, 30, 3)
    assert {tuple(c) for c in board.reshape(-1, 3).tolist()} == set(CHECKS)


def test_regions_keep_the_colour_of_their_number() -> None:
    one, other = (colorize(LabelMap(np.array([ids]))) for ids in ([3, 7, 7], [1, 7, 900_000_000]))
    assert np.array_equal(one[0, 1], other[0, 1])
    assert len(np.unique(one[0], axis=0)) == 2


def test_neighbouring_numbers_differ_clearly() -> None:
    colors = distinct_colors(np.arange(200)).astype(int)
    assert np.abs(np.diff(colors, axis=0)).sum(1).min() > 100
    assert len(np.unique(colors, axis=0)) > 190


def test_objects_lie_on_nothing() -> None:
    picture, clear = paint(Instances.from_ids(np.array([[0, 1, 2]]), CLASSES, 2))
    assert tuple(picture[0, 0].tolist()) == NOTHING
    assert clear.tolist() == [[True, False, False]]
    assert not np.array_equal(picture[0, 1], picture[0, 2])


def test_panoptic_things_differ_and_stuff_has_its_class_colour() -> None:
    segments = (Segment(4, 1), Segment(5, 2), Segment(9, 2))
    picture, clear = paint(Panoptic(np.array([[4, 5, 9, 0]]), segments, CLASSES))
    assert np.array_equal(picture[0, 0], CLASSES.colors[1])
    assert not np.array_equal(picture[0, 1], picture[0, 2])
    assert clear.tolist() == [[False, False, False, True]]


def test_overlapping_classes_are_mixed() -> None:
    masks = np.array([[[False, False]], [[True, False]], [[True, False]]])
    picture, clear = paint(MultiLabel(masks, CLASSES, valid=np.array([[True, True]])))
    assert np.array_equal(picture[0, 0], CLASSES.colors[1:].mean(0))
    assert tuple(picture[0, 1].tolist()) == NOTHING
    assert clear.tolist() == [[False, True]]


def test_png_bytes_read_back() -> None:
    labels = LabelMap(np.array([[0, 1], [2, 255]], np.uint8), CLASSES)
    for data in (png_bytes(labels.colored()), labels._repr_png_()):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), colorize(labels))


def test_an_unknown_kind_is_refused() -> None:
    class Sketch(Segmentation):
        size_hw = (1, 1)

        def areas(self) -> dict[str, int]:
            return {}

    with pytest.raises(SegmentationError, match="A Sketch has no picture"):
        colorize(Sketch())
