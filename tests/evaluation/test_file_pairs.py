import unicodedata

import pytest

from intarsia.core import DataError
from intarsia.evaluation.file_pairs import annotators_by_name, files_by_name, files_of_both, paired_names


@pytest.fixture
def folder(tmp_path):
    for name in ("a/x.png", "a/sub/y.png", "a/.z.png", "a/.hidden/z.png", "a/notes.txt", "b/x.tif", "b/w.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_files_go_by_their_path_without_ending(folder):
    assert files_by_name(folder / "a") == {"sub/y": folder / "a/sub/y.png", "x": folder / "a/x.png"}
    assert files_by_name(folder / "a/x.png") == {"x": folder / "a/x.png"}


def test_files_that_do_not_pair_are_named(folder):
    one, other = files_of_both(folder / "a", folder / "b")
    with pytest.raises(DataError, match=r"truths in .*b, w have no prediction\. Of 2 predictions in .*a, sub/y have no"):
        paired_names(one, other, folder / "a", folder / "b")
    assert paired_names(["x", "a"], ["a", "x"], folder, folder) == ["a", "x"]
    many = [f"n{number:02}" for number in range(12)]
    with pytest.raises(DataError, match=r"n00, .*n07 and 4 more have no prediction"):
        paired_names([], many, folder, folder)


def test_two_single_files_belong_together(folder):
    assert files_of_both(folder / "a/x.png", folder / "b/w.png") == ({"w": folder / "a/x.png"}, {"w": folder / "b/w.png"})


def test_an_accent_is_the_same_in_other_bytes(tmp_path):
    one, two = (unicodedata.normalize(form, "Zürich") for form in ("NFC", "NFD"))
    assert one != two
    for side, name in (("guess", one), ("truth", two)):
        (tmp_path / side).mkdir()
        (tmp_path / side / f"{name}.png").touch()
    files, true_files = files_of_both(tmp_path / "guess", tmp_path / "truth")
    assert paired_names(files, true_files, tmp_path, tmp_path) == [one]
    assert true_files[one].name == f"{two}.png", "the file keeps its own name"
    assert files_by_name(true_files[one]).keys() == {one}


def test_annotators(folder):
    names = ("img_1", "img_2", "7_a1", "7_a2", "9/first", "9/second", "stray_1")
    found = annotators_by_name(["img_1", "img_2", "7", "9"], {name: folder / name for name in names})
    counts = {name: len(paths) for name, paths in found.items()}
    assert counts == {"img_1": 1, "img_2": 1, "7": 2, "9": 2, "stray_1": 1}, "an exact name comes first"


def test_errors(folder):
    with pytest.raises(DataError, match=r"There is no file or folder .*nowhere"):
        files_by_name(folder / "nowhere")
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no mask file"):
        files_by_name(folder / "empty")
    (folder / "b/x.png").touch()
    with pytest.raises(DataError, match=r"b holds x\.png and x\.tif"):
        files_by_name(folder / "b")
