import contextlib
import math
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from intarsia.core import ClassSpace, ClassSpaceError, LabelMap, Panoptic, Segment, SegmentationError
from intarsia.metrics import bootstrap
from intarsia.metrics.cityscapes_iou import (
    CATEGORIES,
    MEAN_AREAS,
    CityscapesIouEvidence,
    mean_object_areas,
    observe_cityscapes_iou,
    score_cityscapes_iou,
    score_tallies,
)

NAMES = [name for members in CATEGORIES.values() for name in members]
CITY = ClassSpace.from_names(NAMES, things=MEAN_AREAS)
SMALL = ClassSpace.from_names(["ground", "car", "bus"], things=["car", "bus"])
GROUPS = {"all": ("ground", "car", "bus"), "vehicle": ("car", "bus")}
AREAS = {"car": 6.0, "bus": 10.0}


def observe(prediction, ids, segments, key="a"):
    truth = Panoptic(np.asarray(ids, np.int32), tuple(Segment(*s) for s in segments), SMALL)
    return observe_cityscapes_iou(
        LabelMap(np.asarray(prediction, np.uint8), SMALL), truth, key, categories=GROUPS, mean_areas=AREAS
    )


def test_by_hand() -> None:
    """Cars of 4 and 2 pixels, a group of 2 cars, ground of 4, void of 2. Weights: 6/4 and 6/2."""
    ids = [[1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 0, 0]]
    prediction = [[1, 1, 2, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 1]]
    evidence = observe(prediction, ids, [(1, 1), (2, 1), (3, 1, 1.0, True), (4, 0)])
    scores = score_cityscapes_iou(evidence)
    right, truth, predicted = 2 + 1 + 1, 8, 5
    assert scores.of("iou", "car") == right / (truth + predicted - right)
    true, missed = 2 * 6 / 4 + 1 * 6 / 2, 2 * 6 / 4 + 1 * 6 / 2
    assert scores.of("iiou", "car") == true / (true + missed + 1)
    assert scores.of("iiou", "bus") == 0, "one pixel of bus where there is none"
    assert math.isnan(scores.of("iiou", "ground"))
    # For a vehicle the pixel of bus on the first car is right.
    assert scores.of("iou", "category vehicle") == 5 / (8 + 6 - 5)
    assert scores.of("iiou", "category vehicle") == (true + 6 / 4) / (true + missed + 1)
    assert scores.of("iou", "category all") == 1
    assert math.isnan(scores.of("iiou", "category all")), "it holds a class that is no thing"
    assert scores["class_miou"] == pytest.approx(np.nanmean([scores.of("iou", name) for name in SMALL.names]))
    assert scores["category_miiou"] == scores.of("iiou", "category vehicle")


def city_image(seed: int) -> tuple[np.ndarray, np.ndarray, tuple[Segment, ...]]:
    """A prediction and a truth of streaks, with objects, groups and void; in our class ids and segment numbers."""
    rng = np.random.default_rng(seed)
    classes = np.kron(rng.integers(0, len(CITY), (8, 9)), np.ones((6, 7), np.int64))
    ids, segments = np.zeros_like(classes), []
    for index, entry in enumerate(CITY.classes):
        halves = [np.arange(63) < 20 + index, np.arange(63) >= 20 + index] if entry.is_thing else [np.ones(63, bool)]
        for part, columns in enumerate(halves):
            mask = (classes == index) & columns
            ids[mask] = len(segments) + 1
            if mask.any():
                segments.append(Segment(len(segments) + 1, index, is_crowd=entry.is_thing and part == 1 and index % 2 == 0))
    ids[:, 40:44] = 0
    segments = [s for s in segments if (ids == s.id).any()]
    prediction = np.where(rng.random(classes.shape) < 0.7, classes, np.roll(classes, 5, 1))
    return prediction, ids, tuple(segments)


