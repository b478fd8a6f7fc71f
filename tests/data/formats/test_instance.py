from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from intarsia.core import ClassSpace, DataError, InstanceMasks, Instances
from intarsia.data.formats.instance import read_instances, read_object_ids, write_instances

CLASSES = ClassSpace.from_names(["background", "cell", "nucleus"], things=["cell", "nucleus"])


def objects(count: int, **more: object) -> Instances:
    """Disjoint objects: vertical stripes of differing height."""
    masks = []
    for index in range(count):
        mask = np.zeros((40, 3 * count), bool)
        mask[index % 7 : 20 + index % 11, 3 * index : 3 * index + 2] = True
        masks.append(mask)
    class_id = np.arange(count, dtype=np.int32) % 2 + 1
    return Instances(InstanceMasks.pack(masks, (40, 3 * max(count, 1))), class_id, CLASSES, **more)


@pytest.mark.parametrize("count", [0, 1, 300])
def test_write_then_read_is_the_identity(tmp_path: Path, count: int, pillow: Callable[[Path], Image.Image]) -> None:
    rng = np.random.default_rng(0)
    written = objects(count, score=rng.random(count).astype(np.float32), is_crowd=rng.random(count) > 0.5)
    path = write_instances(tmp_path / "a.png", written)
    back = read_instances(path)
    np.testing.assert_array_equal(back.to_ids() > 0, written.to_ids() > 0)
    np.testing.assert_array_equal(back.masks.boxes_xyxy, written.masks.boxes_xyxy)
    np.testing.assert_array_equal(back.masks.bits, written.masks.bits)
    for name in ("class_id", "score", "is_crowd"):
        np.testing.assert_array_equal(getattr(back, name), getattr(written, name))
    assert back.classes == CLASSES
    assert pillow(path).mode == "I;16"
    plain = read_instances(write_instances(tmp_path / "b.png", objects(count)))
    assert plain.score is None
    assert plain.is_crowd is None


def test_overlaps_keep_the_higher_score_and_lose_the_hidden(tmp_path: Path) -> None:
    low, high = np.array([[True, False, False]]), np.array([[True, True, False]])
    seen = Instances(InstanceMasks.pack([low, high], (1, 3)), np.array([1, 2]), CLASSES, np.array([0.2, 0.9], np.float32))
    back = read_instances(write_instances(tmp_path / "a.png", seen))
    assert (len(back), back.class_id.tolist(), back.to_ids().tolist()) == (1, [2], [[1, 1, 0]])


def test_object_numbers_of_other_tools(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 40000, 40000, 7]], np.uint16)).save(tmp_path / "a.png")
    assert read_instances(tmp_path / "a.png", CLASSES, 1).class_id.tolist() == [1, 1]
    by_number = read_instances(tmp_path / "a.png", CLASSES, {7: 2, 40000: 1})
    assert by_number.class_id.tolist() == [2, 1]
    assert by_number.masks.areas().tolist() == [1, 2]
    assert read_object_ids(tmp_path / "a.png").tolist() == [[0, 40000, 40000, 7]]


def test_classes_are_matched_by_name(tmp_path: Path) -> None:
    path = write_instances(tmp_path / "a.png", objects(4))
    assert read_instances(path, ClassSpace.from_names(["nucleus", "cell"])).class_id.tolist() == [1, 0, 1, 0]
    assert read_instances(path, CLASSES, 1).class_id.tolist() == [1, 1, 1, 1]


def test_real_instances(shared_data, pillow: Callable[[Path], Image.Image]) -> None:
    path = sorted((shared_data("nuclei") / "instances" / "val").iterdir())[0]
    numbers = np.asarray(pillow(path))
    assert len(read_instances(path, CLASSES, 2)) == len(np.unique(numbers)) - 1


def test_errors(tmp_path: Path, pillow: Callable[[Path], Image.Image]) -> None:
    Image.fromarray(np.array([[0, 3, 5]], np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png holds object numbers and does not say their class"):
        read_instances(tmp_path / "a.png", CLASSES)
    with pytest.raises(DataError, match=r"holds the object numbers \[5\], whose class"):
        read_instances(tmp_path / "a.png", CLASSES, {3: 1})
    Image.new("RGB", (2, 2), (9, 0, 0)).save(tmp_path / "rgb.png")
    with pytest.raises(DataError, match="holds RGB colours"):
        read_instances(tmp_path / "rgb.png", CLASSES, 1)
    path = write_instances(tmp_path / "edited.png", objects(2))
    image = pillow(path)
    from PIL.PngImagePlugin import PngInfo

    note = PngInfo()
    note.add_text("intarsia", image.info["intarsia"])
    Image.fromarray(np.array([[0, 9]], np.uint16)).save(path, pnginfo=note)
    with pytest.raises(DataError, match=r"edited\.png holds more objects than it says anything about"):
        read_instances(path)
