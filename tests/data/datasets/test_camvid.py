from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from intarsia.core import DataError, Dataset, LabelMap, SettingsError
from intarsia.data.datasets.camvid import CamVid

Shared = Callable[[str], Path]


def test_ids_are_kept_and_eleven_is_void(small_camvid: Path) -> None:
    data = CamVid(small_camvid)
    assert isinstance(data, Dataset)
    truth = data.read("val/x").truth
    assert isinstance(truth, LabelMap)
    assert truth.ids.tolist() == np.arange(12).reshape(3, 4).tolist()
    assert (len(data.classes), data.classes.ignore_id) == (11, 11)
    assert sum(truth.areas().values()) == 11


def test_the_real_data(shared_data: Shared) -> None:
    root = shared_data("camvid")
    data = CamVid(root)
    assert {split: len(keys) for split, keys in data.splits.items()} == {"train": 367, "val": 101, "test": 233}
    listed = [line.split() for line in (root / "classes.txt").read_text().splitlines()[1:]]
    assert [(row[1], tuple(map(int, row[2:]))) for row in listed[:11]] == [(c.name, c.color) for c in data.classes.classes]
    key = data.splits["train"][0]
    sample = data.read(key)
    assert (key, sample.image.shape, sample.image.dtype) == ("train/0001TP_006690", (360, 480, 3), np.uint8)
    with Image.open(root / "masks" / f"{key}.png") as mask:
        np.testing.assert_array_equal(sample.truth.ids, np.asarray(mask))


def test_recognition(small_camvid: Path, tmp_path: Path, shared_data: Shared) -> None:
    assert CamVid.recognizes(small_camvid)
    assert CamVid.recognizes(shared_data("camvid"))
    assert not CamVid.recognizes(shared_data("nuclei"))
    (small_camvid / "classes.txt").write_text("0 sky 1 2 3")
    assert not CamVid.recognizes(small_camvid)
    (small_camvid / "classes.txt").write_bytes(b"\xff\xfe\0")
    assert not CamVid.recognizes(small_camvid)


def test_errors(small_camvid: Path) -> None:
    with pytest.raises(SettingsError, match="no instance truth"):
        CamVid(small_camvid, view="instance")
    with pytest.raises(DataError, match=r"no sample 'val/y'\. Nearest: val/x"):
        CamVid(small_camvid).read("val/y")
    (small_camvid / "masks" / "test" / "x.png").unlink()
    with pytest.raises(
        DataError, match=r"holds an image or a mask alone for x \(1 in all\) in test\. CamVid is expected as\nROOT/classes\.txt"
    ):
        CamVid(small_camvid)
    with pytest.raises(DataError, match="nothing in train"):
        CamVid(small_camvid / "images")
