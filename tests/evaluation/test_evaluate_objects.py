"""Predictors of objects and panoptic maps over a data set: scores by hand, refusals, and what is kept in memory."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from intarsia.core import ClassSpace, InstanceMasks, Instances, LabelMap, Panoptic, Sample, Segment
from intarsia.evaluation import ObjectEvaluation, ScoreRefused, evaluate, object_rows
from intarsia.evaluation.tallies import InstanceTally, without_overlaps

CLASSES = ClassSpace.from_names(["ground", "car", "dog"], things=["car", "dog"])


class Yard:
    """Images of 24 x 40 with a car on the left and a dog on the right; the dog is missing from the last."""

    name, task, classes, notes = "yard", "instance", CLASSES, ()

    def __init__(self, task="instance", images=4):
        self.task = task
        self.splits = {"val": [f"val/{i}" for i in range(images)], "empty": []}

    def ids(self, number):
        ids = np.zeros((24, 40), np.int32)
        ids[4:14, 2:12] = 1
        if number < len(self.splits["val"]) - 1:
            ids[10:20, 20:36] = 2
        return ids

    def truth(self, number):
        ids = self.ids(number)
        if self.task == "instance":
            return Instances.from_ids(ids, CLASSES, {1: 1, 2: 2})
        things = tuple(Segment(n, n) for n in np.unique(ids[ids > 0]).tolist())
        return Panoptic(np.where(ids == 0, 3, ids), (*things, Segment(3, 0)), CLASSES)

    def read(self, key):
        number = int(key.split("/")[1])
        return Sample(np.full((24, 40, 3), number, np.uint8), (self.truth(number),), key)


class Half:
    """The car as it is and the left half of the dog, which has IoU 0.5; scores 0.9 and 0.6."""

    name, classes = "half", CLASSES

    def __init__(self, task="instance"):
        self.task, self.yard = task, Yard(task)

    def predict(self, image, hints=None):
        number = int(image[0, 0, 0])
        ids = self.yard.ids(number)
        ids[:, 29:] = 0
        found = Instances.from_ids(ids, CLASSES, {1: 1, 2: 2})
        if self.task == "instance":
            return replace(found, score=np.array([0.9, 0.6], np.float32)[: len(found)])
        segments = tuple(Segment(n, n) for n in np.unique(ids[ids > 0]).tolist())
        return Panoptic(np.where(ids == 0, 3, ids), (*segments, Segment(3, 0)), CLASSES)


def test_ap_by_hand():
    """Nine of 16 columns: IoU 0.5625 is a match at 0.5 and 0.55 only, so the dog's AP is 0.2 and the car's 1."""
    result = evaluate(Half(), Yard())
    assert isinstance(result, ObjectEvaluation)
    assert result.task == "instance"
    assert result.score == pytest.approx(0.6)
    rows = {row.name: row for row in object_rows(result)}
    assert list(rows) == ["car", "dog"]
    assert rows["dog"].values == pytest.approx({"AP": 0.2, "AP50": 1, "AP75": 0, "AR": 0.2})
    assert rows["car"].interval == pytest.approx((1, 1))
    precision = (3 * (2 * 1 + 8 / 3) / 10 + 1) / 4  # at 0.5 and 0.55 both are found, above one of three objects on either side
    assert result.scores["mean_precision"]["mean_precision"] == pytest.approx(precision)
    assert result.per_image["val/0"][1:] == (2, 2, 0)
    assert result.per_image["val/3"] == (1, 1, 1, 0)
    assert result.ranking[-1] == "val/3"
    assert any("score of 0.5 and more" in note for note in result.notes)


def test_panoptic_quality_by_hand():
    result = evaluate(Half("panoptic"), Yard("panoptic"))
    assert result.task == "panoptic"
    ground = (24 * 40 - 100 - 160) / (24 * 40 - 100 - 90)
    stuff = (3 * ground + 1) / 4
    scores = result.scores["panoptic_quality"]
    assert scores["pq_stuff"] == pytest.approx(stuff)
    assert scores["pq_things"] == pytest.approx((1 + 0.5625) / 2)
    assert result.score == pytest.approx((1 + 0.5625 + stuff) / 3)
    rows = object_rows(result)
    assert [(row.name, row.is_thing) for row in rows] == [("car", True), ("dog", True), ("ground", False)]
    assert rows[1].values["found"] == 3
    low, high = result.intervals["panoptic_quality"].of("pq")
    assert low <= result.score <= high


def test_the_task_is_what_truth_and_predictor_share():
    assert isinstance(evaluate(Half("panoptic"), Yard("panoptic"), task="instance"), ObjectEvaluation)
    assert evaluate(Half("panoptic"), Yard("panoptic"), task="instance").task == "instance"
    assert evaluate(Half("instance"), Yard("panoptic")).task == "instance"
    assert evaluate(Half("panoptic"), Yard("instance")).task == "instance"
    assert not isinstance(evaluate(Half("panoptic"), Yard("panoptic"), task="semantic"), ObjectEvaluation)


def test_results_are_read_back():
    for task in ("instance", "panoptic"):
        result = evaluate(Half(task), Yard(task))
        saved = json.loads(json.dumps(result.to_dict(), allow_nan=False))
        again = ObjectEvaluation.from_dict(saved)
        assert again.to_dict() == result.to_dict()
        assert [row[:3] for row in object_rows(again)] == [row[:3] for row in object_rows(result)]


class Nothing(Half):
    def predict(self, image, hints=None):
        return Instances.from_ids(np.zeros((24, 40), int), CLASSES, 1)


class Bare(Yard):
    def ids(self, number):
        return np.zeros((24, 40), np.int32)


def test_no_prediction_is_zero_and_no_truth_is_refused():
    result = evaluate(Nothing(), Yard())
    assert result.score == 0
    assert [row[1:] for row in result.per_image.values()] == [(2, 0, 0)] * 3 + [(1, 0, 0)]
    with pytest.raises(ScoreRefused, match="not one object in the truth of yard val"):
        evaluate(Half(), Bare())


class Foggy(Yard):
    def truth(self, number):
        whole = super().truth(number)
        ids = whole.ids.copy()
        ids[:, 16:] = 0
        return Panoptic(ids, tuple(s for s in whole.segments if (ids == s.id).any()), CLASSES)


def test_mostly_void_truths_are_refused_unless_allowed():
    with pytest.raises(ScoreRefused, match=r"Only 40.0% of the pixels of yard val belong to a segment.*--allow-partial"):
        evaluate(Half("panoptic"), Foggy("panoptic"))
    result = evaluate(Half("panoptic"), Foggy("panoptic"), allow_partial=True)
    assert result.warnings[0].startswith("Only 40.0%")


def test_regions_and_class_maps_are_scored_as_objects_where_asked():
    class Slices:
        name, task, classes = "slices", "regions", None

        def predict(self, image, hints=None):
            return LabelMap(Yard().ids(int(image[0, 0, 0])))

    result = evaluate(Slices(), Yard(), task="instance")
    assert result.score == 1
    assert any("regions" in note for note in result.notes)


def test_an_overlap_belongs_to_the_better_object():
    ids = np.zeros((2, 8), int)
    ids[:, :4] = 1
    both = Instances.from_ids(ids, CLASSES, 1)
    other = Instances.from_ids(np.roll(ids, 2, 1), CLASSES, 1)
    masks = InstanceMasks.pack([both.masks.mask(0), other.masks.mask(0), both.masks.mask(0)], (2, 8))
    found = Instances(masks, np.array([1, 1, 2]), CLASSES, np.array([0.6, 0.8, 0.2], np.float32))
    kept = without_overlaps(found)
    assert kept.masks.areas().tolist() == [4, 8]
    assert kept.score.tolist() == pytest.approx([0.6, 0.8])
    assert without_overlaps(both) is both


def test_four_hundred_objects_of_an_image_cost_a_megabyte():
    """What is kept of each image, and what one needs while it is counted; benchmarks/instance_memory.py measures processes."""
    cell = ClassSpace.from_names(["cell"], things=["cell"])
    ids = np.kron(np.arange(1, 401).reshape(20, 20), np.pad(np.ones((12, 12), int), 2))
    truth = Instances.from_ids(ids, cell, 0)
    found = replace(truth, score=np.linspace(1, 0, 400).astype(np.float32))
    tally = InstanceTally()
    tally.observe(found, truth, "0")
    tracemalloc.start()
    for number in range(1, 3):
        tally.observe(found, truth, str(number))
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept / 2 < 1.2e6
    assert peak < 40e6
