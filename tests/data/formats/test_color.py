from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from intarsia.core import ClassSpace, ClassSpaceError, DataError, LabelMap, SegmentationError
from intarsia.data.formats.color import read_color, write_color

CLASSES = ClassSpace.from_dict(
    {
        "classes": [
            {"name": "road", "color": [128, 64, 128]},
            {"name": "car", "values": [[64, 0, 128], [64, 0, 192]], "color": [9, 9, 9]},
        ],
        "ignore": [[0, 0, 0]],
    }
)


def test_write_then_read_is_the_identity(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).choice([0, 1, 255], (30, 40)).astype(np.uint8)
    back = read_color(write_color(tmp_path / "a.png", LabelMap(ids, CLASSES)), CLASSES)
    np.testing.assert_array_equal(back.ids, ids)


def test_colours_mean_the_class_that_claims_them(tmp_path: Path) -> None:
    colors = [[128, 64, 128], [64, 0, 128], [64, 0, 192], [0, 0, 0]]
    for mode in ("RGB", "RGBA"):
        Image.fromarray(np.array([colors], np.uint8)).convert(mode).save(tmp_path / "a.png")
        assert read_color(tmp_path / "a.png", CLASSES).ids.tolist() == [[0, 1, 1, 255]]


def test_greys_in_rgb_are_values_unless_colours_were_declared(tmp_path: Path) -> None:
    Image.fromarray(np.array([[[0] * 3, [255] * 3]], np.uint8)).save(tmp_path / "a.png")
    binary = ClassSpace.from_dict({"classes": [{"name": "back", "values": [0]}, {"name": "cell", "values": [255]}]})
    assert read_color(tmp_path / "a.png", binary).ids.tolist() == [[0, 1]]
    inverse = ClassSpace.from_dict({"classes": [{"name": "cell", "values": [[255] * 3]}, {"name": "back", "values": [[0] * 3]}]})
    assert read_color(tmp_path / "a.png", inverse).ids.tolist() == [[1, 0]]
    shown = ClassSpace.from_dict({"classes": [{"name": "back", "color": [0] * 3}, {"name": "wall", "color": [200] * 3}]})
    Image.fromarray(np.array([[[0] * 3, [200] * 3]], np.uint8)).save(tmp_path / "a.png")
    assert read_color(tmp_path / "a.png", shown).ids.tolist() == [[0, 1]]


def test_errors(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2), (1, 2, 3)).save(tmp_path / "a.png")
    with pytest.raises(ClassSpaceError, match=r"a\.png holds a value that no class claims: #010203 \(100\.00% of pixels\)"):
        read_color(tmp_path / "a.png", CLASSES)
    Image.new("L", (2, 2)).save(tmp_path / "grey.png")
    with pytest.raises(DataError, match=r"grey\.png holds grey values, where RGB colours were asked for"):
        read_color(tmp_path / "grey.png", CLASSES)
    half = LabelMap(np.array([[0, 255]]), ClassSpace.from_names(["a", "b"]))
    with pytest.raises(
        SegmentationError, match=r"50\.00% of the pixels are ignored, and `ignore` of the classes lists no colour"
    ):
        write_color(tmp_path / "b.png", half)
    twins = ClassSpace.from_dict({"classes": [{"name": n, "color": [5, 5, 5]} for n in "ab"]})
    with pytest.raises(SegmentationError, match=r"the colour \(5, 5, 5\) stands for more than one class"):
        write_color(tmp_path / "b.png", LabelMap(np.zeros((2, 2), np.uint8), twins))
    with pytest.raises(SegmentationError, match="regions without classes"):
        write_color(tmp_path / "b.png", LabelMap(np.zeros((2, 2), np.uint8)))
