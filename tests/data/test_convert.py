"""Conversions: what comes out is what went in; a run that was killed goes on to the same bytes."""

import json
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intarsia.core import ClassSpace, DataError, InstanceMasks, Instances, LabelMap, Panoptic, Segment, SettingsError
from intarsia.data.convert import convert_set, target_formats, target_kinds
from intarsia.data.datasets import open_dataset
from intarsia.data.datasets.annotations import annotated_of
from intarsia.data.formats import write_image
from intarsia.data.formats._annotated import Annotated, AnnotatedSet
from intarsia.data.formats._coco_sets import read_coco_set
from intarsia.data.formats._round_trip import round_trip_ious
from intarsia.workflow.convert import convert

MAPS = ClassSpace.from_names(["road", "car", "sky"], things=["car"])
THINGS = ClassSpace.from_names(["car", "dog"], things=["car", "dog"])
MASK_FOLDERS = ("palette", "index", "color", "class_files")


def truth_of(kind, key):
    """A truth that the key determines, so that every process draws the same."""
    rng = np.random.default_rng([len(key), *key.encode()])
    ids = rng.integers(0, 4, (9, 12)).astype(np.uint8)
    ids[ids == 3] = 255
    if kind == "semantic":
        return Annotated(key, LabelMap(ids, MAPS))
    if kind == "panoptic":
        numbers = np.where(ids == 255, 0, ids.astype(np.int32) + 1)
        return Annotated(key, Panoptic(numbers, tuple(Segment(int(n), int(n) - 1) for n in np.unique(numbers) if n), MAPS))
    masks = np.stack([ids == 0, ids == 1, ids == 2])
    return Annotated(key, Instances(InstanceMasks.pack(masks, (9, 12)), np.array([0, 1, 1], np.int32), THINGS))


def make_set(folder, kind, count=6, splits=True):
    keys = tuple(f"scene/{number}" for number in range(count))
    images = {key: folder / f"{key}.png" for key in keys}
    for number, path in enumerate(images.values()):
        write_image(path, np.full((9, 12, 3), number, np.uint8))
    parts = {"train": keys[:3], "val": keys[3:]} if splits else {}
    return AnnotatedSet("drawn", kind, THINGS if kind == "instance" else MAPS, keys, partial(truth_of, kind), images, parts)


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("to", MASK_FOLDERS)
def test_label_maps_come_back_from_folders_of_masks(tmp_path, to):
    done = convert_set(make_set(tmp_path / "src", "semantic"), tmp_path / "out", to)
    assert (done.images, done.compared, done.iou, done.lowest_iou, done.lost) == (6, 6, 1.0, 1.0, {})
    assert done.objects == {"car": 6, "road": 6, "sky": 6}
    opened = open_dataset(tmp_path / "out")
    assert {split: list(keys) for split, keys in opened.splits.items()} == {
        "train": ["scene/0", "scene/1", "scene/2"],
        "val": ["scene/3", "scene/4", "scene/5"],
    }
    sample = opened.read("scene/4")
    assert sample.image[0, 0].tolist() == [4, 4, 4]
    assert np.array_equal(sample.truth.ids, truth_of("semantic", "scene/4").truth.ids)
    assert opened.classes.names == MAPS.names


@pytest.mark.parametrize(
    ("kind", "to"),
    [("instance", "coco"), ("panoptic", "coco_panoptic"), ("instance", "class_instance"), ("panoptic", "class_instance")],
)
def test_objects_and_segments_come_back(tmp_path, kind, to):
    given = make_set(tmp_path / "src", kind)
    done = convert_set(given, tmp_path / "out", to)
    assert (done.kind, done.compared, done.lowest_iou) == (kind, 6, 1.0)
    if kind == "instance":
        assert done.objects == {"car": 6, "dog": 12}
    opened = open_dataset(tmp_path / "out", view=kind)
    assert sorted(opened.splits) == ["train", "val"]
    for split, key in (("train", "scene/1"), ("val", "scene/3")):
        name = next(name for name in opened.splits[split] if name.endswith(key))
        ious = round_trip_ious(given.read(key).truth, opened.read(name).truth)
        assert min(ious) == 1


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 5), st.integers(1, 7), st.integers(0, 2**31), st.sampled_from(["palette", "coco_panoptic", "class_instance"])
)
def test_any_label_map_goes_round(tmp_path_factory, height, width, seed, to):
    out = tmp_path_factory.mktemp("any")
    ids = np.random.default_rng(seed).choice(np.array([0, 1, 2, 255], np.uint8), (height, width))
    given = AnnotatedSet(
        "any", "semantic", MAPS, ("x",), {"x": Annotated("x", LabelMap(ids, MAPS))}.get, pixels=lambda _: ids[..., None]
    )
    done = convert_set(given, out / "o", to)
    assert done.lowest_iou in (1, None)  # None: all of it is without truth
    back = annotated_of(open_dataset(out / "o", view="semantic"))
    assert np.array_equal(back.read(back.keys[0]).truth.ids, ids)


