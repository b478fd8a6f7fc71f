"""Every format that can be written: it is recognised, opened, equal or with a loss that is said, and goes on after a stop."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from intarsia.core import ClassSpace, InstanceMasks, Instances
from intarsia.data.convert import convert_set, target_formats
from intarsia.data.datasets import open_dataset
from intarsia.data.datasets._mask_folders import MASK_FOLDERS
from intarsia.data.formats import write_image
from intarsia.data.formats._annotated import Annotated, AnnotatedSet
from intarsia.data.formats._recognize import COCO, find_format

CLASSES = ClassSpace.from_names(["car", "dog"], things=["car", "dog"])
KEYS = ("a", "b", "night/c")
SIZE = (24, 32)


def truth(key, classes=CLASSES):
    """Two that touch, one of a single pixel, one with a hole, one at the border; none overlaps another, and "b" has none."""
    masks = np.zeros((5, *SIZE), np.bool_)
    masks[0, 2:8, 2:8] = masks[1, 2:8, 8:12] = masks[2, 12, 3] = masks[3, 10:20, 10:20] = masks[4, 20:, 24:] = True
    masks[3, 13:16, 13:16] = False
    chosen = masks[:0] if key == "b" else masks if key == "a" else masks[::-1]
    class_id = np.array([0, 0, 1, 1, 0], np.int32)[: len(chosen)]
    return Annotated(key, Instances(InstanceMasks.pack(chosen, SIZE), class_id, classes))


def make_set(folder):
    images = {key: folder / f"{key}.png" for key in KEYS}
    for path in images.values():
        write_image(path, np.full((*SIZE, 3), 90, np.uint8))
    return AnnotatedSet(
        "drawn", "instance", CLASSES, KEYS, partial(truth, classes=CLASSES), images, {"train": KEYS[:2], "val": KEYS[2:]}
    )


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("to", target_formats())
def test_a_format_holds_what_is_converted(tmp_path, to):
    given = make_set(tmp_path / "src")
    done = convert_set(given, tmp_path / "out", to)
    assert (done.images, done.compared) == (3, 3)
    assert done.lowest_iou == 1 or done.lost, "what is not equal must be said"
    opened = open_dataset(tmp_path / "out", view="instance" if done.kind != "semantic" else "semantic")
    assert {split: len(keys) for split, keys in opened.splits.items()} == {"train": 2, "val": 1}
    assert {"car", "dog"} <= set(opened.classes.names)
    if to not in COCO and to not in MASK_FOLDERS:
        assert find_format(tmp_path / "out").name == to

    def stop(count, total):
        if count == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_set(given, tmp_path / "again", to, progress=stop)
    read = []

    def reader(key):
        read.append(key)
        return truth(key)

    convert_set(replace(given, reader=reader), tmp_path / "again", to, compare=0)
    assert read == ["night/c"]
    assert tree(tmp_path / "again") == tree(tmp_path / "out")
