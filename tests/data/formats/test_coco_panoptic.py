import json

import numpy as np
import pytest

from intarsia.core import ClassSpace, DataError, Panoptic, Segment, SegmentationError
from intarsia.data.formats.coco_panoptic import CocoPanopticWriter, read_coco_panoptic, write_coco_panoptic
from intarsia.metrics.panoptic_quality import PanopticEvidence, observe_panoptic_quality, score_panoptic_quality

CLASSES = ClassSpace.from_names(["sky", "dog"], things=["dog"])


def test_write_then_read_is_the_identity(tmp_path):
    ids = np.array([[0, 300, 300], [70000, 300, 2**24 - 1]], np.int32)
    maps = {"a.png": Panoptic(ids, (Segment(300, 1, 0.5), Segment(70000, 0), Segment(2**24 - 1, 1, 1.0, True)), CLASSES)}
    file = read_coco_panoptic(write_coco_panoptic(tmp_path / "p.json", maps, CLASSES))
    again = file.read("a.png")
    assert np.array_equal(again.ids, ids)
    assert again.segments == maps["a.png"].segments
    assert file.classes.names == CLASSES.names
    assert file.classes.thing_ids == (1,)


def test_the_file_says_what_the_format_asks_for(tmp_path):
    """Area and box of each segment that has a pixel, and the size of each image."""
    ids = np.array([[0, 3, 3], [0, 3, 5]], np.int32)
    panoptic = Panoptic(ids, (Segment(3, 1, 0.5), Segment(4, 1), Segment(5, 0)), CLASSES)
    with CocoPanopticWriter(tmp_path / "p.json", CLASSES) as file:
        file.add("a.png", panoptic, image="photos/a.jpg")
    content = json.loads((tmp_path / "p.json").read_text())
    assert content["images"] == [{"id": 1, "file_name": "photos/a.jpg", "height": 2, "width": 3}]
    assert content["annotations"][0]["segments_info"] == [
        {"id": 3, "category_id": 2, "area": 3, "bbox": [1, 0, 2, 2], "iscrowd": 0, "score": 0.5},
        {"id": 5, "category_id": 1, "area": 1, "bbox": [2, 1, 1, 1], "iscrowd": 0, "score": 1.0},
    ]
    assert [c["isthing"] for c in content["categories"]] == [0, 1]
    assert read_coco_panoptic(tmp_path / "p.json").images == {"a.png": "photos/a.jpg"}


def test_the_published_sample(shared_data):
    """Of two photographs, 4 things and 4 stuff classes; against itself everything is perfect."""
    file = read_coco_panoptic(shared_data("coco_panoptic_sample") / "panoptic_examples.json")
    assert len(file.classes) == 133
    assert len(file.classes.thing_ids) == 80
    maps = {name: file.read(name) for name in file.segments}
    scores = score_panoptic_quality(PanopticEvidence.concatenate([observe_panoptic_quality(m, m, n) for n, m in maps.items()]))
    assert [scores[name] for name in ("pq", "sq", "rq", "pq_things", "pq_stuff")] == [1, 1, 1, 1, 1]
    occurs = ~np.isnan(scores.values["pq_of_class"])
    assert occurs.sum() == 8
    assert occurs[list(file.classes.thing_ids)].sum() == 4
    for image in json.loads(file.path.read_text())["annotations"]:
        ids = maps[image["file_name"]].ids
        found, counts = np.unique(ids[ids > 0], return_counts=True)
        assert dict(zip(found.tolist(), counts.tolist(), strict=True)) == {s["id"]: s["area"] for s in image["segments_info"]}


def test_predictions_may_leave_the_categories_to_the_truth(tmp_path):
    maps = {"a.png": Panoptic(np.ones((2, 2), np.int32), (Segment(1, 1),), CLASSES)}
    truth = read_coco_panoptic(write_coco_panoptic(tmp_path / "t.json", maps, CLASSES))
    path = write_coco_panoptic(tmp_path / "p.json", maps, CLASSES)
    path.write_text(json.dumps({"annotations": json.loads(path.read_text())["annotations"]}))
    assert read_coco_panoptic(path, truth=truth).read("a.png").segments == (Segment(1, 1),)
    with pytest.raises(DataError, match=r"p\.json does not say its categories"):
        read_coco_panoptic(path)


def test_errors(tmp_path):
    maps = {"a.png": Panoptic(np.ones((2, 2), np.int32), (Segment(1, 1),), CLASSES)}
    path = write_coco_panoptic(tmp_path / "p.json", maps, CLASSES)
    file = read_coco_panoptic(path)
    content = json.loads(path.read_text())
    content["annotations"][0]["segments_info"][0]["id"] = 2
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"a\.png does not fit .*p\.json: Panoptic\.ids holds \[1\]"):
        read_coco_panoptic(path).read("a.png")
    content["annotations"][0]["segments_info"][0]["category_id"] = 9
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"p\.json gives 1 segments category ids .*: 9 of segment 2 in a\.png\. Declared"):
        read_coco_panoptic(path)
    content["annotations"][0]["segments_info"][0]["category_id"] = 1
    path.write_text(json.dumps(content))
    (file.folder / "a.png").unlink()
    with pytest.raises(DataError, match=r"names 1 PNG files that are not in .*p: a\.png"):
        read_coco_panoptic(path)
    path.write_text("[]")
    with pytest.raises(DataError, match=r"p\.json is no file of COCO panoptic segments"):
        read_coco_panoptic(path, truth=file)
    huge = {"a.png": Panoptic(np.full((1, 1), 2**24, np.int32), (Segment(2**24, 1),), CLASSES)}
    with pytest.raises(SegmentationError, match="16777216 does not fit"):
        write_coco_panoptic(path, huge, CLASSES)
