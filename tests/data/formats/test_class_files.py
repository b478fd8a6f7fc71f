from pathlib import Path

import numpy as np
import pytest

from intarsia.core import ClassSpace, DataError, LabelMap, MultiLabel, SegmentationError
from intarsia.data.formats.binary import write_binary
from intarsia.data.formats.class_files import read_class_files, write_class_files

CLASSES = ClassSpace.from_names(["background", "cell", "nucleus"])
OVERLAPPING = ClassSpace.from_names(["cell", "nucleus"])


def test_write_then_read_is_the_identity_for_label_maps(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).choice([0, 1, 2, 255], (20, 30)).astype(np.uint8)
    files = write_class_files(tmp_path, "a", LabelMap(ids, CLASSES))
    assert sorted(f.name for f in files.values()) == ["a_background.png", "a_cell.png", "a_ignore.png", "a_nucleus.png"]
    back = read_class_files(tmp_path, "a", CLASSES)
    assert isinstance(back, LabelMap)
    np.testing.assert_array_equal(back.ids, ids)


@pytest.mark.parametrize("partly", [False, True])
def test_write_then_read_is_the_identity_for_overlapping_classes(tmp_path: Path, partly: bool) -> None:
    rng = np.random.default_rng(1)
    masks, valid = rng.random((2, 20, 30)) > 0.5, rng.random((20, 30)) > 0.2
    write_class_files(tmp_path, "a", MultiLabel(masks, OVERLAPPING, valid if partly else None))
    back = read_class_files(tmp_path, "a", OVERLAPPING)
    assert isinstance(back, MultiLabel)
    np.testing.assert_array_equal(back.masks, masks)
    assert (back.valid is None) == (not partly)
    if back.valid is not None:
        np.testing.assert_array_equal(back.valid, valid)


def test_folders_per_class_text_sources_and_background_without_a_file(tmp_path: Path) -> None:
    cell = {"name": "cell", "values": ["Zelle"]}
    classes = ClassSpace.from_dict({"classes": ["background", cell, "nucleus"], "ignore": ["void"]})
    write_binary(tmp_path / "Zelle" / "a.png", np.array([[True, False, False]]))
    write_binary(tmp_path / "nucleus" / "a.png", np.array([[False, True, False]]))
    back = read_class_files(tmp_path, "a", classes)
    assert isinstance(back, LabelMap)
    assert back.ids.tolist() == [[1, 2, 0]]
    write_binary(tmp_path / "a_void.png", np.array([[False, False, True]]))
    back = read_class_files(tmp_path, "a", classes)
    assert isinstance(back, LabelMap)
    assert back.ids.tolist() == [[1, 2, 255]]


def test_without_a_background_uncovered_pixels_have_no_class(tmp_path: Path) -> None:
    write_binary(tmp_path / "a_cell.png", np.array([[True, False]]))
    back = read_class_files(tmp_path, "a", OVERLAPPING)
    assert isinstance(back, MultiLabel)
    assert back.masks.tolist() == [[[True, False]], [[False, False]]]


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no file for a; a_cell\.png or cell/a\.png was expected"):
        read_class_files(tmp_path, "a", OVERLAPPING)
    write_binary(tmp_path / "a_cell.png", np.zeros((2, 2), bool))
    write_binary(tmp_path / "a_nucleus.png", np.zeros((2, 3), bool))
    with pytest.raises(DataError, match=r"differ in size .*a_cell\.png 2 x 2.*a_nucleus\.png 2 x 3"):
        read_class_files(tmp_path, "a", OVERLAPPING)
    write_binary(tmp_path / "cell" / "a.png", np.zeros((2, 2), bool))
    with pytest.raises(DataError, match=r"Two files hold 'cell' of a"):
        read_class_files(tmp_path, "a", OVERLAPPING)
    with pytest.raises(SegmentationError, match="regions without classes"):
        write_class_files(tmp_path, "a", LabelMap(np.zeros((2, 2), np.uint8)))
    with pytest.raises(SegmentationError, match="a class called 'ignore' and ignored pixels"):
        write_class_files(tmp_path, "a", LabelMap(np.array([[0, 255]]), ClassSpace.from_names(["ignore", "b"])))
