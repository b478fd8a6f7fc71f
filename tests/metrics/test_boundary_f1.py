import math

import numpy as np
import pytest
from scipy import ndimage

from intarsia.core import ClassSpace, LabelMap, SegmentationError, SettingsError
from intarsia.metrics import bootstrap
from intarsia.metrics.boundary_f1 import observe_boundary_f1, score_boundary_f1, score_tallies

CLASSES = ClassSpace.from_names(["ground", "car", "boat"])


def labels(ids) -> LabelMap:
    return LabelMap(np.asarray(ids, np.uint8), CLASSES)


def score(prediction, truth, **distance):
    return score_boundary_f1(observe_boundary_f1(labels(prediction), labels(truth), "a", **distance))


def blobs(seed: int, shape=(37, 53), side=7) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 3, (-(-shape[0] // side), -(-shape[1] // side)))
    return np.kron(coarse, np.ones((side, side), np.int64))[: shape[0], : shape[1]]


def outline(ids: np.ndarray, index: int, valid: np.ndarray) -> np.ndarray:
    """Pixels of a class with a valid pixel of another on one of four sides; the edge of the image is none."""
    mask = ids == index
    found = np.zeros_like(mask)
    for y, x in np.argwhere(mask & valid):
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= v < ids.shape[0] and 0 <= u < ids.shape[1] and valid[v, u] and not mask[v, u]:
                found[y, x] = True
    return found


def test_by_hand() -> None:
    """Two vertical borders, 3 columns apart, in 4 x 10: the right-hand class has 4 outline pixels on either side."""
    truth, prediction = np.zeros((2, 4, 10), np.uint8)
    truth[:, 3:] = 1
    prediction[:, 6:] = 1
    assert score(prediction, truth, distance_px=2.9).of("f1", "car") == 0
    assert score(prediction, truth, distance_px=3).of("f1", "car") == 1
    prediction[0, 6:] = 0  # now its outline is the column below, 3 pixels, and 3 more of the row 1
    scores = score(prediction, truth, distance_px=3)
    assert scores.of("precision", "car") == 3 / 6, "of (1..3, 6) and (1, 7..9) those at column 6 are near"
    assert scores.of("recall", "car") == 3 / 4, "(0, 3) is sqrt(10) away"
    assert scores.of("f1", "car") == pytest.approx(2 * 0.5 * 0.75 / 1.25)
    assert math.isnan(scores.of("f1", "boat"))


@pytest.mark.parametrize("distance", [0, 1, 1.5, 4])
def test_equals_distance_transforms_of_one_class_at_a_time(distance) -> None:
    truth = blobs(1)
    prediction = np.roll(truth, (2, 1), (0, 1))
    truth[10:15, 20:40] = 255
    valid = truth != 255
    scores = score(prediction, truth, distance_px=distance)
    for index, name in enumerate(CLASSES.names):
        lines = [outline(ids, index, valid) for ids in (prediction, truth)]
        far = [ndimage.distance_transform_edt(~line) for line in lines]
        precision, recall = ((far[1 - side][lines[side]] <= distance).mean() for side in range(2))
        assert scores.of("precision", name) == pytest.approx(precision)
        assert scores.of("recall", name) == pytest.approx(recall)
        assert scores.of("f1", name) == pytest.approx(2 * precision * recall / (precision + recall))


def test_sides_exchanged_exchange_precision_and_recall_and_wider_is_better() -> None:
    one = np.pad(blobs(2), 3)
    other = np.roll(one, 2, axis=0)
    scores, turned = score(one, other, distance_px=1.5), score(other, one, distance_px=1.5)
    np.testing.assert_array_equal(scores.values["precision"], turned.values["recall"])
    np.testing.assert_array_equal(scores.values["f1"], turned.values["f1"])
    assert score(one, other, distance_px=1)["mean_f1"] < scores["mean_f1"] < score(one, other, distance_px=2)["mean_f1"] == 1
    share = 2 / math.hypot(*one.shape)
    assert score(one, other, diagonal_share=share + 1e-9)["mean_f1"] == 1


def test_pooled_and_per_image_differ_and_merge() -> None:
    rows = []
    for number, (side, shift) in enumerate([(4, 0), (12, 3), (7, 1)]):
        truth = blobs(number, side=side)
        rows.append(observe_boundary_f1(labels(np.roll(truth, shift, 1)), labels(truth), str(number), distance_px=1))
    together = type(rows[0]).concatenate(rows)
    scores = score_boundary_f1(together)
    own = [score_boundary_f1(row)["mean_f1"] for row in rows]
    assert scores["mean_f1_per_image"] == pytest.approx(np.mean(own))
    assert abs(scores["mean_f1"] - scores["mean_f1_per_image"]) > 0.01
    low, high = bootstrap(together, score_tallies).of("mean_f1")
    assert low < scores["mean_f1"] < high == 1


def test_degenerate() -> None:
    flat, cut = np.zeros((5, 5)), np.zeros((5, 5))
    cut[2] = 1
    assert math.isnan(score(flat, flat)["mean_f1"]), "without any outline there is nothing to score"
    assert score(flat, cut).of("f1", "car") == 0
    assert score(cut, flat).of("f1", "car") == 0
    assert math.isnan(score(np.full((2, 2), 255), np.full((2, 2), 255))["mean_f1_per_image"])
    assert score([[0]], [[0]]).to_dict()["mean_f1"] is None


def test_errors() -> None:
    with pytest.raises(SegmentationError, match="a: the prediction is 1 x 1"):
        score([[0]], [[0, 1]])
    with pytest.raises(SettingsError, match="may be -1 pixels"):
        score([[0]], [[0]], distance_px=-1)
    with pytest.raises(SettingsError, match="or 2 of the diagonal"):
        score([[0]], [[0]], diagonal_share=2)
