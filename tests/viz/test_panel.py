from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from intarsia.core import ClassSpace, Instances, LabelMap, SegmentationClass, SettingsError
from intarsia.viz.disagreement import WRONG
from intarsia.viz.panel import panel, tile

CLASSES = ClassSpace(tuple(SegmentationClass(n, c) for n, c in (("road", (128, 64, 128)), ("tree", (0, 200, 0)))), ignore_id=9)


def row(height: int = 40, width: int = 60) -> tuple[str, np.ndarray, LabelMap, LabelMap]:
    truth = np.zeros((height, width), np.uint8)
    truth[:, width // 2 :] = 1
    prediction = np.zeros((height, width), np.uint8)
    return "val/1", np.full((height, width, 3), (10, 20, 30), np.uint8), LabelMap(truth, CLASSES), LabelMap(prediction, CLASSES)


def count(picture: np.ndarray, color: tuple[int, ...]) -> int:
    return int((picture == color).all(-1).sum())


def test_the_four_pictures_stand_side_by_side() -> None:
    picture = panel([row()], tile_width=60, margin=10)
    assert picture.shape[1] == 4 * 60 + 5 * 10
    thirds = [picture[:, 10 + 70 * i : 70 + 70 * i] for i in range(4)]
    assert count(thirds[0], (10, 20, 30)) == 40 * 60
    assert count(thirds[1], (0, 200, 0)) >= 40 * 30
    assert count(thirds[2], (128, 64, 128)) >= 40 * 60
    assert count(thirds[3], WRONG) == 40 * 30


def test_rows_of_other_sizes_fit_the_same_columns() -> None:
    picture = panel([row(), row(30, 30), row(200, 20)], tile_width=50)
    assert picture.dtype == np.uint8
    assert picture.shape[1] == panel([row()], tile_width=50).shape[1]


@pytest.mark.parametrize(("height", "width"), [(10, 20), (400, 100), (3, 1000)])
def test_a_tile_keeps_its_proportions_inside_its_box(height: int, width: int) -> None:
    made = tile(np.zeros((height, width, 3), np.uint8), 80)
    assert made.shape[1] <= 80
    assert made.shape[0] <= 100
    assert max(made.shape[1] / 80, made.shape[0] / 100) == 1
    if min(made.shape[:2]) > 10:
        assert made.shape[0] / made.shape[1] == pytest.approx(height / width, rel=0.1)


def test_flat_colours_stay_pure_when_enlarged() -> None:
    small = np.array([[[0, 0, 0], [255, 0, 0]]], np.uint8)
    assert len(np.unique(tile(small, 31, flat=True).reshape(-1, 3), axis=0)) == 2


def test_a_real_frame(shared_data) -> None:
    root = shared_data("camvid")
    key = "Seq05VD_f00840"
    mask = np.asarray(Image.open(Path(root) / "masks/test" / f"{key}.png"))
    table = [line.replace(",", " ").split() for line in (root / "classes.txt").read_text().splitlines()]
    named = [e for e in table if e and e[0].isdigit() and int(e[0]) < 11]
    classes = ClassSpace(tuple(SegmentationClass(e[1], tuple(int(v) for v in e[2:5])) for e in named), ignore_id=11)
    truth = LabelMap(mask, classes)
    picture = panel([(key, np.asarray(Image.open(root / "images/test" / f"{key}.jpg")), truth, truth)], tile_width=480)
    assert count(picture, WRONG) == 0
    assert count(picture, tuple(classes.colors[3].tolist())) > 2 * (mask == 3).sum()


def test_errors() -> None:
    with pytest.raises(SettingsError, match="at least one row"):
        panel([])
    key, image, truth, _ = row()
    with pytest.raises(SettingsError, match=r"val/1: a panel compares label maps, .* of kind Instances"):
        panel([(key, image, truth, Instances.from_ids(truth.ids, CLASSES, 0))])
    with pytest.raises(SettingsError, match="with classes"):
        panel([(key, image, LabelMap(truth.ids), LabelMap(truth.ids))])
