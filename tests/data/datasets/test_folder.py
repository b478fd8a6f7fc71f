import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from intarsia.core import ClassSpace, ClassSpaceError, DataError, Dataset, Instances, LabelMap, Panoptic, SettingsError
from intarsia.data.datasets import open_dataset, read_classes, write_classes
from intarsia.data.datasets.folder import Folder
from intarsia.data.formats import write_image, write_mask

Make = Callable[..., Path]


def pairs(*stems: str, split: str = "") -> list[str]:
    return [f"{kind}/{split}{stem}.{end}" for stem in stems for kind, end in (("images", "jpg"), ("masks", "png"))]


def test_a_plain_folder_is_split_by_a_seeded_hash(make: Make) -> None:
    stems = [f"s{i:02d}" for i in range(20)]
    root = make(*pairs(*stems))
    first = Folder(root)
    assert isinstance(first, Dataset)
    assert (first.name, first.task) == (root.name, "semantic")
    assert {split: len(keys) for split, keys in first.splits.items()} == {"train": 16, "val": 4}
    assert sorted([*first.splits["train"], *first.splits["val"]]) == stems
    assert Folder(root).splits == first.splits
    assert Folder(root, seed=1).splits != first.splits
    assert len(Folder(root, val_fraction=0.5).splits["val"]) == 10
    assert list(Folder(root, val_fraction=0).splits) == ["train"]
    assert "20 images with their truth: 16 train, 4 val." in first.notes
    assert any("val is 4 of 20 images" in note and "seed 0" in note for note in first.notes)
    make(*pairs("zz"))  # one more file leaves every other one where it is, but at the border
    after = set(Folder(root).splits["val"])
    assert len(after & set(first.splits["val"])) >= 3


def test_samples_have_image_truth_and_key(make: Make) -> None:
    root = make(*pairs("a", "b/c"))
    data = pickle.loads(pickle.dumps(Folder(root)))
    sample = data.read("b/c")
    assert (sample.key, sample.image.shape, sample.image.dtype) == ("b/c", (6, 8, 3), np.uint8)
    assert isinstance(sample.truth, LabelMap)
    np.testing.assert_array_equal(sample.truth.ids, np.resize([0, 1, 2], (6, 8)))
    assert sample.truth.classes == data.classes


@pytest.mark.parametrize("names", [("train", "val", "test"), ("training", "valid", "testing"), ("Train", "Validation", "Test")])
@pytest.mark.parametrize("inside", [True, False])
def test_split_folders_in_either_order(make: Make, names: tuple[str, ...], inside: bool) -> None:
    for name in names:
        for stem in ("a", "b"):
            parts = [f"images/{name}/{stem}.jpg", f"masks/{name}/{stem}_mask.png"]
            make(*(parts if inside else [f"{name}/images/{stem}.jpg", f"{name}/masks/{stem}_mask.png"]))
    data = Folder(make())
    assert data.splits == {s: (f"{s}/a", f"{s}/b") for s in ("train", "val", "test")}
    assert data.read("val/b").key == "val/b"


def test_train_without_val_is_divided_and_test_stays(make: Make) -> None:
    root = make(*pairs("a", "b", "c", "d", "e", split="train/"), *pairs("t", split="test/"))
    splits = Folder(root).splits
    assert (len(splits["train"]), len(splits["val"]), splits["test"]) == (4, 1, ("test/t",))


def test_a_split_without_masks_is_left_aside_and_said(make: Make) -> None:
    data = Folder(make(*pairs("a", "b", split="train/"), *pairs("c", split="val/"), "images/test/x.jpg", "images/test/y.jpg"))
    assert list(data.splits) == ["train", "val"]
    assert any(re.search(r"2 images in .*test have no truth and were left aside", note) for note in data.notes)


def test_split_table(make: Make) -> None:
    root = make(*pairs("a", "b", "c"))
    toml = root / "intarsia.toml"
    toml.write_text('[split]\nval = ["b"]')
    assert Folder(root).splits == {"train": ("a", "c"), "val": ("b",)}
    for table, said in (
        ('val = ["x"]', r"puts 'x' into val, and there is no such image"),
        ('val = ["a"]\ntest = ["a"]', "puts 'a' into val and into test"),
        ('train = ["a"]\nval = ["b"]', "does not say where c belong"),
        ('dev = ["a"]', r"holds dev = \['a'\]; train, val and test are lists"),
    ):
        toml.write_text(f"[split]\n{table}")
        with pytest.raises(DataError, match=said):
            Folder(root)