def test_equals_cityscapesscripts(monkeypatch) -> None:
    """Its own functions, on the same images in its own numbers, from memory."""
    script = pytest.importorskip(
        "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling", reason="pip install cityscapesScripts"
    )
    from cityscapesscripts.helpers.labels import name2label

    files, evidence = {}, []
    label_id = np.array([name2label[name].id for name in CITY.names])
    for number in range(3):
        prediction, ids, segments = city_image(number)
        instance = np.full(ids.shape, 4, np.int32)  # static, which is not scored
        for count, segment in enumerate(segments):
            own = label_id[segment.class_id]
            is_object = CITY.classes[segment.class_id].is_thing and not segment.is_crowd
            instance[ids == segment.id] = own * 1000 + count if is_object else own
        files[f"p{number}"] = label_id[prediction].astype(np.uint8)
        files[f"{number}_labelIds"] = np.where(instance > 1000, instance // 1000, instance).astype(np.uint8)
        files[f"{number}_instanceIds"] = instance
        truth = Panoptic(ids.astype(np.int32), segments, CITY)
        evidence.append(observe_cityscapes_iou(LabelMap(prediction.astype(np.uint8), CITY), truth, str(number)))
    monkeypatch.setattr(script, "Image", SimpleNamespace(open=lambda name: Image.fromarray(files[name])))
    monkeypatch.setattr(np, "in1d", np.isin, raising=False)  # gone from NumPy 2.4, and still called there
    monkeypatch.setattr(script.args, "quiet", True)
    monkeypatch.setattr(script.args, "JSONOutput", False)
    with contextlib.redirect_stdout(None):
        theirs = script.evaluateImgLists([f"p{i}" for i in range(3)], [f"{i}_labelIds" for i in range(3)], script.args)
    scores = score_cityscapes_iou(CityscapesIouEvidence.concatenate(evidence))
    for ours, name, prefix in [
        ("iou", "classScores", ""),
        ("iiou", "classInstScores", ""),
        ("iou", "categoryScores", "category "),
        ("iiou", "categoryInstScores", "category "),
    ]:
        compared = {column: value for column, value in theirs[name].items() if prefix + column in scores.columns}
        assert len(compared) >= 7
        for column, value in compared.items():
            assert scores.of(ours, prefix + column) == pytest.approx(value, nan_ok=True), (name, column)
    assert scores["class_miou"] == pytest.approx(theirs["averageScoreClasses"])
    assert scores["class_miiou"] == pytest.approx(theirs["averageScoreInstClasses"])
    assert scores["category_miou"] == pytest.approx(theirs["averageScoreCategories"])
    assert scores["category_miiou"] == pytest.approx(theirs["averageScoreInstCategories"])
    low, high = bootstrap(CityscapesIouEvidence.concatenate(evidence), score_tallies).of("iiou", CITY.index("car"))
    assert low <= scores.of("iiou", "car") <= high


def test_small_objects_count_as_much_as_large_ones() -> None:
    ids = np.concatenate([np.full((1, 90), 1), np.full((1, 10), 2)], axis=1)
    segments = [(1, 1), (2, 1)]
    small_missed = np.where(ids == 1, 1, 0)
    scores = score_cityscapes_iou(observe(small_missed, ids, segments))
    assert scores.of("iou", "car") == 0.9
    assert scores.of("iiou", "car") == pytest.approx(0.5)


def test_mean_areas_of_another_data_set() -> None:
    ids = np.array([[1, 1, 1, 2, 3, 3, 4]], np.int32)
    truth = Panoptic(ids, (Segment(1, 1), Segment(2, 1), Segment(3, 2), Segment(4, 2, is_crowd=True)), SMALL)
    assert mean_object_areas([truth, truth]) == {"car": 2.0, "bus": 2.0}


def test_degenerate() -> None:
    nothing = observe([[0, 1]], [[0, 0]], [])
    assert math.isnan(score_cityscapes_iou(nothing)["class_miou"])
    listed = observe([[1, 1]], [[1, 1]], [(1, 1), (9, 1)])
    assert score_cityscapes_iou(listed).of("iiou", "car") == 1, "a segment without a pixel weighs nothing"
    assert score_cityscapes_iou(listed + nothing).of("iou", "car") == 1


def test_errors() -> None:
    truth = Panoptic(np.ones((1, 2), np.int32), (Segment(1, 0),), SMALL)
    labels = LabelMap(np.zeros((1, 2), np.uint8), SMALL)
    with pytest.raises(
        ClassSpaceError, match="category 'flat' lists road, sidewalk, which the classes ground, car, bus do not have"
    ):
        observe_cityscapes_iou(labels, truth, "a")
    with pytest.raises(ClassSpaceError, match="no mean area for the things car"):
        observe_cityscapes_iou(labels, truth, "a", categories={}, mean_areas={"bus": 1.0})
    with pytest.raises(SegmentationError, match="a: the prediction is made of regions"):
        observe_cityscapes_iou(LabelMap(labels.ids), truth, "a")
    with pytest.raises(SegmentationError, match="a: the prediction is 1 x 1 pixels"):
        observe([[0]], [[1, 1]], [(1, 0)])
