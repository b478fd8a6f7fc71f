"""Folders whose masks are one binary file per class."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from intarsia.core import ClassSpace, DataError, Instances, LabelMap, MultiLabel
from intarsia.data.datasets import write_classes
from intarsia.data.datasets.folder import Folder
from intarsia.data.formats import write_image, write_mask
from intarsia.data.formats.binary import write_binary

Make = Callable[..., Path]
DECLARED = 'classes = ["background", "cell", "nucleus"]'


def draw(root: Path, **rows: list[int]) -> None:
    """`draw(root, a_cell=[3, 4])` writes masks/a_cell.png, 6 x 8, those rows inside; a slash is written as `__`."""
    for name, inside in rows.items():
        write_binary(root / "masks" / f"{name.replace('__', '/')}.png", np.isin(np.arange(6), inside)[:, None].repeat(8, 1))


def ids(data: Folder, key: str) -> list[int]:
    """The first column of the truth, in which every row is of one class."""
    truth = data.read(key).truth
    assert isinstance(truth, LabelMap)
    assert (truth.ids == truth.ids[:, :1]).all()
    return truth.ids[:, 0].tolist()


@pytest.mark.parametrize("form", ["cell__{}", "{}_cell"])
@pytest.mark.parametrize("declared", [False, True])
def test_folders_and_endings(make: Make, form: str, declared: bool) -> None:
    root = make("images/a.jpg", "images/b_1.jpg")
    draw(root, **{form.format("a"): [3, 4], form.format("b_1"): []})
    form = form.replace("cell", "nucleus")
    draw(root, **{form.format("a"): [5], form.format("b_1"): [0]})
    if declared:
        (root / "intarsia.toml").write_text('classes = ["background", "nucleus", "cell"]')
    data = pickle.loads(pickle.dumps(Folder(root)))
    assert data.classes == ClassSpace.from_names(["background", *(["nucleus", "cell"] if declared else ["cell", "nucleus"])])
    assert ids(data, "a") == ([0, 0, 0, 2, 2, 1] if declared else [0, 0, 0, 1, 1, 2])
    assert ids(data, "b_1") == ([1, 0, 0, 0, 0, 0] if declared else [2, 0, 0, 0, 0, 0])
    inferred = (
        " 3 classes inferred from their names: background = the rest (66.7%), cell (16.7%), nucleus (16.7%). "
        "Declare them in intarsia.toml to set order and colours."
    )
    assert "2 images have one mask file per class." + ("" if declared else inferred) in data.notes


@pytest.mark.parametrize("form", ["cell/{}", "{}_cell"])
@pytest.mark.parametrize("places", ["images/{split}|masks/{split}", "{split}/images|{split}/masks"])
def test_below_split_folders(make: Make, form: str, places: str) -> None:
    for split, name in (("train", "a"), ("val", "x/b")):
        images, masks = places.format(split=split).split("|")
        make(f"{images}/{name}.jpg")
        make(f"{masks}/{form.format(name)}.png", values=(0, 255))
        make(f"{masks}/{form.format(name).replace('cell', 'dirt')}.png", values=(255, 0))
    data = Folder(make())
    assert data.splits == {"train": ("train/a",), "val": ("val/x/b",)}
    assert data.classes.names == ("cell", "dirt")  # no pixel is left to a background
    for key in ("train/a", "val/x/b"):
        assert data.read(key).truth.areas() == {"cell": 24, "dirt": 24}


def test_what_write_mask_wrote_is_read_again(make: Make) -> None:
    root = make("images/a.jpg", "images/b.jpg")
    classes = ClassSpace.from_names(["road", "car", "sky"], things=["car"])
    write_classes(root, classes)
    wanted = np.random.default_rng(0).choice([0, 1, 2, 255], (6, 8))
    for stem in "ab":
        masks = np.stack([wanted == index for index in range(3)])
        write_mask(root / "masks" / f"{stem}.png", MultiLabel(masks, classes, wanted != 255))
    truth = Folder(root).read("b").truth
    assert isinstance(truth, LabelMap)
    np.testing.assert_array_equal(truth.ids, wanted)
    assert truth.classes == classes


def test_declared_names_texts_and_ignore(make: Make) -> None:
    root = make("images/a.jpg")
    (root / "data.yaml").write_text("train: images\nnames: [background, cell]")
    draw(root, a_cell=[1, 2, 3], a_background=[0, 3, 4, 5], a_ignore=[2, 3])
    data = Folder(root / "data.yaml")
    assert ids(data, "train/a") == [0, 1, 255, 255, 0, 0]  # a pixel without truth is ignored whoever claims it
    (root / "data.yaml").unlink()
    (root / "masks" / "a_background.png").unlink()
    (root / "intarsia.toml").write_text('ignore = ["void"]\nclasses = ["background", {name = "cell", values = ["Zelle"]}]')
    (root / "masks" / "a_cell.png").rename(root / "masks" / "a_Zelle.png")
    (root / "masks" / "void").mkdir()
    (root / "masks" / "a_ignore.png").rename(root / "masks" / "void" / "a.PNG")
    assert ids(Folder(root), "a") == [0, 1, 255, 255, 0, 0]


def test_inferred_names_beside_ignore(make: Make) -> None:
    root = make("images/a.jpg", "images/b.jpg")
    draw(root, ignore__a=[0], background__a=[1, 2], background__b=[0, 1, 2], cell__a=[3, 4, 5], cell__b=[3, 4, 5])
    data = Folder(root)
    assert data.classes.names == ("background", "cell")
    assert ids(data, "a") == [255, 0, 0, 1, 1, 1]
    assert any("background (41.7%), cell (50.0%); ignored (8.3%). Declare" in note for note in data.notes)
    assert sum(data.read("a").truth.areas().values()) == 40
    draw(root, background__a=[], background__b=[], dirt__a=[1, 2], dirt__b=[0, 1, 2])
    assert Folder(root).classes.names == ("background", "cell", "dirt")  # a file says so, though nothing is in it


def test_the_longest_image_name_that_fits_owns_a_file(make: Make) -> None:
    root = make("images/a.jpg", "images/a_b.jpg")
    draw(root, a_cell=[0], a_nucleus=[1], a_b_cell=[2], a_b_nucleus=[3], a_b_ignore=[5])
    data = Folder(root)
    assert data.classes.names == ("background", "cell", "nucleus")
    assert (ids(data, "a"), ids(data, "a_b")) == ([1, 2, 0, 0, 0, 0], [0, 0, 1, 2, 0, 255])
    make("images/c.jpg")
    with pytest.raises(DataError, match=r"\(cell, ignore, nucleus\)\. 1 of 3 images in \S* have none: c\. An image in which"):
        Folder(root)


def test_an_absent_file_is_an_absent_class_and_is_said(make: Make) -> None:
    root = make("images/a.jpg", "images/b.jpg", "images/c.jpg")
    draw(root, cell__a=[3, 4], nucleus__a=[5], cell__b=[1], nucleus__c=[])
    data = Folder(root)
    assert ids(data, "b") == [0, 1, 0, 0, 0, 0]
    assert ids(data, "c") == [0] * 6  # one empty file says that nothing was forgotten
    said = "3 images have one mask file per class. Taken not to occur, for want of a file: cell in 1, nucleus in 1."
    assert any(note.startswith(said) for note in data.notes)


def test_object_numbers_take_their_classes_from_the_files(make: Make) -> None:
    root = make("images/a.jpg")
    draw(root, cell__a=[0, 1], nucleus__a=[2, 3])
    numbers = np.repeat([1, 1, 2, 2, 0, 0], 8).reshape(6, 8).astype(np.uint16)
    write_image(root / "instances" / "a.png", numbers)
    data = Folder(root, view="instance")
    truth = data.read("a").truth
    assert isinstance(truth, Instances)
    assert [data.classes.names[i] for i in truth.class_id] == ["cell", "nucleus"]
    assert ids(Folder(root), "a") == [1, 1, 2, 2, 0, 0]


def test_overlap_is_an_error_unless_the_winner_is_declared(make: Make) -> None:
    root = make("images/a.jpg")
    draw(root, a_cell=[2, 3, 4, 5], a_nucleus=[4, 5], a_membrane=[2])
    said = r"16 pixels \(33\.3%\) carry two classes: they lie in \S*a_cell\.png and in \S*a_nucleus\.png \(24 pixels of the image"
    with pytest.raises(DataError, match=rf'{said}.*needs one class per pixel.*overlap = "last"'):
        Folder(root)  # inferred from all files, so found at once
    toml = root / "intarsia.toml"
    toml.write_text('classes = ["background", "cell", "nucleus", "membrane"]')
    data = Folder(root)
    with pytest.raises(DataError, match=said):
        data.read("a")
    toml.write_text('overlap = "last"\n' + toml.read_text())
    assert ids(Folder(root), "a") == [0, 0, 3, 1, 2, 2]
    toml.write_text('overlap = "last"\nclasses = ["background", "membrane", "nucleus", "cell"]')
    assert ids(Folder(root), "a") == [0, 0, 3, 3, 3, 3]
    toml.write_text('overlap = "first"\n' + DECLARED)
    with pytest.raises(DataError, match=r"intarsia\.toml says overlap = 'first' beside `classes`\. The one rule is"):
        Folder(root)
    toml.write_text('overlap = "last"')
    with pytest.raises(DataError, match="overlap = 'last' without `classes`"):
        Folder(root)


def test_pixels_of_no_class_are_an_error(make: Make) -> None:
    root = make("images/a.jpg")
    draw(root, a_cell=[0, 1], a_nucleus=[2])
    (root / "intarsia.toml").write_text('classes = ["cell", "nucleus"]')
    with pytest.raises(DataError, match=r"24 pixels \(50\.0%\) lie in none of \S*a_cell\.png, \S*a_nucleus\.png\..*'background'"):
        Folder(root).read("a")


def test_images_and_files_left_over_are_listed(make: Make) -> None:
    root = make("images/a.jpg", "images/b.jpg", "images/c.jpg", "images/d.jpg")
    draw(root, cell__a=[0], nucleus__a=[1], cell__b=[0], cell__z=[0], overview=[0], ignore__d=[3])
    with pytest.raises(
        DataError,
        match=r"masks holds one file per class \(cell, ignore, nucleus\)\. 2 of 4 images in .*images have none: c, d\. "
        r".*empty file \(all 0\).* 2 of 6 masks are of no image and class: overview, cell/z\. Rename",
    ):
        Folder(root)
    draw(root, cell__c=[], cell__d=[])
    (root / "masks" / "overview.png").unlink()
    (root / "intarsia.toml").write_text('classes = ["background", "cell"]')
    with pytest.raises(DataError, match=r"2 of 7 masks are of no image and class: cell/z, nucleus/a\."):
        Folder(root)
    draw(root, a_cell=[0])
    with pytest.raises(DataError, match=r"Two files hold 'cell' of a: \S*a_cell\.png and \S*cell/a\.png\. Keep one\."):
        Folder(root)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["a_mine", "b_mine"], id="one ending"),
        pytest.param(["a_mine", "b_mine", "a_ignore", "b_ignore"], id="one ending and what to ignore"),
        pytest.param(["a_1", "a_2", "b_1", "b_2"], id="numbered objects"),
        pytest.param(["a_obj1", "a_obj2", "b_obj1", "b_obj2"], id="numbered endings"),
        pytest.param(["a_cell", "a_nucleus", "b_cell"], id="endings that differ"),
        pytest.param(["a_cell", "a_nucleus", "b_cell", "b_nucleus", "x"], id="a name without an image"),
        pytest.param(["a_cell", "a_mask", "b_cell", "b_mask"], id="a mask and something else"),
        pytest.param(["train__a", "val__b"], id="splits"),
        pytest.param(["gt__a", "gt__b", "color__a", "color__b"], id="forms"),
        pytest.param(["monday__a", "tuesday__b"], id="batches"),
        pytest.param(["ann1__a", "ann1__b", "ann2__a", "ann2__b"], id="annotators"),
        pytest.param(["a", "b", "cell__a", "cell__b"], id="as many plain masks"),
    ],
)
def test_names_that_may_mean_something_else_are_not_taken_for_classes(make: Make, names: list[str]) -> None:
    root = make("images/a.jpg", "images/b.jpg")
    draw(root, **{name: [0] for name in names})
    with pytest.raises(DataError, match=r"masks in \S*masks have no image: .*a mask per class goes on with _CLASS, declared in"):
        Folder(root)


def test_plain_masks_stay_plain_whatever_is_declared(make: Make) -> None:
    root = make("images/a.jpg", "images/a_cell.jpg", "masks/a.png", "masks/a_cell.png", "images/b.jpg", "masks/b_mask.png")
    make("images/cell/a.jpg", "masks/cell/a.png")
    (root / "intarsia.toml").write_text('classes = ["background", "cell", "mask"]')
    for key in ("a", "a_cell", "b", "cell/a"):
        assert Folder(root).read(key).truth.areas() == {"background": 16, "cell": 16, "mask": 16}
    draw(root, a_mask=[0])  # of the image a, beside its plain mask
    with pytest.raises(DataError, match=r"1 of 5 masks in \S*masks have no image: a_mask\."):
        Folder(root)


def test_a_name_of_two_readings_is_not_read(make: Make) -> None:
    root = make("images/a.jpg", "images/a_b.jpg")
    draw(root, a_cell=[0], a_b_cell=[1])
    (root / "intarsia.toml").write_text('classes = ["background", "cell", "b_cell"]')
    with pytest.raises(DataError, match=r"2 of 2 images .* have no mask: a, a_b\."):
        Folder(root)


def test_plain_masks_in_one_split_need_declared_classes(make: Make) -> None:
    root = make("images/train/a.jpg", "images/val/b.jpg", "masks/val/b.png")
    draw(root, train__cell__a=[3, 4], train__nucleus__a=[5])
    with pytest.raises(DataError, match=r"b\.png is the one mask of its image, and \S*a\.png one of several, one per class"):
        Folder(root)
    (root / "intarsia.toml").write_text(DECLARED)
    data = Folder(root)
    assert ids(data, "train/a") == [0, 0, 0, 1, 1, 2]
    assert data.read("val/b").truth.areas() == {"background": 16, "cell": 16, "nucleus": 16}
    assert "1 image has one mask file per class." in data.notes


def test_files_that_are_no_masks_of_one_class(make: Make) -> None:
    root = make("images/a.jpg", "images/b.jpg")
    draw(root, cell__a=[], cell__b=[], nucleus__a=[], nucleus__b=[])
    with pytest.raises(DataError, match=r"such as \S*a\.png, leave every pixel to 'background': there is nothing to tell apart"):
        Folder(root)
    make("masks/cell/a.png")
    with pytest.raises(DataError, match=r"cell/a\.png holds 3 values \(1, 2 \.\.\.\), not 0 and one other"):
        Folder(root)
    write_binary(root / "masks" / "cell" / "a.png", np.ones((5, 8), np.bool_))
    with pytest.raises(DataError, match=re.escape("differ in size (height x width)") + r".*cell/a\.png 5 x 8"):
        Folder(root)


def test_many_files_are_sampled_and_it_is_said(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intarsia.data.datasets._looks.MOST_FILES", 6)
    root = make(*(f"images/{stem}.jpg" for stem in "abcde"))
    draw(root, **{f"{name}__{stem}": row for stem in "abcde" for name, row in (("cell", [0, 1, 2]), ("dirt", [3, 4, 5]))})
    draw(root, dirt__b=[3, 4])  # of five, the first, third and last are looked at
    data = Folder(root)
    assert data.classes.names == ("cell", "dirt")
    assert any(
        "2 classes inferred from their names, as 3 of them show: cell (50.0%), dirt (50.0%)." in note for note in data.notes
    )
    with pytest.raises(DataError, match=r"8 pixels \(16\.7%\) lie in none of \S*b\.png"):
        data.read("b")