def test_object_numbers_in_both_views(make: Make) -> None:
    root = make("images/a.png", "instances/a.png", values=(0, 5, 5, 900))
    semantic, instance = Folder(root), Folder(root, view="instance")
    assert semantic.classes == instance.classes
    assert (semantic.classes.names, semantic.classes.thing_ids) == (("background", "object"), (1,))
    assert semantic.read("a").truth.areas() == {"background": 12, "object": 36}
    truth = instance.read("a").truth
    assert isinstance(truth, Instances)
    assert (instance.task, truth.class_id.tolist(), truth.masks.areas().tolist()) == ("instance", [1, 1], [24, 12])
    (root / "intarsia.toml").write_text('classes = ["nucleus"]')
    assert Folder(root).classes.names == ("background", "nucleus")
    (root / "intarsia.toml").write_text('classes = ["a", "b", "c"]')
    with pytest.raises(DataError, match="declares 3 classes, and object numbers alone do not say which"):
        Folder(root)


def test_masks_beside_object_numbers_give_their_classes(make: Make) -> None:
    root = make("images/a.png")
    make("masks/a.png", values=(0, 1, 2, 2, 2, 1, 1, 0))
    make("instances/a.png", values=(0, 1, 2, 2, 2, 2, 3, 3))
    truth = Folder(root, view="instance").read("a").truth
    assert isinstance(truth, Instances)
    assert truth.class_id.tolist() == [1, 2, 0]  # a tie goes to the first class ...
    (root / "intarsia.toml").write_text('classes = ["sky", {name = "car", thing = true}, {name = "dog", thing = true}]')
    truth = Folder(root, view="instance").read("a").truth
    assert isinstance(truth, Instances)
    assert truth.class_id.tolist() == [1, 2, 1]  # ... of the things, where things are declared
    assert isinstance(Folder(root).read("a").truth, LabelMap)


def test_multi_band_and_16_bit_images(make: Make) -> None:
    root = make("masks/a.png")
    bands = np.random.default_rng(0).integers(0, 65535, (6, 8, 5), np.uint16)
    (root / "images").mkdir()
    tifffile.imwrite(root / "images" / "a.tif", bands, photometric="minisblack", planarconfig="contig")
    np.testing.assert_array_equal(Folder(root).read("a").image, bands)


@pytest.mark.parametrize("stem", ["two words", "a[1](x)*?", "Gänse é 木", "50% #1 & 'q' {b}", "v1.2.final", "--out", "~x"])
def test_names_of_any_characters(make: Make, stem: str) -> None:
    folder = f"my [{stem}] data"
    make(*(f"{folder}/{name}" for name in pairs(stem, f"{stem}/{stem}", "plain", "other")))
    data = open_dataset(make() / folder)
    assert sorted(key for keys in data.splits.values() for key in keys) == sorted([stem, f"{stem}/{stem}", "plain", "other"])
    for key in (stem, f"{stem}/{stem}"):
        sample = data.read(key)
        assert (sample.key, sample.truth.areas()) == (key, {"class_0": 16, "class_1": 16, "class_2": 16})


def test_a_letter_and_its_accent_may_be_one_sign_or_two(make: Make) -> None:
    one, two = "caf\u00e9", "cafe\u0301"
    root = make(f"images/{one}.jpg", f"masks/{two}.png", f"images/{two}2.jpg", f"masks/{one}2.png")
    (root / "intarsia.toml").write_text(f'[split]\nval = ["{one}2"]', encoding="utf-8")
    data = Folder(root)
    assert data.splits == {"train": (one,), "val": (f"{one}2",)}
    assert data.read(one).truth.areas() == data.read(f"{one}2").truth.areas()


@pytest.mark.parametrize("declared", [True, False])
def test_more_classes_than_a_byte_holds(make: Make, declared: bool) -> None:
    root = make("images/a.jpg", "images/b.jpg")
    classes = ClassSpace.from_names([f"kind {i}" for i in range(300)])
    ids = np.arange(48).reshape(6, 8)
    labels = [LabelMap(np.where(ids == 47, 65535, ids + first).astype(np.uint16), classes) for first in (0, 252)]
    for stem, label in zip("ab", labels, strict=True):
        path = root / "masks" / f"{stem}.png"
        _ = write_image(path, label.ids) if declared else write_mask(path, label)  # as another tool writes them, or as we do
    if declared:
        write_classes(root, classes)
    data = Folder(root)
    assert data.classes == classes
    for stem, label in zip("ab", labels, strict=True):
        truth = data.read(stem).truth
        assert isinstance(truth, LabelMap)
        assert truth.ids.dtype == np.uint16
        np.testing.assert_array_equal(truth.ids, label.ids)


def test_missing_partners_are_listed_and_nothing_is_dropped(make: Make) -> None:
    root = make(*pairs("a", "b"), "images/c.jpg", "images/d.jpg", "masks/e.png")
    with pytest.raises(
        DataError, match=r"2 of 4 images in .*images have no mask: c, d\. 1 of 3 masks in .*masks have no image: e\."
    ):
        Folder(root)


