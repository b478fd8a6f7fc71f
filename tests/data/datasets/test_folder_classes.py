"""Which classes a folder has: declared in a TOML or YAML file, or inferred from the masks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from intarsia.core import ClassSpace, ClassSpaceError, DataError, LabelMap
from intarsia.data.datasets import read_classes, write_classes
from intarsia.data.datasets.folder import Folder
from intarsia.data.formats import write_image, write_mask

Make = Callable[..., Path]


def pairs(*stems: str, split: str = "") -> list[str]:
    return [f"{kind}/{split}{stem}.{end}" for stem in stems for kind, end in (("images", "jpg"), ("masks", "png"))]


@pytest.mark.parametrize(
    ("values", "names", "sources", "ignored"),
    [
        ((0, 1), ("background", "foreground"), ((), ()), ()),
        ((0, 1, 2), ("class_0", "class_1", "class_2"), ((), (), ()), ()),
        ((0, 255), ("background", "foreground"), ((0,), (255,)), ()),
        ((0, 128), ("background", "foreground"), ((0,), (128,)), ()),
        ((0, 1, 255), ("background", "foreground"), ((), ()), (255,)),
        ((0, 2, 7), ("class_0", "class_2", "class_7"), ((0,), (2,), (7,)), ()),
        ((1, 2), ("class_1", "class_2"), ((1,), (2,)), ()),
        ((0, 7, 11, 255), ("class_0", "class_7", "class_11"), ((0,), (7,), (11,)), (255,)),
        ((0, 127, 255), ("class_0", "class_127", "class_255"), ((0,), (127,), (255,)), ()),
        ((0, 85, 170, 255), ("class_0", "class_85", "class_170", "class_255"), ((0,), (85,), (170,), (255,)), ()),
        ((0, 1000, 2000), ("class_0", "class_1000", "class_2000"), ((0,), (1000,), (2000,)), ()),
    ],
)
def test_classes_are_inferred_from_values(make: Make, values: tuple, names: tuple, sources: tuple, ignored: tuple) -> None:
    data = Folder(make(*pairs("a", "b"), values=values))
    assert data.classes.names == names
    assert tuple(entry.sources for entry in data.classes.classes) == sources
    truth = data.read("a").truth
    assert isinstance(truth, LabelMap)
    ids = [255 if v in ignored else [w for w in values if w not in ignored].index(v) for v in values]
    np.testing.assert_array_equal(truth.ids, np.resize(ids, (6, 8)))
    assert any("classes inferred from 2 masks of grey values" in note for note in data.notes)


def test_the_note_lists_values_and_shares(make: Make) -> None:
    notes = Folder(make(*pairs("a"), values=(0, 0, 255, 0))).notes
    found = "2 classes inferred from 1 mask of grey values: background = 0 (75.0%), foreground = 255 (25.0%)."
    assert f"{found} Name them in intarsia.toml." in notes


def test_palettes_give_the_colours(make: Make) -> None:
    data = Folder(make(*pairs("a", "b"), palette=[0, 0, 0, 10, 20, 30, 40, 50, 60]))
    assert data.classes.colors.tolist() == [[0, 0, 0], [10, 20, 30], [40, 50, 60]]
    assert data.read("a").truth.areas() == {"class_0": 16, "class_1": 16, "class_2": 16}


def test_palettes_sorted_by_the_program_that_wrote_them_are_read_by_colour(make: Make) -> None:
    make(*pairs("a"), values=(0, 1, 1), palette=[0, 0, 0, 255, 0, 0])
    data = Folder(make(*pairs("b"), values=(0, 1, 1), palette=[255, 0, 0, 0, 0, 0]))
    assert data.classes.names == ("background", "foreground")
    assert data.read("a").truth.areas() == {"background": 16, "foreground": 32}
    assert data.read("b").truth.areas() == {"background": 32, "foreground": 16}
    assert any("masks of palette colours" in note for note in data.notes)


def test_each_colour_is_a_class(make: Make) -> None:
    data = Folder(make(*pairs("a"), values=((0, 255, 0), (0, 0, 0), (255, 0, 0))))
    assert data.classes.names == ("color_000000", "color_00ff00", "color_ff0000")
    truth = data.read("a").truth
    assert isinstance(truth, LabelMap)
    assert truth.ids[0, :3].tolist() == [1, 0, 2]
    assert any("mask of RGB colours: color_000000 = #000000 (33.3%)" in note for note in data.notes)


def test_greys_saved_as_rgb_are_values(make: Make) -> None:
    data = Folder(make(*pairs("a"), values=((0, 0, 0), (255, 255, 255))))
    assert data.classes.names == ("background", "foreground")
    assert data.read("a").truth.areas() == {"background": 24, "foreground": 24}


def test_masks_that_intarsia_wrote_say_their_classes(make: Make) -> None:
    root = make("images/a.jpg", "images/b.jpg")
    classes = ClassSpace.from_names(["road", "car"], things=["car"])
    for stem in "ab":
        write_mask(root / "masks" / f"{stem}.png", LabelMap(np.resize(np.array([0, 1, 255], np.uint8), (6, 8)), classes))
    data = Folder(root)
    assert data.classes == classes
    assert "Classes as stored in the 2 masks: road, car." in data.notes


def test_many_masks_are_sampled_and_it_is_said(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intarsia.data.datasets._looks.MOST_FILES", 3)
    root = make(*pairs("a", "b", "c", "d", "e"))
    make("masks/b.png", values=(9,))  # of five, the first, third and last are looked at
    data = Folder(root)
    assert any("inferred from 3 of 5 masks" in note for note in data.notes)
    with pytest.raises(ClassSpaceError, match=r"b\.png holds a value that no class claims: 9"):
        data.read("b")


def test_classes_are_declared_in_toml(make: Make) -> None:
    root = make(*pairs("a"), values=(0, 7, 9))
    declared = ClassSpace.from_dict({"classes": ["back", {"name": "cell", "values": [7], "thing": True}], "ignore": [9]})
    path = write_classes(root, declared)
    assert path == root / "intarsia.toml"
    assert read_classes(path) == read_classes(root) == Folder(root).classes == declared
    path.write_text(path.read_text() + "\n[split]\nval = ['a']\n")
    assert Folder(root).splits == {"val": ("a",)}
    write_classes(path, declared)
    assert Folder(root).splits == {"val": ("a",)}  # what else the file holds is kept


def test_binary_masks_of_two_named_classes_are_not_ignored(make: Make) -> None:
    root = make(*pairs("a"), values=(0, 255))
    (root / "intarsia.toml").write_text('classes = ["background", "cell"]')
    data = Folder(root)
    assert data.read("a").truth.areas() == {"background": 24, "cell": 24}
    assert "The masks hold 0 and 255 only: 255 is read as 'cell', not as pixels to ignore." in data.notes
    (root / "intarsia.toml").write_text('classes = ["background", "cell"]\nignore = [255]')
    assert Folder(root).read("a").truth.areas() == {"background": 24, "cell": 0}  # who says so is believed


@pytest.mark.parametrize("names", ["[road, car, sky]", "{0: road, 1: car, 2: sky}"])
def test_data_yaml_of_other_tools(make: Make, names: str) -> None:
    root = make(*pairs("a", "b", split="train/"), *pairs("c", split="val/"))
    (root / "masks").rename(root / "labels_png")
    yaml = root / "cityparts.yaml"
    yaml.write_text(f"path: .\ntrain: images/train\nval: images/val\nmasks_dir: labels_png\nnames: {names}\n")
    data = Folder(yaml)
    assert data.name == "cityparts"
    assert data.classes.names == ("road", "car", "sky")
    assert data.splits == {"train": ("train/a", "train/b"), "val": ("val/c",)}
    assert data.read("val/c").truth.areas() == {"road": 16, "car": 16, "sky": 16}


def test_data_yaml_inside_the_folder_and_its_label_mapping(make: Make) -> None:
    root = make("train/images/a.jpg", "train/masks/a.png", "valid/images/b.jpg", "valid/masks/b.png", values=(0, 7, 26))
    (root / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\nnames: [road, car]\nlabel_mapping: {7: 0, 26: 1, 0: ignore_label}\n"
    )
    data = Folder(root)
    assert data.splits == {"train": ("train/a",), "val": ("val/b",)}
    truth = data.read("train/a").truth
    assert isinstance(truth, LabelMap)
    assert truth.ids[0, :3].tolist() == [255, 0, 1]


def test_data_yaml_leads_where_the_folders_do_not_say_enough(make: Make) -> None:
    root = make(*pairs("a", "b", split="train/"), *pairs("c", split="val/"))
    (root / "data.yaml").write_text("train: images/train\nmasks_dir: labels_png\nnames: [road, car, sky]\n")
    data = Folder(root)  # masks/ is there: the folders lead, and the file gives the names
    assert (data.splits, data.classes.names) == ({"train": ("train/a", "train/b"), "val": ("val/c",)}, ("road", "car", "sky"))
    (root / "masks").rename(root / "labels_png")
    for source in (root, root / "data.yaml"):
        data = Folder(source, val_fraction=0)
        assert data.splits == {"train": ("train/a", "train/b")}
        assert data.read("train/b").truth.areas() == {"road": 16, "car": 16, "sky": 16}
    (root / "data.yaml").write_text("masks_dir: labels_png\nnames: [road, car, sky]\n")
    with pytest.raises(DataError, match=r"unlabelled: there are no masks in .*masks"):
        Folder(root)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("train: [", "is no YAML file"),
        ("[1, 2]", "holds list, and a table"),
        ("names: [a, b]", "names no folder of images"),
        ("train: pictures\nnames: [a, b]", r"says train: pictures, and there is no folder .*pictures"),
        ("train: masks\nnames: [a, b]", "has no part called images"),
        ("train: images\nnames: {1: a, 2: b}", r"the ids of `names` are \[1, 2\]"),
        ("train: images\nnames: [a, b]\nlabel_mapping: {3: 5}", r"maps values of the masks to ids 0\.\.1"),
    ],
)
def test_data_yaml_errors(make: Make, content: str, said: str) -> None:
    root = make(*pairs("a"))
    (root / "my.yaml").write_text(content)
    with pytest.raises((DataError, ClassSpaceError), match=rf"my\.yaml.*{said}"):
        Folder(root / "my.yaml")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((3,), r"All 2 masks hold nothing but the value 3"),
        (((9, 0, 0),), "nothing but the value #090000"),
    ],
)
def test_masks_of_one_value_are_refused(make: Make, values: tuple, said: str) -> None:
    with pytest.raises(DataError, match=said):
        Folder(make(*pairs("a", "b"), values=values))


def test_files_that_are_no_masks_of_classes_are_refused(make: Make) -> None:
    root = make("images/a.jpg", "images/b.jpg")
    rng = np.random.default_rng(0)
    disk = np.hypot(*np.mgrid[-20:20, -20:20]) * 100 - 1000
    for name, pixels, said in (
        ("a.png", rng.integers(0, 255, (40, 40, 3), np.uint8), "a photograph, or masks resized with smoothing"),
        ("a.png", rng.integers(0, 255, (60, 60), np.uint8), "object numbers, which belong in instances/, or an image"),
        ("a.png", np.arange(900, dtype=np.uint16).reshape(30, 30), "object numbers, which belong in instances/"),
        ("a.png", disk.clip(0, 255).astype(np.uint8), r"0 and 255 fill \d+% and the rest lies between"),
        ("a.jpg", (disk > 100) * np.uint8(255), "JPEG smeared the labels"),
    ):
        write_image(root / "masks" / name, pixels)
        make("masks/b.png")
        with pytest.raises(DataError, match=rf"masks/[ab]\.\w+ hold .* different values, which are no classes: .*{said}"):
            Folder(root)
        (root / "masks" / name).unlink()
    make("masks/a.png", values=((255, 0, 0), (0, 0, 0)))
    with pytest.raises(DataError, match=r"a\.png holds colours and .*b\.png grey values, so one value has no one meaning"):
        Folder(root)
