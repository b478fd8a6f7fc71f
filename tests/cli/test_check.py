"""`intarsia check` on folders with faults: exit codes, the words of each message, and fixes that fix."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

import intarsia
from intarsia.cli.app import app
from intarsia.core import ClassSpace, DataError, LabelMap, Sample
from intarsia.data.datasets import open_dataset, write_classes
from intarsia.data.formats import read_image, write_image, write_mask

NAMES = [f"train/{stem}" for stem in "abcdef"] + ["val/x", "val/y"]
SIZE = (24, 32)
RGB = np.array([(0, 0, 0), (220, 30, 30), (30, 220, 30)], np.uint8)


def picture(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Noise that no other seed resembles, also when it is shrunk."""
    rng = np.random.default_rng(seed)
    coarse = np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((4, 4, 1)))
    return np.resize(coarse, (*size, 3)).astype(np.uint8)


def labels() -> np.ndarray:
    """Thirds of the classes 0, 1 and 2."""
    return np.repeat([0, 1, 2], SIZE[0] // 3).astype(np.uint8)[:, None].repeat(SIZE[1], 1)


def mask_of(root: Path, name: str) -> Path:
    return root / f"masks/{name}.png"


def image_of(root: Path, name: str) -> Path:
    return root / f"images/{name}.png"


def paint(root: Path, change: Callable[[np.ndarray], np.ndarray], names: list[str] = NAMES) -> None:
    for name in names:
        write_image(mask_of(root, name), change(labels()))


@pytest.fixture
def good(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for seed, name in enumerate(NAMES):
        write_image(image_of(root, name), picture(seed))
    paint(root, lambda ids: ids)
    return root


def check(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["check", *map(str, arguments)])
    return done.exit_code, done.stdout


def declare(root: Path, text: str) -> None:
    (root / "intarsia.toml").write_text(text)


def names_in_yaml(root: Path, names: str) -> None:
    (root / "data.yaml").write_text(f"names: [{names}]\n")


# Each fault: what it does to a good folder.


def a_stray_id(root: Path) -> None:
    names_in_yaml(root, "sky, road, car")
    paint(root, lambda ids: np.where(np.arange(32) < 8, 7, ids).astype(np.uint8), ["train/c"])


def a_jpeg_mask(root: Path) -> None:
    names_in_yaml(root, "sky, road, car")
    Image.fromarray(labels() * 120).save(root / "masks/train/c.jpg")
    mask_of(root, "train/c").unlink()


def ids_from_one(root: Path) -> None:
    names_in_yaml(root, "sky, road, car")
    paint(root, lambda ids: ids + 1)


def a_class_not_listed(root: Path) -> None:
    names_in_yaml(root, "sky, road")


def a_turned_mask(root: Path) -> None:
    paint(root, np.transpose, ["train/b"])


def an_exif_photo(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(1)).save(root / "images/train/b.jpg", exif=exif)
    image_of(root, "train/b").unlink()


def a_small_mask(root: Path) -> None:
    paint(root, lambda ids: ids[::2, ::2], ["val/x"])


def rgb_masks(root: Path) -> None:
    paint(root, lambda ids: RGB[ids])


def rgb_masks_with_names(root: Path) -> None:
    names_in_yaml(root, "sky, road, car")
    rgb_masks(root)


def binary_masks(root: Path) -> None:
    paint(root, lambda ids: (ids == 2) * np.uint8(255))


def one_binary_mask_among_ids(root: Path) -> None:
    paint(root, lambda ids: (ids == 2) * np.uint8(1))
    paint(root, lambda ids: (ids == 2) * np.uint8(255), ["train/d"])


def binary_masks_of_three_names(root: Path) -> None:
    names_in_yaml(root, "sky, road, car")
    binary_masks(root)


def binary_masks_that_are_ignored(root: Path) -> None:
    declare(root, 'classes = ["background", "cell"]\nignore = [255]')
    binary_masks(root)


def binary_masks_of_one_name(root: Path) -> None:
    names_in_yaml(root, "disc")
    binary_masks(root)


def an_ignored_mask(root: Path) -> None:
    declare(root, 'classes = ["sky", "road", "car"]')
    paint(root, lambda ids: np.full_like(ids, 255), ["train/e"])


def one_class(root: Path) -> None:
    declare(root, 'classes = ["sky", "road", "car"]')
    paint(root, np.zeros_like)


def a_val_of_one_class(root: Path) -> None:
    declare(root, 'classes = ["sky", "road", "car"]')
    paint(root, np.zeros_like, ["val/x", "val/y"])


def rows_of(ids: np.ndarray, *rows: int) -> np.ndarray:
    """As many rows of 0, 1 and 255."""
    return np.broadcast_to(np.repeat([0, 1, 255], rows).astype(np.uint8)[:, None], ids.shape)


def most_is_255(root: Path) -> None:
    """In train; nobody declared it."""
    paint(root, lambda ids: rows_of(ids, 6, 2, 16), NAMES[:6])
    paint(root, lambda ids: rows_of(ids, 12, 12, 0), NAMES[6:])


def most_of_val_is_ignored(root: Path) -> None:
    declare(root, 'classes = ["sky", "road"]\nignore = [255]')
    paint(root, lambda ids: rows_of(ids, 12, 12, 0))
    paint(root, lambda ids: rows_of(ids, 1, 0, 23), ["val/x"])
    paint(root, lambda ids: rows_of(ids, 0, 1, 23), ["val/y"])


def no_val(root: Path) -> None:
    declare(root, "[split]\ntest = ['val/x', 'val/y']")


def a_missing_mask(root: Path) -> None:
    mask_of(root, "train/a").unlink()


def a_missing_image(root: Path) -> None:
    image_of(root, "val/y").unlink()


def a_truncated_image(root: Path) -> None:
    image_of(root, "train/a").write_bytes(image_of(root, "train/a").read_bytes()[:-300])


def a_truncated_mask(root: Path) -> None:
    mask_of(root, "train/a").write_bytes(mask_of(root, "train/a").read_bytes()[:60])


def a_web_page(root: Path) -> None:
    image_of(root, "train/f").write_text("<!doctype html><p>404")


def a_photo_as_mask(root: Path) -> None:
    write_image(mask_of(root, "train/b"), np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8))


def two_images_of_one_name(root: Path) -> None:
    write_image(root / "images/train/a.jpg", picture(50))


def a_picture_in_train_and_val(root: Path) -> None:
    shutil.copy(image_of(root, "train/a"), image_of(root, "val/x"))


def bands(root: Path) -> None:
    image_of(root, "train/a").unlink()
    tifffile.imwrite(
        root / "images/train/a.tif", np.resize(picture(0), (*SIZE, 5)), photometric="minisblack", planarconfig="contig"
    )


def nan_image(root: Path) -> None:
    image_of(root, "train/a").unlink()
    tifffile.imwrite(root / "images/train/a.tif", np.full(SIZE, np.nan, np.float32))


def broken_toml(root: Path) -> None:
    declare(root, "classes = [}")


def classes_twice(root: Path) -> None:
    declare(root, 'classes = ["sky", "sky"]')


def no_images(root: Path) -> None:
    (root / "images").rename(root / "photos")


def overlapping_class_files(root: Path) -> None:
    shutil.rmtree(root / "masks")
    for name in NAMES:
        split, stem = name.split("/")
        for one in ("cell", "nucleus"):
            write_image(root / f"masks/{split}/{one}/{stem}.png", (labels() == 2) * np.uint8(255))


ERRORS = [
    (
        a_stray_id,
        "unknown_ids",
        ["train/c.png: 7 (25.0 %) of its pixels", "in all masks: 7 (3.1 %)", "The classes claim 0, 1, 2"],
    ),
    (a_jpeg_mask, "unknown_ids", ["train/c.jpg", "is a JPEG, which changes values: export masks as PNG"]),
    (ids_from_one, "unknown_ids", ["The values probably count from 1.", '{ name = "sky", values = [1]']),
    (a_class_not_listed, "unknown_ids", ["2 (33.3 %)", "probably a class that is not listed: name it"]),
    (a_turned_mask, "size_mismatch", ["train/b.png is 24 x 32", "32 x 24; it matches if rotated by 90 degrees"]),
    (an_exif_photo, "size_mismatch", ["train/b.jpg is 32 x 24", "rotated by 90 degrees: b.jpg has an EXIF orientation"]),
    (a_small_mask, "size_mismatch", ["val/x.png 12 x 16, the same picture at 50%", "by the nearest pixel, without smoothing"]),
    (
        rgb_masks,
        "rgb_masks",
        ["All 8 masks hold RGB colours", "#dc1e1e (33.3 %)", "pictures for the eye", "values = [[0, 0, 0]]"],
    ),
    (
        rgb_masks_with_names,
        "rgb_masks",
        ["where class values 0, 1, 2", "#1edc1e (33.3 %)", "data/intarsia.toml (`--fix` writes it)"],
    ),
    (binary_masks, "binary_masks", ["All 8 masks hold only 0 (66.7 %) and 255 (33.3 %)", "would score 100 %", "values = [255]"]),
    (one_binary_mask_among_ids, "binary_masks", ["1 mask of 8 holds 0 and 255 only", "train/d.png", "values = [1, 255]"]),
    (binary_masks_of_three_names, "binary_masks", ["The declared classes (sky, road, car) do not claim it"]),
    (
        binary_masks_that_are_ignored,
        "binary_masks",
        ["(background, cell) do not claim it", "intarsia.toml ignores 255. Probably", "ignore = []"],
    ),
    (binary_masks_of_one_name, "one_class", ["declares one class, 'disc'", '{ name = "disc", values = [255]']),
    (an_ignored_mask, "all_ignored", ["1 mask of 8 has no pixel left", "they hold nothing but 255: ", "train/e.png"]),
    (one_class, "one_class", ["All 8 masks together show one class, 'sky'", "any model would score 100 %"]),
    (
        most_is_255,
        "mostly_ignored",
        [
            "Only 33.3 % of the pixels of train have a class",
            "255 (66.7 %)",
            "If 255 means a class, name it. Say it in",
        ],
    ),
    (no_val, "no_split", ["There is no val: `train` needs images", "Move some of train into val"]),
    (a_missing_mask, "missing_mask", ["1 of 6 images in", "have no mask: a."]),
    (a_missing_image, "missing_image", ["1 of 2 masks in", "have no image: y."]),
    (a_truncated_image, "unreadable", ["train/a.png cannot be decoded", "cut off, damaged"]),
    (a_truncated_mask, "unreadable", ["masks/train/a.png cannot be decoded", "export it again"]),
    (a_web_page, "unreadable", ["train/f.png is no PNG", "the download was answered with a page"]),
    (a_photo_as_mask, "not_masks", ["masks/train/b.png hold", "a photograph, or masks resized with smoothing"]),
    (two_images_of_one_name, "duplicate_name", ["holds a.jpg and a.png; of files with one name only one can be meant"]),
    (a_picture_in_train_and_val, "same_picture", ["1 picture of train is in val too", "train/a.png = ", "learnt by heart"]),
    (bands, "mixed_channels", ["3 in 7 (such as", "5 in 1", "A network takes one number"]),
    (nan_image, "not_finite", ["train/a.tif holds values that are not finite"]),
    (broken_toml, "declaration", ["intarsia.toml is no TOML file", "line 1"]),
    (classes_twice, "declaration", ["The class name 'sky' occurs 2 times"]),
    (no_images, "layout", ["holds no images/ folder. Expected:", "Found: masks/, photos/"]),
    (overlapping_class_files, "unreadable", ["carry two classes", 'overlap = "last"']),
]


@pytest.mark.parametrize(("spoil", "code", "words"), [pytest.param(*row, id=row[0].__name__) for row in ERRORS])
def test_errors(good: Path, spoil: Callable[[Path], None], code: str, words: list[str]) -> None:
    spoil(good)
    exit_code, said = check(good)
    assert exit_code == 1
    assert f"error {code}: " in said
    assert [phrase for phrase in words if phrase not in said] == []
    found = json.loads(check(good, "--json")[1])
    assert [f["code"] for f in found["findings"] if f["severity"] == "error"] == [code]


def absent_from_val(root: Path) -> None:
    declare(root, 'classes = ["sky", "road", "car"]')
    paint(root, lambda ids: ids.clip(0, 1), ["val/x", "val/y"])


def rare(root: Path) -> None:
    declare(root, 'classes = ["sky", "road", "car", "sign"]')
    one = np.arange(24 * 32).reshape(SIZE) == 5
    paint(root, lambda ids: np.where(one, 3, ids).astype(np.uint8), ["train/a", "val/x"])


def brighter_copy(root: Path) -> None:
    write_image(image_of(root, "val/x"), (picture(0) * 0.8 + 20).astype(np.uint8))


def frames(root: Path) -> None:
    for kind in ("images", "masks"):
        for number, name in enumerate(NAMES):
            film = "day" if number in (0, 1, 2, 6) else "night"
            path = root / kind / f"{name}.png"
            path.rename(path.with_name(f"{film}_{number:03}.png"))


def two_sizes(root: Path) -> None:
    write_image(image_of(root, "train/a"), picture(0, (48, 64)))
    write_image(mask_of(root, "train/a"), labels().repeat(2, 0).repeat(2, 1))


def grey_among_colour(root: Path) -> None:
    write_image(image_of(root, "train/a"), picture(0)[..., :1])


def bits_16(root: Path) -> None:
    write_image(image_of(root, "train/a"), picture(0).astype(np.uint16) * 257)


def no_train(root: Path) -> None:
    for kind in ("images", "masks"):
        shutil.rmtree(root / kind / "train")
        (root / kind / "val").rename(root / kind / "test")


WARNINGS = [
    (
        most_of_val_is_ignored,
        "mostly_ignored",
        [
            "Only 4.2 % of the pixels of val have",
            "ignored: 255 (95.8 %)",
            "`classes`, `ignore` and `ignore_id` in",
            "ignore = []",
        ],
    ),
    (absent_from_val, "absent_class", ["The class 'car' occurs nowhere in val, so no score can say how well it is found"]),
    (rare, "rare_class", ["sign (0.022 %)", "To balance them: --class-weights ", "default loss counts every class alike"]),
    (
        brighter_copy,
        "near_duplicates",
        ["1 of 2 pictures of val looks nearly like one of train", "train/a.png and ", "val/x.png"],
    ),
    (frames, "shared_sequence", ["day (3 in train, 1 in val)", "night (3 in train, 1 in val)", "whole sequences into one split"]),
    (two_sizes, "mixed_sizes", ["The images have 2 sizes, from 24 x 32 to 48 x 64 (height x width)"]),
    (grey_among_colour, "mixed_channels", ["3 in 7", "1 in 1", "Grey is repeated"]),
    (bits_16, "mixed_depths", ["uint8 in 7", "uint16 in 1"]),
    (no_train, "no_split", ["There is no train, so these data are for evaluation only"]),
]


@pytest.mark.parametrize(("spoil", "code", "words"), [pytest.param(*row, id=row[0].__name__) for row in WARNINGS])
def test_warnings(good: Path, spoil: Callable[[Path], None], code: str, words: list[str]) -> None:
    spoil(good)
    exit_code, said = check(good)
    assert exit_code == 0
    assert said.count(f"warning {code}: ") >= 1
    assert [phrase for phrase in words if phrase not in said] == []
    assert {f["code"] for f in json.loads(check(good, "--json")[1])["findings"]} == {code}


def test_a_good_folder_has_no_findings(good: Path) -> None:
    exit_code, said = check(good)
    assert exit_code == 0
    assert "data, 6 train, 2 val: nothing found." in said
    found = json.loads(check(good, "--json")[1])
    assert (found["samples"], found["errors"], found["findings"]) == ({"train": 6, "val": 2}, 0, [])


def test_all_faults_are_told_at_once(good: Path) -> None:
    for spoil in (a_missing_mask, a_missing_image, a_web_page, a_turned_mask, two_images_of_one_name, rgb_masks):
        spoil(good)
    paint(good, lambda ids: RGB[ids].transpose(1, 0, 2), ["train/b"])
    codes = {finding.code for finding in intarsia.check(good).errors}
    assert codes == {"duplicate_name", "missing_image", "unreadable", "size_mismatch", "rgb_masks"}
    # `a` has its mask again, painted by `rgb_masks`, and so has `y`, whose image is missing


FIXES = [
    (binary_masks, ("background", "foreground"), {0: 0, 2: 1}, []),
    (one_binary_mask_among_ids, ("background", "foreground"), {0: 0, 2: 1}, []),
    (binary_masks_of_three_names, ("background", "foreground"), {0: 0, 2: 1}, []),
    (binary_masks_of_one_name, ("background", "disc"), {0: 0, 2: 1}, []),
    (rgb_masks, ("color_000000", "color_1edc1e", "color_dc1e1e"), {0: 0, 1: 2, 2: 1}, []),
    (rgb_masks_with_names, ("color_000000", "color_1edc1e", "color_dc1e1e"), {0: 0, 1: 2, 2: 1}, []),
    (a_stray_id, ("sky", "road", "car"), {0: 0, 1: 1, 2: 2}, []),
    (a_class_not_listed, ("sky", "road", "class_2"), {0: 0, 1: 1, 2: 2}, []),
    (ids_from_one, ("sky", "road", "car"), {0: 0, 1: 1, 2: 2}, []),
]


@pytest.mark.parametrize(("spoil", "names", "ids", "left"), [pytest.param(*row, id=row[0].__name__) for row in FIXES])
def test_fix_writes_the_block_and_it_fixes(good: Path, spoil, names: tuple, ids: dict[int, int], left: list) -> None:
    spoil(good)
    before = {path: path.read_bytes() for path in good.rglob("*") if path.is_file()}
    (shown,) = {finding.fix for finding in intarsia.check(good).errors}
    exit_code, said = check(good, "--fix")
    assert exit_code == 0, said
    toml = good / "intarsia.toml"
    assert toml.read_text().endswith(shown)
    assert {path: path.read_bytes() for path in good.rglob("*") if path.is_file() and path != toml} == before
    data = open_dataset(good)
    assert data.classes.names == names
    for key in ("train/c", "train/d", "val/y"):
        wanted = np.vectorize(lambda value: ids.get(value, 0))(labels())
        if spoil is a_stray_id and key == "train/c":
            wanted[:, :8] = data.classes.ignore_id
        np.testing.assert_array_equal(data.read(key).truth.ids, wanted)


def test_fix_does_not_touch_a_declaration_that_is_there(good: Path) -> None:
    binary_masks_that_are_ignored(good)
    before = (good / "intarsia.toml").read_bytes()
    done = CliRunner().invoke(app, ["check", str(good), "--fix"])
    assert done.exit_code == 1
    assert "intarsia.toml is there and stays as it is" in done.stderr
    assert "values = [255]" in done.stdout
    assert (good / "intarsia.toml").read_bytes() == before
    (found,) = intarsia.check(good).errors
    (good / "intarsia.toml").write_text(found.fix)
    assert check(good)[0] == 0
    assert open_dataset(good).classes.names == ("background", "cell")


def test_what_is_mostly_ignored_is_declared_by_the_block(good: Path) -> None:
    most_is_255(good)
    assert check(good, "--fix")[0] == 0
    data = open_dataset(good)
    assert data.classes.names == ("background", "foreground", "class_255")
    assert np.unique(data.read("train/c").truth.ids, return_counts=True)[1].tolist() == [6 * 32, 2 * 32, 16 * 32]


def test_the_block_replaces_an_ignore_that_stands_there(good: Path) -> None:
    most_of_val_is_ignored(good)
    (found,) = intarsia.check(good).warnings
    declare(good, found.fix)
    assert (check(good)[0], open_dataset(good).classes.names) == (0, ("sky", "road", "class_255"))


def test_a_val_of_one_class_is_warned_of(good: Path) -> None:
    a_val_of_one_class(good)
    exit_code, said = check(good)
    assert exit_code == 0
    assert "The masks of val show one class, 'sky', and 0.0 % of their" in said
    assert "Move images that show other classes into val" in said


def test_half_of_the_pixels_is_enough(good: Path) -> None:
    declare(good, 'classes = ["sky", "road"]')
    paint(good, lambda ids: rows_of(ids, 6, 6, 12))
    assert intarsia.check(good).findings == ()


def test_declared_binary_masks_are_fine(good: Path) -> None:
    binary_masks(good)
    names_in_yaml(good, "background, cell")
    exit_code, said = check(good)
    assert exit_code == 0
    assert "255 is read as 'cell'" in said


def test_names_that_toml_must_quote_are_declared_as_they_are(good: Path) -> None:
    binary_masks(good)
    (good / "data.yaml").write_text("names: ['a \"b\" \\ c']\n", encoding="utf-8")
    assert check(good, "--fix")[0] == 0
    assert open_dataset(good).classes.names == ("background", 'a "b" \\ c')


def test_more_masks_than_are_looked_at_to_infer_classes(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intarsia.data.datasets._looks.MOST_FILES", 3)
    paint(good, lambda ids: np.where(np.arange(32) < 8, 9, ids).astype(np.uint8), ["train/b"])
    exit_code, said = check(good)
    assert exit_code == 1
    assert "train/b.png: 9 (25.0 %) of its pixels" in said
    assert check(good, "--fix")[0] == 0


def test_masks_that_intarsia_wrote_for_other_classes(good: Path) -> None:
    write_classes(good, ClassSpace.from_names(["sky", "road", "car"]))
    other = ClassSpace.from_names(["sky", "road", "dog"])
    write_mask(mask_of(good, "train/a"), LabelMap(labels(), other))
    (found,) = intarsia.check(good).errors
    assert found.code == "other_classes"
    assert "dog is not among the classes asked for" in found.message


def test_object_numbers_and_files_per_class(good: Path) -> None:
    shutil.copytree(good / "masks", good / "instances")
    found = intarsia.check(open_dataset(good, view="instance"))
    assert (found.findings, found.classes.names) == ((), ("class_0", "class_1", "class_2"))
    shutil.rmtree(good / "masks")
    found = intarsia.check(good)
    assert (found.findings, found.classes.names) == ((), ("background", "object"))
    shutil.rmtree(good / "instances")
    for name in NAMES:
        split, stem = name.split("/")
        for index, one in enumerate(("cell", "nucleus"), 1):
            write_image(good / f"masks/{split}/{one}/{stem}.png", (labels() == index) * np.uint8(255))
    found = intarsia.check(good)
    assert (found.findings, found.classes.names) == ((), ("background", "cell", "nucleus"))
    write_image(good / "masks/val/cell/x.png", np.zeros((10, 10), np.uint8))
    assert [finding.code for finding in intarsia.check(good).errors] == ["unreadable"]


class Memory:
    """A data set of another making, whose samples lie in memory."""

    name, task, notes = "memory", "semantic", ("in memory",)
    classes = ClassSpace.from_names(["sky", "road", "car"])
    splits = {"train": ("a", "b", "c"), "val": ("d",)}  # noqa: RUF012

    def read(self, key: str) -> Sample:
        if key == "b":
            raise DataError("b is lost.")
        ids = np.full(SIZE, 255, np.uint8) if key == "c" else labels()
        return Sample(picture(0 if key in "ad" else 2), (LabelMap(ids, self.classes),), key)


def test_any_data_set_is_checked() -> None:
    found = intarsia.check(Memory())
    assert [(f.code, f.message.partition(".")[0]) for f in found.findings][:2] == [
        ("unreadable", "b is lost"),
        ("all_ignored", "1 mask of 3 has no pixel left once those to ignore are left out: c"),
    ]
    assert [f.code for f in found.findings][2:] == ["same_picture"]
    assert found.notes == ("in memory",)


def test_a_split_is_not_missed_where_there_is_nothing(good: Path) -> None:
    no_images(good)
    assert [finding.code for finding in intarsia.check(good).findings] == ["layout"]


def test_wrong_usage_is_no_finding(tmp_path: Path) -> None:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "intarsia", "check", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run(tmp_path / "nowhere")
    assert done.returncode == 2
    assert "There is no data set" in done.stderr
    assert run("scenes:trian=3").returncode == 2
    assert run("--fixx", tmp_path).returncode == 2


def test_train_stops_with_the_same_sentences_and_exit_code_1(good: Path) -> None:
    binary_masks(good)
    a_web_page(good)
    command = [sys.executable, "-m", "intarsia", "train", str(good), "--out", str(good / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    for finding in intarsia.check(good).errors:
        assert finding.sentences() in done.stderr
    assert "Traceback" not in done.stderr
    assert not (good / "run").exists()


def test_torch_is_not_imported(good: Path, tmp_path: Path) -> None:
    binary_masks(good)
    code = f"""
import sys, intarsia
intarsia.check({str(good)!r}, fix=True, show={str(tmp_path / "sheet.png")!r})
raise SystemExit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert read_image(tmp_path / "sheet.png").shape[1] == 4 * 332 + 12


def test_fix_says_where_no_declaration_helps(good: Path) -> None:
    a_web_page(good)
    done = CliRunner().invoke(app, ["check", str(good), "--fix"])
    assert (done.exit_code, "nothing is written" in done.stderr) == (1, True)
    assert not (good / "intarsia.toml").exists()


def test_a_sheet_shows_what_can_be_read(good: Path, tmp_path: Path) -> None:
    a_stray_id(good)
    sheet = tmp_path / "sheet.png"
    done = CliRunner().invoke(app, ["check", str(good), "--sheet", str(sheet)])
    assert (done.exit_code, f"wrote {sheet}" in done.stderr) == (1, True)
    a_missing_mask(good)  # now the folder does not open
    sheet.unlink()
    done = CliRunner().invoke(app, ["check", str(good), "--sheet", str(sheet)])
    assert (done.exit_code, "nothing to show yet" in done.stderr) == (1, True)


def test_a_long_look_says_how_far_it_is(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intarsia.workflow.check.SECONDS_BETWEEN_LINES", 0)
    done = CliRunner().invoke(app, ["check", str(good)])
    assert "check: 7 of 8 samples, about 0 s left" in done.stderr


def test_real_camvid(shared_data: Callable[[str], Path]) -> None:
    found = intarsia.check(shared_data("camvid"))
    assert found.errors == []
    said = {(f.code, f.message.partition(":")[2].partition(".")[0].strip()) for f in found.warnings}
    assert said == {
        ("shared_sequence", "0016E5 (204 in train, 101 in val)"),
        ("shared_sequence", "0001TP (62 in train, 62 in test)"),
        ("near_duplicates", "train/0001TP_008520 and test/0001TP_008550"),
    }


def test_real_nuclei(shared_data: Callable[[str], Path]) -> None:
    found = intarsia.check(shared_data("nuclei"))
    assert {f.code for f in found.findings} == {"mixed_sizes", "mixed_channels"}
    assert found.counts == {"train": 160, "val": 40}