def test_a_stopped_run_goes_on_to_the_same_bytes(tmp_path):
    given = make_set(tmp_path / "src", "instance")
    convert_set(given, tmp_path / "whole", "coco")

    def stop(done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_set(given, tmp_path / "out", "coco", progress=stop)
    out = tmp_path / "out"
    assert len((out / ".intarsia-convert.jsonl").read_text().splitlines()) == 4
    with (out / ".intarsia-convert.jsonl").open("a") as file:
        file.write('["scene/4", {"si')  # torn by a kill
    (out / ".0123456789abcdef.tmp").write_text("half")
    read = []
    again = convert_set(replaced_reader(given, read), out, "coco", compare=0)
    assert read == ["scene/4", "scene/5"]
    assert tree(out) == tree(tmp_path / "whole")
    assert again.objects == {"car": 6, "dog": 12}


def replaced_reader(given, read):
    def reader(key):
        read.append(key)
        return given.reader(key)

    return replace(given, reader=reader)


KILLED = """
import os, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_convert import make_set
from intarsia.data.convert import convert_set

def stop(done, total):
    if done == 3:
        os._exit(9)

convert_set(make_set(Path({src!r}), "panoptic"), Path({out!r}), "coco_panoptic", progress=stop)
"""


def test_a_killed_process_loses_nothing(tmp_path):
    src, out = tmp_path / "src", tmp_path / "out"
    code = KILLED.format(tests=str(Path(__file__).parent), src=str(src), out=str(out))
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    given = make_set(src, "panoptic")
    assert not (out / "panoptic_val.json").exists()
    convert_set(given, out, "coco_panoptic")
    convert_set(given, tmp_path / "whole", "coco_panoptic")
    assert tree(out) == tree(tmp_path / "whole")


def test_several_processes_write_the_same_bytes(tmp_path):
    write_objects(tmp_path / "src")
    file = read_coco_set(tmp_path / "src" / "objects.json")
    one = convert_set(file, tmp_path / "one", "coco", compare=0)
    two = convert_set(file, tmp_path / "two", "coco", workers=2, compare=0)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert one.objects == two.objects == {"car": 6, "dog": 12}


def test_a_data_set_travels_to_several_processes(tmp_path):
    convert_set(make_set(tmp_path / "src", "semantic"), tmp_path / "masks", "palette", compare=0)
    given = annotated_of(open_dataset(tmp_path / "masks"))
    convert_set(given, tmp_path / "one", "coco_panoptic", compare=0)
    convert_set(given, tmp_path / "two", "coco_panoptic", workers=2, compare=0)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    def peak(count):
        given = make_set(tmp_path / "none", "semantic", count, splits=False)
        tracemalloc.start()
        convert_set(replace(given, reader=large, images={}), tmp_path / str(count), "coco_panoptic", images="leave", compare=3)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    few, many = peak(4), peak(24)
    assert many - few < 24 * 20_000  # a map of 200 x 200 in 32 bits has 160,000 bytes


def large(key):
    return Annotated(key, LabelMap(np.tile(np.array([[0, 1]], np.uint8), (200, 100)), MAPS))


def test_further_annotators_are_said_to_be_lost(tmp_path):
    def twice(key):
        found = truth_of("instance", key)
        return replace(found, other_truths=(found.truth,))

    given = replace(make_set(tmp_path / "src", "instance", 2), reader=twice)
    assert sum(convert_set(given, tmp_path / "out", "coco", compare=0).lost.values()) == 2


def write_objects(folder):
    from intarsia.data.formats._coco_sets import write_coco_set

    write_coco_set(folder / "objects.json", make_set(folder, "instance"))


def test_images_are_copied_linked_or_left(tmp_path):
    given = make_set(tmp_path / "src", "semantic", 2, splits=False)
    convert_set(given, tmp_path / "linked", "palette", images="link")
    link = tmp_path / "linked/images/scene/1.png"
    assert link.samefile(tmp_path / "src/scene/1.png")
    assert not link.is_symlink()
    left = convert_set(given, tmp_path / "left", "palette", images="leave")
    assert not (tmp_path / "left/images").exists()
    assert (left.iou, left.compared) == (None, 0)
    objects = make_set(tmp_path / "src", "instance", 2, splits=False)
    assert convert_set(objects, tmp_path / "outlines", "yolo", images="leave").compared == 0
    (tmp_path / "src/scene/1.png").unlink()
    half = convert_set(objects, tmp_path / "half", "yolo")
    assert (half.compared, half.lowest_iou) == (1, 1.0)
    without = convert_set(given, tmp_path / "without", "coco_panoptic")
    assert without.lost["an annotated image has no image file, so none was copied"] == 1


def test_objects_and_masks_become_panoptic(tmp_path):
    convert_set(make_set(tmp_path / "src", "semantic"), tmp_path / "masks", "palette")
    convert_set(make_set(tmp_path / "src", "instance"), tmp_path / "objects", "class_instance")
    done = convert(
        tmp_path / "objects", tmp_path / "out", to="coco_panoptic", semantic=tmp_path / "masks", classes=["dog", "road"]
    )
    assert (done.kind, done.classes, done.lowest_iou) == ("panoptic", ("dog", "road"), 1.0)
    assert done.objects["dog"] == 12
    assert done.lost["an object of a class that was not chosen was left out"] >= 6


def test_files_of_objects_list_no_stuff(tmp_path):
    done = convert("scenes:train=2,val=1,test=0,size=32x48", tmp_path / "out", to="coco")
    assert done.classes == ("person", "car", "bicycle", "sign")
    assert read_coco_set(tmp_path / "out/instances_val.json").classes.names == done.classes


def test_a_generated_data_set_is_written_with_its_pixels(tmp_path):
    done = convert("scenes:train=2,val=1,test=0,size=32x48", tmp_path / "out", to="palette", kind="semantic")
    assert (done.images, done.lowest_iou) == (3, 1.0)
    assert len(list((tmp_path / "out/images").rglob("*.png"))) == 3


def test_what_does_not_fit_is_said(tmp_path):
    given = make_set(tmp_path / "src", "semantic", 2)
    with pytest.raises(SettingsError, match=r"no format .coko. to write\. Known: .*palette"):
        convert_set(given, tmp_path / "out", "coko")
    with pytest.raises(SettingsError, match=r"palette has no option colour\. It has none"):
        convert_set(given, tmp_path / "out", "palette", options={"colour": 1})
    with pytest.raises(SettingsError, match=r"src holds scene and no unfinished conversion"):
        convert_set(given, tmp_path / "src", "palette")
    with pytest.raises(SettingsError, match="0 processes"):
        convert_set(given, tmp_path / "none", "palette", workers=0)
    for value in ("abc", -1, True, float("nan")):
        with pytest.raises(SettingsError, match=r"tolerance of yolo is .*; a number from 0 up is expected"):
            convert_set(given, tmp_path / "out", "yolo", options={"tolerance": value})
    with pytest.raises(SettingsError, match="polygons of coco is 1; true or false is expected"):
        convert_set(given, tmp_path / "out", "coco", options={"polygons": 1})
    with pytest.raises(SettingsError, match="-3 images cannot be compared"):
        convert_set(given, tmp_path / "none", "palette", compare=-3)
    with pytest.raises(DataError, match="holds no image, so there is nothing to convert"):
        convert_set(given.limited([]), tmp_path / "none", "palette")
    with pytest.raises(SettingsError, match="coco holds truths of kind instance, not panoptic"):
        convert(given, tmp_path / "none", to="coco", kind="panoptic")
    with pytest.raises(SettingsError, match="--images is 'move'"):
        convert(given, tmp_path / "none", to="coco", images="move")
    assert target_kinds("class_instance") == ("panoptic", "instance")
    assert {"coco", "coco_panoptic", *MASK_FOLDERS} <= set(target_formats())


def test_a_damaged_journal_is_said(tmp_path):
    given = make_set(tmp_path / "src", "semantic", 3)

    def stop(done, total):
        raise KeyboardInterrupt

    for damage, said in (("{}", "damaged at scene/0"), ('["b", null, {}, {}, []]', "goes on with 'b' in place of 'scene/0'")):
        out = tmp_path / said[:3]
        with pytest.raises(KeyboardInterrupt):
            convert_set(given, out, "palette", progress=stop)
        (out / ".intarsia-convert.jsonl").write_text(damage + "\n")
        with pytest.raises(DataError, match=said):
            convert_set(given, out, "palette")


def test_another_conversion_is_not_gone_on_with(tmp_path):
    given = make_set(tmp_path / "src", "semantic", 3)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_set(given, tmp_path / "out", "palette", progress=stop)
    with pytest.raises(SettingsError, match='format was "palette" and is "index"'):
        convert_set(given, tmp_path / "out", "index")
    assert json.loads((tmp_path / "out/.intarsia-convert.json").read_text())["keys"].startswith("3 (")
