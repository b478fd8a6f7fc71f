import csv

import numpy as np
import pytest
from PIL import Image

import intarsia
from intarsia.core import ModelFileError, SettingsError, UnknownNameError
from intarsia.data.formats import read_image, read_mask, write_image
from intarsia.workflow.predict import find_images


def test_folder_files_and_patterns_become_masks_overlays_and_a_table(run, cells, tmp_path):
    done, _ = run
    rows = intarsia.predict([cells / "images"], model=done.best, out=tmp_path / "out", device="cpu")
    assert len(rows) == 15
    assert all(row.error is None for row in rows)
    mask = tmp_path / "out" / "masks" / "c00.png"
    with Image.open(mask) as picture:
        assert picture.mode == "P", "ids inside, colours outside"
        assert picture.size == (48, 40)
    classes = intarsia.load(done.best).classes
    predicted = read_mask(mask, classes).ids
    truth = read_image(cells / "masks" / "c00.png")[..., 0] > 0
    assert ((predicted == 1) == truth).mean() > 0.9
    assert read_image(tmp_path / "out" / "overlays" / "c00.jpg").shape == (40, 48, 3)
    with (tmp_path / "out" / "summary.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert int(table[0]["pixels foreground"]) == (predicted == 1).sum()
    assert int(table[0]["pixels background"]) + int(table[0]["pixels foreground"]) == 40 * 48


def test_a_corrupt_file_is_reported_and_the_others_go_on(run, cells, tmp_path):
    done, _ = run
    broken = tmp_path / "broken.png"
    broken.write_bytes((cells / "images" / "c00.png").read_bytes()[:200])
    inputs = [cells / "images" / "c01.png", broken, cells / "images" / "c02.png"]
    rows = intarsia.predict(inputs, model=done.out, out=tmp_path / "out", device="cpu")
    assert [row.error is None for row in rows] == [True, False, True]
    assert "broken.png" in rows[1].error
    with (tmp_path / "out" / "summary.csv").open(newline="") as file:
        assert [bool(row["error"]) for row in csv.DictReader(file)] == [False, True, False]


def test_names_of_results_never_collide(tmp_path):
    picture = np.zeros((2, 2, 3), np.uint8)
    for name in ("a/x.png", "a/x.jpg", "b/x.png", "b/deep/y.png"):
        write_image(tmp_path / name, picture)
    names = [name for _, name in find_images([tmp_path / "a", tmp_path / "b"])]
    assert len(set(names)) == len(names) == 4
    assert "deep/y" in names
    assert [name for _, name in find_images([tmp_path / "b"])] == ["deep/y", "x"]
    assert [name.endswith(("a/x.png", "b/x.png")) for _, name in find_images([str(tmp_path / "*" / "x.png")])] == [True, True]
    twice = find_images([tmp_path / "b", tmp_path / "b" / "x.png"])
    assert len(twice) == 2, "an input named twice is done once"


def test_what_is_not_there_is_said(run, tmp_path):
    done, _ = run
    with pytest.raises(SettingsError, match=r"no file, folder or match for '.*nowhere\*\.jpg'"):
        intarsia.predict([str(tmp_path / "nowhere*.jpg")], model=done.best, out=tmp_path)
    with pytest.raises(SettingsError, match="There is no image in"):
        intarsia.predict([tmp_path], model=done.best, out=tmp_path)
    with pytest.raises(UnknownNameError, match="unet is an architecture, and knows nothing until it is trained"):
        intarsia.predict([tmp_path], model="unet", out=tmp_path)
    with pytest.raises(ModelFileError, match="There is no model file 'nosuch'"):
        intarsia.predict([tmp_path], model="nosuch", out=tmp_path)
