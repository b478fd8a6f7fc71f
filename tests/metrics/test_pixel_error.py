import math

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_curve

from intarsia.core import ClassSpace, ClassSpaceError, LabelMap, SegmentationError
from intarsia.metrics import bootstrap
from intarsia.metrics.pixel_error import PixelErrorEvidence, observe_pixel_error, score_pixel_error, score_tallies

EM = ClassSpace.from_names(["membrane", "cell"])


def truth_of(ids) -> LabelMap:
    return LabelMap(np.asarray(ids, np.uint8), EM)


def predicted(prob) -> LabelMap:
    cell = np.atleast_2d(np.asarray(prob, np.float64))
    return LabelMap((cell >= 0.5).astype(np.uint8), EM, np.stack([1 - cell, cell]))


def noisy(seed: int) -> tuple[LabelMap, LabelMap]:
    rng = np.random.default_rng(seed)
    truth = (rng.random((20, 25)) < 0.7).astype(np.uint8)
    return predicted(np.round(np.clip(0.25 + 0.3 * truth + 0.25 * rng.standard_normal(truth.shape), 0, 1), 2)), truth_of(truth)


def test_by_hand() -> None:
    """At 0.3 all three cells are found and one pixel of membrane: F = 6 / 7. At 0.5 two cells and none: 4 / 5. At 0.9: 2 / 4."""
    scores = score_pixel_error(observe_pixel_error(predicted([0.9, 0.6, 0.3, 0.3, 0.1]), truth_of([[1, 1, 1, 0, 0]]), "a"))
    assert scores["pixel_error"] == pytest.approx(1 - 6 / 7)
    assert 0.1 < scores["threshold"] <= 0.3
    assert scores["share_wrong"] == 1 / 5


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_best_f_score_of_sklearn(seed) -> None:
    prediction, truth = noisy(seed)
    precision, recall, _ = precision_recall_curve(truth.ids.ravel(), prediction.prob[1].ravel())
    scores = score_pixel_error(observe_pixel_error(prediction, truth, "a"))
    assert scores["pixel_error"] == pytest.approx(1 - np.max(2 * precision * recall / (precision + recall)))
    at = prediction.prob[1] >= scores["threshold"]
    assert scores["pixel_error"] == pytest.approx(1 - f1_score(truth.ids.ravel(), at.ravel()))
    assert scores["share_wrong"] == (prediction.ids != truth.ids).mean()


def test_without_probabilities_it_is_the_f_score_of_the_decision() -> None:
    prediction, truth = noisy(3)
    decided = score_pixel_error(observe_pixel_error(LabelMap(prediction.ids, EM), truth, "a"))
    assert decided["pixel_error"] <= 1 - f1_score(truth.ids.ravel(), prediction.ids.ravel()) + 1e-12
    assert decided["pixel_error"] >= score_pixel_error(observe_pixel_error(prediction, truth, "a"))["pixel_error"]
    assert score_pixel_error(observe_pixel_error(truth, truth, "a"))["pixel_error"] == 0


def test_tiles_add_up_and_intervals() -> None:
    rows = [observe_pixel_error(*noisy(i), str(i)) for i in range(6)]
    together = PixelErrorEvidence.concatenate(rows)
    low, high = bootstrap(together, score_tallies).of("pixel_error")
    assert low < score_pixel_error(together)["pixel_error"] < high
    prediction, truth = noisy(0)
    halves = [
        observe_pixel_error(LabelMap(prediction.ids[cut], EM, prediction.prob[:, cut]), LabelMap(truth.ids[cut], EM), "0")
        for cut in (slice(8), slice(8, None))
    ]
    assert ((halves[0] + halves[1]).pooled == rows[0].pooled).all()


def test_foreground_is_chosen_and_ignored_pixels_do_not_count() -> None:
    prediction, truth = predicted([0.9, 0.2, 0.4]), truth_of([[1, 0, 255]])
    for foreground in (0, 1):
        scores = score_pixel_error(observe_pixel_error(prediction, truth, "a", foreground=foreground))
        assert scores["pixel_error"] == scores["share_wrong"] == 0
    assert math.isnan(score_pixel_error(observe_pixel_error(prediction, truth_of([[255, 255, 255]]), "a"))["pixel_error"])
    assert math.isnan(score_pixel_error(observe_pixel_error(prediction, truth_of([[0, 0, 0]]), "a"))["pixel_error"])


def test_errors() -> None:
    with pytest.raises(SegmentationError, match="a: the prediction is 1 x 1 pixels"):
        observe_pixel_error(predicted([0.5]), truth_of([[0, 1]]), "a")
    with pytest.raises(ClassSpaceError, match=r"foreground is class 2; the 2 classes are 0\.\.1"):
        observe_pixel_error(predicted([0.5]), truth_of([[0]]), "a", foreground=2)
    with pytest.raises(SegmentationError, match="probabilities run from -3 to 4, outside"):
        observe_pixel_error(predicted([4.0]), truth_of([[0]]), "a")
