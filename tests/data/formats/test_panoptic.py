import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from intarsia.core import ClassSpace, ClassSpaceError, DataError, Panoptic, Segment, SegmentationError
from intarsia.data.formats.panoptic import read_panoptic, write_panoptic

CLASSES = ClassSpace.from_names(["sky", "road", "car"], things=["car"])


@pytest.mark.parametrize(("highest", "mode"), [(300, "I;16"), (65535, "I;16"), (65536, "RGB"), (2**24 - 1, "RGB")])
def test_write_then_read_is_the_identity(tmp_path: Path, highest: int, mode: str, pillow: Callable[[Path], Image.Image]) -> None:
    listed = (Segment(1, 0), Segment(17, 2, 0.25), Segment(highest, 2, 1.0, True))
    ids = np.random.default_rng(0).choice([0, 1, 17, highest], (20, 30)).astype(np.int32)
    path = write_panoptic(tmp_path / "a.png", Panoptic(ids, listed, CLASSES))
    assert pillow(path).mode == mode
    for back in (read_panoptic(path), read_panoptic(path, CLASSES)):
        np.testing.assert_array_equal(back.ids, ids)
        assert back.segments == listed
        assert back.classes.to_dict() == CLASSES.to_dict()
    renamed = read_panoptic(path, ClassSpace.from_names(["car", "sky", "road"]))
    assert [s.class_id for s in renamed.segments] == [1, 0, 0]


def test_coco_files_are_read(shared_data, tmp_path: Path, pillow: Callable[[Path], Image.Image]) -> None:
    root = shared_data("coco_panoptic_sample")
    coco = json.loads((root / "panoptic_examples.json").read_text())
    order = {category["id"]: index for index, category in enumerate(coco["categories"])}
    classes = ClassSpace.from_names([category["name"] for category in coco["categories"]])
    for entry in coco["annotations"]:
        (tmp_path / entry["file_name"]).write_bytes((root / "panoptic_examples" / entry["file_name"]).read_bytes())
        segments = [{**s, "category_id": order[s["category_id"]]} for s in entry["segments_info"]]
        (tmp_path / entry["file_name"]).with_suffix(".json").write_text(json.dumps({"segments_info": segments}))
        found = read_panoptic(tmp_path / entry["file_name"], classes)
        assert {s.id: int((found.ids == s.id).sum()) for s in found.segments} == {
            s["id"]: s["area"] for s in entry["segments_info"]
        }
        two_channels = np.asarray(pillow(root / "panoptic_examples_2ch_format" / entry["file_name"]))
        category = two_channels[..., 0].astype(int)
        expected = np.vectorize(lambda c: order.get(c, classes.ignore_id))(category)
        np.testing.assert_array_equal(found.to_label_map().ids[found.ids > 0], expected[found.ids > 0])


def test_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[0, 3, 5]], np.uint16)).save(path)
    with pytest.raises(DataError, match=r"There is no file .*a\.json"):
        read_panoptic(path, CLASSES)
    for content in ("{", "[]", '{"segments_info": [{"id": 3}]}', '{"segments_info": 4}', "\udcff"):
        path.with_suffix(".json").write_text(content, errors="surrogateescape")
        with pytest.raises(DataError, match=r"a\.json is no list of segments"):
            read_panoptic(path, CLASSES)
    path.with_suffix(".json").write_text('{"segments_info": [{"id": 3, "category_id": 0}]}')
    with pytest.raises(SegmentationError, match=r"holds \[5\], which Panoptic\.segments does not list"):
        read_panoptic(path, CLASSES)
    with pytest.raises(DataError, match=r"a\.json does not say the classes"):
        read_panoptic(path)
    with pytest.raises(SegmentationError, match="the segment id 16777216 does not fit three bytes"):
        write_panoptic(path, Panoptic(np.array([[2**24]]), (Segment(2**24, 0),), CLASSES))
    write_panoptic(path, Panoptic(np.array([[1]]), (Segment(1, 0),), CLASSES))
    with pytest.raises(ClassSpaceError, match="no class called 'sky'"):
        read_panoptic(path, ClassSpace.from_names(["road"]))
