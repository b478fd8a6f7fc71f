import math

import cv2
import numpy as np
import pytest
from PIL import Image

from intarsia.core import ClassSpace, ClassSpaceError, LabelMap, SegmentationError, SettingsError
from intarsia.metrics import bootstrap
from intarsia.metrics.boundary_iou import (
    band_width,
    observe_boundary_iou,
    pairwise_boundary_iou,
    score_boundary_iou,
    score_tallies,
)
from intarsia.metrics.confusion import observe_confusion, score_confusion

CLASSES = ClassSpace.from_names(["ground", "car", "boat"])


def labels(ids, classes=CLASSES) -> LabelMap:
    return LabelMap(np.asarray(ids, np.uint8), classes)


def score(prediction, truth, **width):
    return score_boundary_iou(observe_boundary_iou(labels(prediction), labels(truth), "a", **width))


def eroded_away(mask: np.ndarray, width: int) -> np.ndarray:
    """The paper's construction, one mask at a time: pad with nothing, erode by 3 x 3, take what went."""
    padded = np.pad(mask, 1).astype(np.uint8)
    return mask & ~cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1].astype(bool)


def blobs(seed: int, shape=(37, 53), count=3, side=6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, count, (-(-shape[0] // side), -(-shape[1] // side)))
    return np.kron(coarse, np.ones((side, side), np.int64))[: shape[0], : shape[1]]


def test_by_hand() -> None:
    """A square of 6 x 6 in 10 x 10, predicted one column to the right; the band is one pixel wide, 20 pixels a square."""
    truth, prediction = np.zeros((2, 10, 10), np.uint8)
    truth[2:8, 2:8] = 1
    prediction[2:8, 3:9] = 1
    scores = score(prediction, truth, width_px=1)
    # Shared: top and bottom rows 5 + 5. The columns at 3 and 7 of one are inside the other, but for those ends.
    assert scores.of("boundary_iou", "car") == 10 / (20 + 20 - 10)
    # Ground: a frame of 36 border pixels and a ring of 28 around the square, which meets the frame in none of either.
    ring = 2 * 8 + 2 * 6
    assert score(truth, truth, width_px=1)["mean_boundary_iou"] == 1
    assert observe_boundary_iou(labels(truth), labels(truth), "a", width_px=1).pooled[1].tolist() == [36 + ring, 20, 0]
    assert math.isnan(scores.of("boundary_iou", "boat"))
    thick = score(prediction, truth, width_px=3)
    assert thick.of("boundary_iou", "car") == 30 / (36 + 36 - 30), "three pixels leave nothing inside: the mask IoU"


@pytest.mark.parametrize("width", [1, 2, 5, 60])
def test_equals_erosion_of_one_mask_at_a_time(width) -> None:
    truth, prediction = blobs(1), np.roll(blobs(1), 2, axis=1)
    scores = score(prediction, truth, width_px=width)
    for index, name in enumerate(CLASSES.names):
        one, other = eroded_away(prediction == index, width), eroded_away(truth == index, width)
        assert scores.of("boundary_iou", name) == pytest.approx((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_all_pairs_of_objects_equal_erosion_of_one_at_a_time(dtype) -> None:
    truth = blobs(2, count=9).astype(dtype)
    prediction = (np.roll(truth, 1, axis=0) * 70).astype(dtype)
    found = pairwise_boundary_iou(prediction, truth, np.array([140, 70, 999]), np.array([2, 1, 5]), 2)
    for row, one in enumerate([140, 70]):
        for column, other in enumerate([2, 1, 5]):
            p, t = eroded_away(prediction == one, 2), eroded_away(truth == other, 2)
            assert found[row, column] == pytest.approx((p & t).sum() / (p | t).sum())
    assert (found[2] == 0).all()


def test_a_wide_band_is_the_mask_and_a_good_inside_does_not_hide_a_bad_outline() -> None:
    truth, prediction = blobs(3, side=12), np.roll(blobs(3, side=12), 2, axis=1)
    pooled = score_confusion(observe_confusion(labels(prediction), labels(truth), "a"))
    assert score(prediction, truth, width_px=53)["mean_boundary_iou"] == pytest.approx(pooled.miou)
    assert score(prediction, truth, width_px=2)["mean_boundary_iou"] < pooled.miou - 0.1


def test_ignored_pixels_count_nowhere_and_make_no_outline() -> None:
    truth, prediction = np.zeros((2, 12, 12), np.uint8)
    truth[:, 6:] = 1
    prediction[:, 6:] = 1
    truth[:, 5:7] = 255
    prediction[:, 5:7] = 2
    evidence = observe_boundary_iou(labels(prediction), labels(truth), "a", width_px=1)
    frame = 5 + 5 + 10  # the border of the image: of the 12 x 5 pixels left of either class, two rows and a column between
    assert evidence.pooled.tolist() == [[frame, frame, 0]] * 3
    assert score_boundary_iou(evidence)["mean_boundary_iou"] == 1
    nothing = observe_boundary_iou(labels(np.full((4, 4), 255)), labels(np.full((4, 4), 255)), "a")
    assert math.isnan(score_boundary_iou(nothing)["mean_boundary_iou"])
    void = score(np.full((4, 4), 255), np.zeros((4, 4)))
    assert void.of("boundary_iou", "ground") == 0


def test_width_of_the_band() -> None:
    assert band_width((480, 640)) == 16, "2 % of 800"
    assert band_width((1024, 2048), diagonal_share=0.005) == 11
    assert band_width((3, 4)) == 1
    assert band_width((480, 640), width_px=7) == 7


def test_merging_and_intervals() -> None:
    rows = [observe_boundary_iou(labels(np.roll(blobs(i), 1, 1)), labels(blobs(i)), str(i), width_px=2) for i in range(5)]
    together = type(rows[0]).concatenate(rows)
    assert (together.pooled == sum(row.pooled for row in rows)).all()
    scores = score_boundary_iou(together)
    low, high = bootstrap(together, score_tallies).of("mean_boundary_iou")
    assert low < scores["mean_boundary_iou"] < high
    assert scores.to_dict()["classes"][1]["boundary_iou"] == scores.of("boundary_iou", "car")
    with pytest.raises(SettingsError, match="does not merge"):
        rows[0] + observe_boundary_iou(labels(blobs(1)), labels(blobs(1)), "x", width_px=3)


def test_real_masks(shared_data) -> None:
    path = sorted((shared_data("camvid") / "masks" / "val").glob("*.png"))[0]
    ids = np.array(Image.open(path))
    road = ClassSpace.from_names([f"c{i}" for i in range(11)], ignore_id=11)
    shifted = np.where(np.roll(ids, 1, axis=1) == 11, 0, np.roll(ids, 1, axis=1))
    evidence = observe_boundary_iou(LabelMap(shifted, road), LabelMap(ids, road), "a")
    scores, pooled = (
        score_boundary_iou(evidence),
        score_confusion(observe_confusion(LabelMap(shifted, road), LabelMap(ids, road), "a")),
    )
    assert 0.3 < scores["mean_boundary_iou"] < pooled.miou
    assert score_boundary_iou(observe_boundary_iou(LabelMap(ids, road), LabelMap(ids, road), "a"))["mean_boundary_iou"] == 1


def test_errors() -> None:
    with pytest.raises(SegmentationError, match=r"a: the prediction is 2 x 3 pixels \(height x width\) and the truth 3 x 2"):
        score(np.zeros((2, 3)), np.zeros((3, 2)))
    with pytest.raises(SegmentationError, match="the truth is made of regions"):
        observe_boundary_iou(labels([[0]]), LabelMap(np.zeros((1, 1), np.uint8)), "a")
    with pytest.raises(ClassSpaceError, match="ground, car, boat against c0"):
        observe_boundary_iou(labels([[0]]), labels([[0]], ClassSpace.from_names(["c0"])), "a")
    with pytest.raises(SettingsError, match="boundary is 0 pixels wide"):
        score([[0]], [[0]], width_px=0)
    with pytest.raises(SettingsError, match="boundary is 5 of the diagonal wide"):
        score([[0]], [[0]], diagonal_share=5)
    with pytest.raises(SegmentationError, match="listed twice"):
        pairwise_boundary_iou(np.zeros((2, 2), int), np.zeros((2, 2), int), np.array([1, 1]), np.array([1]), 1)
