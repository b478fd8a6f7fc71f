import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from intarsia.core import ClassSpace, ClassSpaceError, LabelMap, SegmentationError, SettingsError
from intarsia.metrics.size_recall import SizeRecallEvidence, SizeRecallScores, observe_size_recall, score_size_recall

CLASSES = ClassSpace.from_names(["ground", "car", "boat"])


def labels(ids, classes=CLASSES) -> LabelMap:
    return LabelMap(np.asarray(ids, np.uint8), classes)


def test_by_hand() -> None:
    """A picture of 30 x 100 pixels: small is below 10 pixels, large from 90 on."""
    truth = np.zeros((30, 100), np.uint8)
    truth[0, 0:9] = 1  # small, 9 pixels: found, 5 of them are right
    truth[5, 0:9] = 1  # small: 4 are right, less than half
    truth[10, 0:10] = 1  # medium, 10 pixels: half are right, which is enough
    truth[20:29, 0:10] = 2  # large, 90 pixels: found
    truth[20:29, 20:30] = 2
    truth[20, 20] = 0  # 89 pixels, medium: not found
    truth[15, :] = 255
    prediction = np.zeros_like(truth)
    prediction[0, 0:5] = 1
    prediction[5, 0:4] = 1
    prediction[10, 0:5] = 1
    prediction[20:29, 0:10] = 2
    scores = score_size_recall(observe_size_recall(labels(prediction), labels(truth), "a"))
    # The ignored row cuts the ground in two large segments; the pixel taken out of the second boat touches the lower one.
    np.testing.assert_array_equal(scores.segments, [[0, 0, 2], [2, 1, 0], [0, 1, 1]])
    np.testing.assert_array_equal(scores.found, [[0, 0, 2], [1, 1, 0], [0, 0, 1]])
    np.testing.assert_array_equal(scores.recall, [[np.nan, np.nan, 1], [0.5, 1, np.nan], [np.nan, 0, 1]])
    np.testing.assert_array_equal(scores.recall_of_all, [0.5, 0.5, 1])


def slow(prediction, truth) -> tuple[np.ndarray, np.ndarray]:
    segments, found = np.zeros((2, 3, 3), np.int64)
    for index in range(3):
        numbered, count = ndimage.label(truth == index, np.ones((3, 3)))
        for number in range(1, count + 1):
            mask = numbered == number
            share = mask.sum() / truth.size
            size = 0 if share < 1024 / (480 * 640) else 1 if share < 9216 / (480 * 640) else 2
            segments[index, size] += 1
            found[index, size] += (prediction[mask] == index).mean() >= 0.5
    return segments, found


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))
def test_it_agrees_with_a_slow_loop(seed, height, width) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.choice(np.array([0, 1, 2, 255], np.uint8), (height, width), p=[0.3, 0.3, 0.3, 0.1])
    prediction = np.where(
        rng.random((height, width)) < 0.5, truth, rng.choice(np.array([0, 1, 2, 255], np.uint8), (height, width))
    )
    scores = score_size_recall(observe_size_recall(labels(prediction), labels(truth), "a"))
    segments, found = slow(prediction, truth)
    np.testing.assert_array_equal(scores.segments, segments)
    np.testing.assert_array_equal(scores.found, found)


def test_the_same_picture_at_another_resolution_has_the_same_score() -> None:
    rng = np.random.default_rng(1)
    truth, prediction = rng.integers(0, 3, (2, 24, 32)).astype(np.uint8)
    scores = [
        score_size_recall(observe_size_recall(labels(np.kron(prediction, block)), labels(np.kron(truth, block)), "a"))
        for block in (np.ones((1, 1), np.uint8), np.ones((3, 3), np.uint8))
    ]
    np.testing.assert_array_equal(scores[0].segments, scores[1].segments)
    np.testing.assert_array_equal(scores[0].found, scores[1].found)


def test_evidence_merges_and_scores_are_plain() -> None:
    rng = np.random.default_rng(2)
    rows = [observe_size_recall(labels(rng.integers(0, 2, (9, 9))), labels(rng.integers(0, 2, (9, 9))), str(i)) for i in range(3)]
    merged = rows[0] + rows[1] + rows[2]
    assert merged.keys == ("0", "1", "2")
    scores = score_size_recall(merged)
    np.testing.assert_array_equal(scores.segments, sum(score_size_recall(row).segments for row in rows))
    plain = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert plain["classes"][2]["large"] == {"segments": 0, "found": 0, "recall": None}
    again = SizeRecallScores.from_dict(plain, CLASSES)
    np.testing.assert_array_equal(again.segments, scores.segments)
    np.testing.assert_array_equal(again.found, scores.found)


def test_degenerate_pictures() -> None:
    for ids in (np.full((4, 4), 255), np.zeros((1, 1)), np.full((1, 1), 255)):
        scores = score_size_recall(observe_size_recall(labels(ids), labels(ids), "a"))
        assert scores.segments.sum() == (ids == 0).sum()
        assert math.isnan(scores.recall[1, 2])
    void = observe_size_recall(labels(np.full((4, 4), 255)), labels(np.zeros((4, 4))), "a")
    assert score_size_recall(void).recall[0, 2] == 0


def test_errors() -> None:
    small, other = labels(np.zeros((2, 3))), ClassSpace.from_names(["sea", "car", "boat"])
    with pytest.raises(SegmentationError, match=r"a: the prediction is 2 x 3 pixels \(height x width\) and the truth 3 x 2"):
        observe_size_recall(small, labels(np.zeros((3, 2))), "a")
    with pytest.raises(SegmentationError, match="a: the truth is made of regions without classes"):
        observe_size_recall(small, LabelMap(small.ids), "a")
    with pytest.raises(ClassSpaceError, match="ground, car, boat against sea, car, boat"):
        observe_size_recall(small, labels(small.ids, other), "a")
    with pytest.raises(SettingsError, match="nothing was observed"):
        SizeRecallEvidence.concatenate([])
    with pytest.raises(SegmentationError, match=r"counts of shape \(1, 3, 3, 1\); \(1, 3, 3, 2\) fits"):
        SizeRecallEvidence(CLASSES, ("a",), np.zeros((1, 3, 3, 1), np.int64))
