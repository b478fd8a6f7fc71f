import json

import numpy as np
import pytest
from PIL import Image

from intarsia.core import DataError, Hints, SettingsError
from intarsia.data.hints_file import read_hints, write_hints

SCRIBBLES = np.array([[-1, 0, 2], [254, -1, 1]])


def test_what_is_written_is_read(tmp_path):
    hints = Hints(np.array([[1.5, 2, 30, 40]]), np.array([[3, 4], [5, 6]]), np.array([0, 2]), SCRIBBLES)
    read = read_hints(write_hints(tmp_path / "deep" / "a.json", hints))
    assert read.kinds == ("box", "points", "scribbles")
    for name in ("boxes_xyxy", "points_yx", "point_class", "scribbles"):
        assert np.array_equal(getattr(read, name), getattr(hints, name))
    assert np.array_equal(read_hints(write_hints(tmp_path / "b.png", Hints(scribbles=SCRIBBLES))).scribbles, SCRIBBLES)


def test_a_palette_and_a_hand_written_box(tmp_path):
    picture = Image.fromarray(np.array([[0, 1, 255]], np.uint8), "L").convert("P")
    picture.putdata([0, 1, 255])
    picture.putpalette([9, 9, 9, 200, 0, 0] + [255] * 762)
    picture.save(tmp_path / "a.png")
    assert read_hints(tmp_path / "a.png").scribbles.tolist() == [[0, 1, -1]]
    (tmp_path / "a.json").write_text('{"boxes_xyxy": [1, 2, 3, 4]}')
    assert read_hints(tmp_path / "a.json").boxes_xyxy.tolist() == [[1, 2, 3, 4]]


def test_what_cannot_be_is_said(tmp_path):
    for text, said in (
        ('{"box": [1, 2, 3, 4]}', r"holds \['box'\]; hints are boxes_xyxy"),
        ('{"boxes_xyxy": [[1, 2, 3]]}', "cannot be read as hints"),
        ("{", "cannot be read as hints"),
        ("[]", "cannot be read as hints|say|need"),
    ):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises((DataError, SettingsError), match=said):
            read_hints(tmp_path / "a.json")
    (tmp_path / "a.json").write_text(json.dumps({"points_yx": [[1, 2]]}))
    with pytest.raises(SettingsError, match="a class id for each point"):
        read_hints(tmp_path / "a.json")
    with pytest.raises(DataError, match=r"a\.txt ends in \.txt; hints are a scribble map"):
        read_hints(tmp_path / "a.txt")
    with pytest.raises(DataError, match="values -1 to 300; a scribble map holds class ids 0 to 254"):
        write_hints(tmp_path / "c.png", Hints(scribbles=np.array([[-1, 300]])))
    with pytest.raises(DataError, match=r"c\.png does not hold box; \.json holds all hints"):
        write_hints(tmp_path / "c.png", Hints(boxes_xyxy=np.array([[0, 0, 1, 1]])))
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)).save(tmp_path / "d.png")
    with pytest.raises(DataError, match=r"d\.png is a colour image; a scribble map is a grey or palette PNG"):
        read_hints(tmp_path / "d.png")
