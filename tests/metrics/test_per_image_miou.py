import math

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from intarsia.core import ClassSpace, LabelMap, SegmentationError
from intarsia.metrics import bootstrap
from intarsia.metrics.confusion import observe_confusion, score_confusion
from intarsia.metrics.per_image_miou import (
    PerImageMiouEvidence,
    observe_per_image_miou,
    per_image_miou_from_confusion,
    score_per_image_miou,
    score_tallies,
)

CLASSES = ClassSpace.from_names(["a", "b", "c"])


def labels(ids) -> LabelMap:
    return LabelMap(np.asarray(ids, np.uint8), CLASSES)


def pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2 + seed % 2, (9, 11))
    return np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, 2 + seed % 2, truth.shape)), truth


def test_by_hand() -> None:
    """A large object found by half, and a small one found whole: 1/2 and 1 per image, pooled 6/11."""
    large = observe_per_image_miou(labels([[0] * 5 + [1] * 5]), labels([[0] * 10]), "large")
    small = observe_per_image_miou(labels([[0]]), labels([[0]]), "small")
    scores = score_per_image_miou(large + small)
    assert scores.of("per_image_iou", "a") == (1 / 2 + 1) / 2
    assert scores.of("per_image_iou", "b") == 0
    assert math.isnan(scores.of("per_image_iou", "c"))
    assert scores["per_image_miou"] == ((1 / 2 + 0) / 2 + 1) / 2
    assert scores["per_image_class_miou"] == (3 / 4 + 0) / 2


def test_equals_sklearn_image_by_image() -> None:
    evidence = PerImageMiouEvidence.concatenate([observe_per_image_miou(*map(labels, pair(i)), str(i)) for i in range(6)])
    expected = [jaccard_score(truth.ravel(), prediction.ravel(), average="macro") for prediction, truth in map(pair, range(6))]
    assert score_per_image_miou(evidence)["per_image_miou"] == pytest.approx(np.mean(expected))
    low, high = bootstrap(evidence, score_tallies).of("per_image_miou")
    assert min(expected) <= low < np.mean(expected) < high <= max(expected)


def test_from_counted_confusion_and_of_one_image_it_is_the_pooled_one() -> None:
    prediction, truth = map(labels, pair(1))
    confusion = observe_confusion(prediction, truth, "a")
    evidence = per_image_miou_from_confusion(confusion)
    assert (evidence.tallies == observe_per_image_miou(prediction, truth, "a").tallies).all()
    scores = score_per_image_miou(evidence)
    assert scores["per_image_miou"] == scores["per_image_class_miou"] == score_confusion(confusion).miou


def test_an_image_without_truth_does_not_count() -> None:
    empty = observe_per_image_miou(labels([[0]]), labels([[255]]), "empty")
    assert math.isnan(score_per_image_miou(empty)["per_image_miou"])
    perfect = observe_per_image_miou(labels([[0]]), labels([[0]]), "a")
    assert score_per_image_miou(empty + perfect)["per_image_miou"] == 1


def test_errors() -> None:
    with pytest.raises(SegmentationError, match="a: the prediction is 1 x 1 pixels"):
        observe_per_image_miou(labels([[0]]), labels([[0, 0]]), "a")
