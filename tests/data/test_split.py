"""Splits: groups stay together, classes are where their shares say, files are written or moved."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intarsia.core import ClassSpace, DataError, LabelMap, SettingsError
from intarsia.data.datasets import open_dataset
from intarsia.data.formats import write_image
from intarsia.data.formats.palette import write_palette
from intarsia.data.split import divide, group_of
from intarsia.workflow.split import split

CLASSES = ClassSpace.from_names(["road", "car", "sign"])


def write_folder(root, count=20):
    """Scenes of four frames each; the sign is in one scene of five only, the car in every second frame."""
    for number in range(count):
        ids = np.zeros((6, 8), np.uint8)
        ids[:2] = 1 if number % 2 else 0
        ids[4:] = 2 if number % 20 < 4 else 0
        name = f"s{number // 4}_{number % 4}"
        write_image(root / f"images/{name}.png", np.full((6, 8, 3), number, np.uint8))
        write_palette(root / f"masks/{name}.png", LabelMap(ids, CLASSES))
    return root


def test_the_rarest_class_is_divided_first():
    present = np.array([[1, 1], [1, 1], [1, 0], [1, 0], [1, 0], [1, 0], [1, 0], [1, 0], [1, 0], [1, 0]], np.bool_)
    owner = divide([str(i) for i in range(10)], present, {"train": 0.5, "val": 0.5}, 0)
    assert sorted(owner[:2]) == ["train", "val"]
    assert owner.count("val") == 5


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 60), st.integers(0, 4), st.integers(1, 5), st.integers(0, 99))
def test_groups_stay_together_and_no_split_is_empty(seed, count, kinds, per_group, own_seed):
    rng = np.random.default_rng(seed)
    present = rng.random((count, kinds)) < 0.3
    groups = [f"g{i // per_group}" for i in range(count)]
    shares = {"train": 0.7, "val": 0.2, "test": 0.1}
    if len(set(groups)) < 3:
        with pytest.raises(DataError, match="cannot be divided into train, val, test"):
            divide(groups, present, shares, own_seed)
        return
    owner = divide(groups, present, shares, own_seed)
    assert set(owner) == set(shares)
    of_group = {}
    for group, own in zip(groups, owner, strict=True):
        assert of_group.setdefault(group, own) == own
    assert owner == divide(groups, present, shares, own_seed)
    if per_group == 1 and kinds == 0 and count >= 15:
        assert all(abs(owner.count(name) - share * count) <= 1 for name, share in shares.items())


def test_classes_come_out_closer_to_their_shares_than_by_chance():
    rng = np.random.default_rng(3)
    present = rng.random((400, 6)) < np.array([0.9, 0.5, 0.2, 0.1, 0.05, 0.02])
    names = [str(i) for i in range(400)]

    def off(owner):
        val = np.array(owner) == "val"
        return np.abs(present[val].sum(0) - 0.2 * present.sum(0)).max()

    stratified = divide(names, present, {"train": 0.8, "val": 0.2}, 0)
    chance = [off(divide(names, present[:, :0], {"train": 0.8, "val": 0.2}, seed)) for seed in range(5)]
    assert off(stratified) <= 1.5 < np.mean(chance)


def test_groups_of_names():
    keys = ["a/s1_x", "a/s1_y", "a/s2_x", "odd"]
    groups, alone = group_of(keys, "(s[0-9])_")
    assert (groups[0] == groups[1], groups[0] == groups[2], alone) == (True, False, 1)
    assert group_of(keys, "s[0-9]_[xy]")[0][0] != group_of(keys, "s[0-9]_[xy]")[0][1]
    assert group_of(keys, None) == (keys, 0)
    with pytest.raises(SettingsError, match=r"'\(' is no regular expression"):
        group_of(keys, "(")
    with pytest.raises(SettingsError, match="'z9' matches no image; they are called like 'a/s1_x'"):
        group_of(keys, "z9")


def test_a_split_is_written_beside_the_data_and_obeyed(tmp_path):
    data = write_folder(tmp_path / "data")
    before = sorted(path.name for path in data.rglob("*.png"))
    done = split(data, val=0.2, test=0.2, group="(s[0-9]+)_", seed=1)
    assert (done.path, done.moved) == (data / "split.toml", 0)
    assert (done.split.groups, done.split.largest_group, done.split.alone) == (5, 4, 0)
    assert {name: len(keys) for name, keys in done.split.keys.items()} == {"train": 12, "val": 4, "test": 4}
    assert sum(int(images[2]) for images in done.split.images.values()) == 4
    opened = open_dataset(data)
    assert {name: sorted(keys) for name, keys in opened.splits.items()} == dict(done.split.keys)
    scenes = [{key.split("_")[0] for key in keys} for keys in opened.splits.values()]
    assert sum(map(len, scenes)) == 5
    assert sorted(path.name for path in data.rglob("*.png")) == before
    text = done.path.read_text()
    assert text.startswith("# Written by `intarsia split`: val 0.2, test 0.2, seed 1, images together by '(s[0-9]+)_'.")
    again = split(data, val=0.5, stratify=False)  # what we wrote, we may write anew
    assert {name: len(keys) for name, keys in again.split.keys.items()} == {"train": 10, "val": 10}
    assert again.split.classes == ()


def test_files_are_moved_when_asked(tmp_path):
    data = write_folder(tmp_path / "data", 8)
    done = split(data, val=0.25, move=True)
    assert (done.path, done.moved) == (None, 16)
    assert not (data / "split.toml").exists()
    opened = open_dataset(data)
    assert {name: len(keys) for name, keys in opened.splits.items()} == {"train": 6, "val": 2}
    name = done.split.keys["val"][0]
    assert (data / f"masks/val/{name}.png").is_file()
    with pytest.raises(SettingsError, match="without split folders, so it is not moved"):
        split(data, move=True)


def test_nothing_is_moved_where_something_is_in_the_way(tmp_path):
    data = write_folder(tmp_path / "data", 8)
    before = {path.relative_to(data) for path in data.rglob("*.png")}
    chosen = split(data, val=0.25, seed=5)
    chosen.path.unlink()
    stop = data / f"masks/val/{chosen.split.keys['val'][-1]}.png"
    real = type(stop).rename

    def refuse(self, target):
        if target == stop:
            raise OSError("no space")
        return real(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(stop), "rename", refuse)
        with pytest.raises(DataError, match=r"cannot be moved \(no space\); all are where they were"):
            split(data, val=0.25, seed=5, move=True)
    assert {path.relative_to(data) for path in data.rglob("*.png")} == before


def test_what_cannot_be_split_is_said(tmp_path):
    data = write_folder(tmp_path / "data", 8)
    with pytest.raises(SettingsError, match=r"val 0\.7, test 0\.3 leave 0 for train"):
        split(data, val=0.7, test=0.3)
    with pytest.raises(SettingsError, match="scenes is generated: its options say its splits"):
        split("scenes:train=2,val=1")
    (data / "split.toml").write_text("[split]\nval = ['s0_0']\n")
    with pytest.raises(SettingsError, match="was not written by `intarsia split`; it is not overwritten"):
        split(data)
    assert (data / "split.toml").read_text() == "[split]\nval = ['s0_0']\n"


def test_a_split_that_fails_leaves_the_old_one(tmp_path):
    data = write_folder(tmp_path / "data", 8)
    old = split(data).path.read_bytes()
    with pytest.raises(SettingsError, match="matches no image"):
        split(data, group="nothing")
    assert (data / "split.toml").read_bytes() == old
