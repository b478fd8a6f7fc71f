import math

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from intarsia.core import ClassSpace, LabelMap, SegmentationError, SettingsError
from intarsia.metrics import bootstrap
from intarsia.metrics.calibration_error import (
    CalibrationEvidence,
    observe_calibration_error,
    reliability,
    score_calibration_error,
    score_tallies,
)

CLASSES = ClassSpace.from_names(["a", "b", "c"])


def predicted(prob, classes=CLASSES) -> LabelMap:
    return LabelMap(prob.argmax(0).astype(np.uint8), classes, prob)


def truth_of(ids, classes=CLASSES) -> LabelMap:
    return LabelMap(np.asarray(ids, np.uint8), classes)


def noisy(seed: int, sharpness: float = 2.0, dtype: type = np.float32) -> tuple[LabelMap, LabelMap]:
    """Truth drawn from the probabilities, which are then sharpened: confidence is too high unless the sharpness is 1."""
    rng = np.random.default_rng(seed)
    prob = rng.dirichlet([1, 1, 2], (40, 50)).transpose(2, 0, 1)
    truth = (rng.random((40, 50)) > prob.cumsum(0)).sum(0)
    sharp = prob**sharpness
    return predicted((sharp / sharp.sum(0)).astype(dtype)), truth_of(truth)


def test_by_hand() -> None:
    """Two bins. Largest probabilities 0.8, 0.6, 1.0 (right, wrong, right) all lie above 0.5: |2 - 2.4| / 3."""
    two = ClassSpace.from_names(["a", "b"])
    first = np.array([[0.8, 0.4, 1.0]])
    evidence = observe_calibration_error(predicted(np.stack([first, 1 - first]), two), truth_of([[0, 0, 0]], two), "a", bins=2)
    scores = score_calibration_error(evidence)
    assert scores["ece"] == pytest.approx(0.4 / 3)
    assert scores["mce"] == pytest.approx(0.4 / 3)
    # Class a: the pixel at 0.4 is alone in the lower bin and right: 0.6; above |2 - 1.8|. Class b the other way round.
    assert scores.of("ece_of_class", "a") == pytest.approx((0.6 + 0.2) / 3)
    assert scores.of("ece_of_class", "b") == pytest.approx((0.2 + 0.6) / 3)
    assert scores["class_ece"] == pytest.approx(0.8 / 3)
    diagram = reliability(evidence)
    assert math.isnan(diagram.accuracy[0])
    assert diagram.confidence[1] == pytest.approx(0.8)
    assert diagram.accuracy[1] == 2 / 3
    assert diagram.pixels.tolist() == [0, 3]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_sklearns_calibration_curve(dtype) -> None:
    prediction, truth = noisy(0, dtype=dtype)
    evidence = observe_calibration_error(prediction, truth, "a", bins=10)
    confident = prediction.prob.max(0).ravel()
    columns = [*((prediction.prob[k].ravel(), truth.ids.ravel() == k) for k in range(3))]
    columns.append((confident, prediction.ids.ravel() == truth.ids.ravel()))
    for index, (prob, right) in enumerate(columns):
        accuracy, confidence = calibration_curve(right, prob, n_bins=10, strategy="uniform")
        diagram = reliability(evidence, index)
        filled = diagram.pixels > 0
        np.testing.assert_allclose(diagram.accuracy[filled], accuracy)
        np.testing.assert_allclose(diagram.confidence[filled], confidence, rtol=1e-6)
        ece = (diagram.pixels[filled] * np.abs(accuracy - confidence)).sum() / prob.size
        values = score_calibration_error(evidence).values
        assert (values["ece_of_class"][index] if index < 3 else values["ece"]) == pytest.approx(ece, rel=1e-5)


def test_honest_probabilities_are_calibrated_and_sharpened_ones_are_not() -> None:
    errors = [
        score_calibration_error(
            CalibrationEvidence.concatenate([observe_calibration_error(*noisy(i, sharp), str(i)) for i in range(10)])
        )
        for sharp in (1.0, 2.0, 4.0)
    ]
    assert errors[0]["ece"] < 0.015 < 0.05 < errors[1]["ece"] < errors[2]["ece"]
    assert errors[0]["class_ece"] < 0.015 < errors[1]["class_ece"] < errors[2]["class_ece"]


def test_tiles_add_up_and_intervals() -> None:
    prediction, truth = noisy(1)
    whole = observe_calibration_error(prediction, truth, "0")
    halves = [
        observe_calibration_error(LabelMap(prediction.ids[cut], CLASSES, prediction.prob[:, cut]), truth_of(truth.ids[cut]), "0")
        for cut in (slice(11), slice(11, None))
    ]
    np.testing.assert_allclose((halves[0] + halves[1]).pooled, whole.pooled)
    rows = CalibrationEvidence.concatenate([observe_calibration_error(*noisy(i, 1 + i / 4), str(i)) for i in range(5)])
    low, high = bootstrap(rows, score_tallies, samples=200).of("ece")
    assert low < score_calibration_error(rows)["ece"] < high


def test_degenerate() -> None:
    certain = np.zeros((3, 1, 2))
    certain[0] = 1
    perfect = score_calibration_error(observe_calibration_error(predicted(certain), truth_of([[0, 0]]), "a"))
    assert perfect["ece"] == perfect["mce"] == perfect["class_ece"] == 0
    assert score_calibration_error(observe_calibration_error(predicted(certain), truth_of([[1, 1]]), "a"))["ece"] == 1
    ignored = score_calibration_error(observe_calibration_error(predicted(certain), truth_of([[255, 255]]), "a"))
    assert math.isnan(ignored["ece"])
    assert math.isnan(ignored["mce"])
    assert ignored.to_dict()["classes"][0]["ece_of_class"] is None


def test_errors() -> None:
    prediction, truth = noisy(0)
    with pytest.raises(SegmentationError, match="a: the prediction has no probabilities"):
        observe_calibration_error(truth, truth, "a")
    with pytest.raises(SegmentationError, match=r"probabilities run from -2 to 5, outside \[0, 1\]. Are they logits"):
        observe_calibration_error(predicted(np.array([[[5.0]], [[-2.0]], [[0.0]]])), truth_of([[0]]), "a")
    with pytest.raises(SegmentationError, match="run from nan"):
        observe_calibration_error(LabelMap(truth.ids, CLASSES, np.full((3, 40, 50), np.nan)), truth, "a")
    with pytest.raises(SettingsError, match="There are 0 bins"):
        observe_calibration_error(prediction, truth, "a", bins=0)
