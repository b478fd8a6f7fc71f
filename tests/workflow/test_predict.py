import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import intarsia
from intarsia.core import ClassSpace, DataError, LabelMap, ModelFileError, SettingsError, UnknownNameError
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
    assert [name for _, name in find_images([str(tmp_path / "*" / "x.png")])] == ["a/x", "b/x"], "below the folder of both"
    assert [name for _, name in find_images([tmp_path / "a"])] == ["x.jpg", "x.png"]
    assert sorted(names) == ["a/x.jpg", "a/x.png", "b/x", "deep/y"]
    twice = find_images([tmp_path / "b", tmp_path / "a" / ".." / "b" / "x.png"])
    assert len(twice) == 2, "an input named twice is done once"


def test_results_and_hidden_files_are_no_inputs(run, cells, tmp_path):
    done, _ = run
    for name in ("one", "two"):
        write_image(tmp_path / f"{name}.png", read_image(cells / "images" / "c00.png"))
    (tmp_path / "._one.jpg").write_bytes(b"what macOS leaves on foreign disks")
    for out in (tmp_path, tmp_path / "out"):  # results beside the inputs, and in a folder among them
        for _ in range(2):
            rows = intarsia.predict([tmp_path], model=done.best, out=out, device="cpu")
        found = [row.path.relative_to(tmp_path).as_posix() for row in rows]
        assert found[-2:] == ["one.png", "two.png"]
        assert not [name for name in found if name.startswith(("out/", "._"))]
        for folder in ("masks", "overlays"):
            shutil.rmtree(tmp_path / folder, ignore_errors=True)
    named = find_images([tmp_path / "out/overlays/one.jpg"], leave=[tmp_path / "out/overlays"])
    assert len(named) == 1, "a file that is named is meant"


def table_of(out):
    with (out / "summary.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_very_long_image_is_drawn_though_jpeg_cannot_hold_it(run, tmp_path):
    done, _ = run
    write_image(tmp_path / "long.png", np.full((1, 70_000, 3), 200, np.uint8))
    (row,) = intarsia.predict([tmp_path / "long.png"], model=done.best, out=tmp_path / "out", device="cpu")
    assert row.error is None
    assert read_image(row.overlay).shape == (1, 70_000, 3)


class Failing:
    """A predictor that comes to an image of width 7 and fails."""

    name, task, classes = "failing", "semantic", ClassSpace.from_names(["a", "b"])

    def __init__(self, error):
        self.error = error

    def predict(self, image, hints=None):
        if image.shape[1] == 7:
            raise self.error
        return LabelMap(np.zeros(image.shape[:2], np.uint8), self.classes)


@pytest.fixture
def odd_one(tmp_path):
    for name, width in (("a", 5), ("b", 7), ("c", 5)):
        write_image(tmp_path / "in" / f"{name}.png", np.zeros((4, width, 3), np.uint8))
    return tmp_path / "in"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DataError("An image has 7 channels."), "An image has 7 channels"),
        (OSError("encoder error -2"), "encoder error -2"),
        (MemoryError(), "There is not enough memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "CUDA out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "DefaultCPU"),
    ],
)
def test_one_odd_file_does_not_end_the_others_and_its_row_names_it(odd_one, tmp_path, error, said):
    rows = intarsia.predict([odd_one], model=Failing(error), out=tmp_path / "out")
    assert [row.error is None for row in rows] == [True, False, True]
    assert rows[1].error.startswith(f"{odd_one / 'b.png'}: {said}")
    assert [bool(row["error"]) for row in table_of(tmp_path / "out")] == [False, True, False]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a mistake of ours")])
def test_what_stops_the_whole_leaves_the_table_of_what_was_done(odd_one, tmp_path, error):
    with pytest.raises(type(error)):
        intarsia.predict([odd_one], model=Failing(error), out=tmp_path / "out")
    assert [Path(row["image"]).name for row in table_of(tmp_path / "out")] == ["a.png"]


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


def test_a_classical_method_by_name(tmp_path):
    write_image(tmp_path / "x.png", np.linspace(0, 255, 40 * 50 * 3).reshape(40, 50, 3).astype(np.uint8))
    rows = intarsia.predict([tmp_path / "x.png"], model="slic", options={"segments": 12}, out=tmp_path / "out")
    assert rows[0].error is None
    assert 4 <= len(rows[0].areas) <= 20
    assert sum(rows[0].areas.values()) == 40 * 50
    with pytest.raises(ModelFileError, match=r"no model file 'slik', and no method of that name \(did you mean 'slic'\?\)"):
        intarsia.predict([tmp_path / "x.png"], model="slik", out=tmp_path / "out")
