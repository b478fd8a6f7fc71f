import json
from dataclasses import replace

import numpy as np
import pytest

from intarsia.core import ClassSpace, DataError, LabelMap, Panoptic, Segment, SegmentationClass
from intarsia.data.formats.class_instance import read_class_instance, segments_of, write_class_instance
from intarsia.metrics.panoptic_quality import PanopticEvidence, observe_panoptic_quality, score_panoptic_quality

CLASSES = ClassSpace.from_names(["sky", "car", "dog"], things=["car", "dog"])


def test_write_then_read_is_the_identity(tmp_path):
    ids = np.array([[1, 1, 2, 0], [3, 4, 4, 5]])
    panoptic = Panoptic(ids, (Segment(1, 1), Segment(2, 1), Segment(3, 2), Segment(4, 0), Segment(5, 2, is_crowd=True)), CLASSES)
    files = write_class_instance(tmp_path / "c.png", tmp_path / "i.png", panoptic)
    again = read_class_instance(*files)
    assert again.ids.tolist() == ids.tolist()
    assert again.segments == panoptic.segments


def test_numbers_of_each_class_and_of_all():
    labels = LabelMap(np.array([[0, 0, 1, 1, 2, 2, 255]]), CLASSES)
    both = [[9, 8, 1, 2, 1, 1, 1]], [[0, 0, 5, 6, 7, 7, 0]]
    for numbers in both:
        found = segments_of(labels, np.array(numbers), "c.png", "i.png")
        assert found.ids.tolist() == [[4, 4, 1, 2, 3, 3, 0]]
        assert [s.class_id for s in found.segments] == [1, 1, 2, 0]
    crowd = segments_of(labels, np.array([[0, 0, 0, 2, 0, 0, 0]]), "c.png", "i.png")
    assert [(s.class_id, s.is_crowd) for s in crowd.segments] == [(1, False), (0, False), (1, True), (2, True)]


def test_real_pairs_reach_their_published_scores(shared_data):
    folder = shared_data("panoptic_pairs")
    published = json.loads((folder / "expected.json").read_text())
    entries = [SegmentationClass(c["name"], tuple(c["colour"]), (c["id"],), bool(c["isthing"])) for c in published["categories"]]
    classes = ClassSpace(tuple(entries), ignore_sources=(0,))
    rows = []
    for name in ("bird", "cat", "team"):
        paths = [[folder / f"{name}_{side}_{kind}.png" for kind in ("class", "instance")] for side in ("pred", "gt")]
        pair = (read_class_instance(*files, classes) for files in paths)
        rows.append(observe_panoptic_quality(*pair, name))
    scores = score_panoptic_quality(PanopticEvidence.concatenate(rows))
    assert (scores["pq"], scores["sq"], scores["rq"]) == pytest.approx((0.768555, 0.776917, 0.988889), abs=1e-5)


def test_errors(tmp_path):
    labels = LabelMap(np.zeros((2, 3), np.uint8), CLASSES)
    with pytest.raises(DataError, match=r"i\.png is \(3, 2\) and c\.png \(2, 3\)"):
        segments_of(labels, np.zeros((3, 2), int), "c.png", "i.png")
    plain = replace(labels, classes=ClassSpace.from_names(["a", "b"]))
    with pytest.raises(DataError, match=r"No class of c\.png is a thing.*thing = true"):
        segments_of(plain, np.zeros((2, 3), int), "c.png", "i.png")