def test_layout_errors_show_what_was_expected_and_found(make: Make, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no folder"):
        Folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"holds no images/ folder\. Expected:\n(.|\n)*\nFound: nothing"):
        Folder(tmp_path)
    root = make("photos/image_1.jpg", "masks/1.png")
    with pytest.raises(DataError, match=r"Found: masks/, photos/\."):
        Folder(root)
    make("images/a.jpg")
    with pytest.raises(DataError, match=r"1 of 1 images .* have no mask: a\. 1 of 1 masks .* have no image: 1\."):
        Folder(root)
    make("images/a.png")
    with pytest.raises(DataError, match=r"a\.jpg and a\.png; of files with one name only one can be meant"):
        Folder(root)


def test_unlabelled_images_and_stray_files(make: Make) -> None:
    root = make("images/a.jpg", "images/b.jpg")
    (root / "labels").mkdir()
    with pytest.raises(
        DataError,
        match=r"are unlabelled: there are no masks in .*masks\. They can be predicted.*like polygons.*images --model slic",
    ):
        Folder(root)
    make("masks/a.png", "masks/b.png")
    (root / "images" / "list.txt").write_text("a b")
    (root / "images" / "Thumbs.db").write_text("")
    notes = Folder(root).notes
    assert any(re.search(r"images also holds list\.txt, which is no image we read", note) for note in notes)
    with pytest.raises(DataError, match=r"unlabelled: there are no object numbers in .*instances"):
        Folder(root, view="instance")
    make("images/train/c.jpg", "masks/train/c.png")
    with pytest.raises(DataError, match=r"holds split folders \(train\) and beside them a\.jpg, b\.jpg"):
        Folder(root)


def test_other_errors(make: Make) -> None:
    root = make(*pairs("street_1", "street_2"))
    with pytest.raises(SettingsError, match="no view called 'depth'"):
        Folder(root, view="depth")
    with pytest.raises(DataError, match=r"no object numbers in .*instances"):
        Folder(root, view="panoptic")
    with pytest.raises(SettingsError, match=r"val_fraction is 1\.5"):
        Folder(root, val_fraction=1.5)
    with pytest.raises(DataError, match=r"no sample 'street1'\. Nearest: street_1"):
        Folder(root).read("street1")
    write_image(root / "images" / "street_1.jpg", np.zeros((8, 6, 3), np.uint8))
    with pytest.raises(DataError, match="matches if rotated by 90 degrees"):
        Folder(root).read("street_1")
    (root / "intarsia.toml").write_text('classes = ["a"]')
    with pytest.raises(DataError, match=r"declares one class, 'a'; masks tell two or more apart"):
        Folder(root)
    (root / "intarsia.toml").write_text("classes = [}")
    with pytest.raises(DataError, match=r"intarsia\.toml is no TOML file: .*line 1"):
        Folder(root)
    (root / "intarsia.toml").write_text('classes = ["a", "a"]')
    with pytest.raises(ClassSpaceError, match=r"intarsia\.toml: The class name 'a' occurs 2 times"):
        Folder(root)
    with pytest.raises(DataError, match=r"There is no file .*, which declares the classes"):
        read_classes(root / "images")


def test_real_folders(shared_data: Callable[[str], Path]) -> None:
    nuclei = Folder(shared_data("nuclei"), view="instance")
    assert {split: len(keys) for split, keys in nuclei.splits.items()} == {"train": 160, "val": 40}
    assert sum(len(nuclei.read(key).truth.masks) for key in nuclei.splits["val"]) == 1691


def test_masks_and_object_numbers_together_are_panoptic_maps(make: Make) -> None:
    root = make("images/a.png", "images/b.png", "masks/a.png", "masks/b.png", values=(0, 1, 1, 255))
    make("instances/a.png", "instances/b.png", values=(0, 1, 2, 3))
    classes = 'classes = ["ground", { name = "car", thing = %s }]'
    (root / "intarsia.toml").write_text(classes % "true")
    data = Folder(root, view="panoptic")
    assert data.task == "panoptic"
    truth = data.read("a").truth
    assert isinstance(truth, Panoptic)
    assert [(s.class_id, int((truth.ids == s.id).sum())) for s in truth.segments] == [(1, 12), (1, 12), (0, 12)]
    assert (truth.ids == 0).sum() == 12, "pixels without truth"
    (root / "intarsia.toml").write_text(classes % "false")
    with pytest.raises(DataError, match=r"no class is a thing.*intarsia.toml: { name = 'car', thing = true }"):
        Folder(root, view="panoptic")
    (root / "instances/b.png").unlink()
    (root / "intarsia.toml").write_text(classes % "true")
    with pytest.raises(DataError, match=r"1 of 2 images in .* have no mask: b"):
        Folder(root, view="panoptic")
