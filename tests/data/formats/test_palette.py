from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from intarsia.core import ClassSpace, DataError, LabelMap, SegmentationError
from intarsia.data.formats.palette import read_palette, write_palette

CLASSES = ClassSpace.from_dict(
    {
        "classes": [{"name": "sky", "color": [70, 130, 180]}, {"name": "car", "color": [0, 0, 142], "thing": True}],
        "ignore": [[1, 2, 3]],
    }
)


def test_write_then_read_is_the_identity(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).choice([0, 1, 255], (30, 40)).astype(np.uint8)
    path = write_palette(tmp_path / "a.png", LabelMap(ids, CLASSES))
    back = read_palette(path, CLASSES)
    np.testing.assert_array_equal(back.ids, ids)
    assert back.ids.dtype == np.uint8
    own = read_palette(path).classes
    assert own is not None
    assert (own.names, own.colors.tolist(), own.thing_ids, own.ignore_id) == (("sky", "car"), CLASSES.colors.tolist(), (1,), 255)


def test_ids_inside_and_colours_outside_for_other_programs(tmp_path: Path, pillow: Callable[[Path], Image.Image]) -> None:
    ids = np.array([[0, 1, 255]], np.uint8)
    image = pillow(write_palette(tmp_path / "a.png", LabelMap(ids, CLASSES)))
    assert image.mode == "P"
    assert np.asarray(image).tolist() == ids.tolist()
    assert np.asarray(image.convert("RGB")).tolist() == [[[70, 130, 180], [0, 0, 142], [1, 2, 3]]]


def test_regions_take_the_voc_colours(tmp_path: Path, pillow: Callable[[Path], Image.Image]) -> None:
    path = write_palette(tmp_path / "a.png", LabelMap(np.array([[0, 1, 15, 255]])))
    assert np.asarray(pillow(path).convert("RGB"))[0].tolist() == [[0, 0, 0], [128, 0, 0], [192, 128, 128], [224, 224, 192]]
    assert read_palette(path).ids.tolist() == [[0, 1, 15, 255]]


def test_a_palette_of_declared_colours_is_read_by_colour(tmp_path: Path) -> None:
    shuffled = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    shuffled.putpalette([255, 0, 0, 0, 0, 0, 0, 0, 255])
    shuffled.save(tmp_path / "a.png")
    by_color = ClassSpace.from_dict(
        {"classes": [{"name": "back", "values": [[0, 0, 0]]}, {"name": "lung", "values": [[255, 0, 0]]}], "ignore": [[0, 0, 255]]}
    )
    assert read_palette(tmp_path / "a.png", by_color).ids.tolist() == [[1, 0, 255]]
    assert read_palette(tmp_path / "a.png", ClassSpace.from_names("xyz")).ids.tolist() == [[0, 1, 2]]


def test_real_masks_keep_their_indices(shared_data, pillow: Callable[[Path], Image.Image]) -> None:
    path = shared_data("camvid") / "masks" / "train" / "0001TP_006690.png"
    np.testing.assert_array_equal(read_palette(path).ids, np.asarray(pillow(path)))


def test_errors(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "grey.png")
    with pytest.raises(DataError, match=r"grey\.png holds grey values, where palette indices were asked for"):
        read_palette(tmp_path / "grey.png")
    with pytest.raises(SegmentationError, match="the id 256 does not fit the 8 bits"):
        write_palette(tmp_path / "b.png", LabelMap(np.array([[256]])))
