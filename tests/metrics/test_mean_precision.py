import numpy as np
import pytest

from intarsia.core import ClassSpace, Instances, SegmentationError, SettingsError
from intarsia.data.formats.instance import read_instances
from intarsia.metrics import bootstrap
from intarsia.metrics.mean_precision import (
    THRESHOLDS,
    MeanPrecisionEvidence,
    observe_mean_precision,
    score_mean_precision,
    score_precisions,
)

CELL = ClassSpace.from_names(["cell"], things=["cell"])


def objects(ids: np.ndarray) -> Instances:
    return Instances.from_ids(ids, CELL, 0)


def boxes(*spans: tuple[int, int], height: int = 4, width: int = 60) -> Instances:
    ids = np.zeros((height, width), np.int32)
    for number, (start, end) in enumerate(spans, 1):
        ids[:, start:end] = number
    return objects(ids)


def test_by_hand() -> None:
    """One object hit with IoU 8/10 (counts up to 0.75), one missed with 1/3, and one truth without prediction."""
    truth, prediction = boxes((0, 10), (20, 30), (40, 50)), boxes((0, 8), (25, 35))
    evidence = observe_mean_precision(prediction, truth, "a")
    scores = score_mean_precision(evidence)
    assert scores.precision_at[0.5] == pytest.approx(1 / (1 + 1 + 2))
    assert scores.precision_at[0.75] == pytest.approx(1 / 4)
    assert scores.precision_at[0.8] == 0, "the IoU must be larger than the threshold"
    assert scores.mean_precision == pytest.approx(6 / 10 / 4)
    assert (scores.found, scores.invented, scores.missed, scores.rows) == (1, 1, 2, 1)


def slow(prediction: np.ndarray, truth: np.ndarray) -> float:
    """The usual formulation: full-size masks, one pair at a time."""
    masks = [[ids == number for number in np.unique(ids) if number] for ids in (prediction, truth)]
    total = 0.0
    for threshold in np.arange(0.5, 1.0, 0.05):
        hits = sum(any((p & t).sum() / (p | t).sum() > round(threshold, 2) for p in masks[0]) for t in masks[1])
        total += hits / (len(masks[0]) + len(masks[1]) - hits)
    return total / 10


def test_against_full_size_masks() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        truth = np.kron(rng.integers(0, 9, (6, 7)), np.ones((5, 5), np.int32))
        prediction = np.where(rng.random(truth.shape) < 0.1, 0, np.roll(truth, rng.integers(0, 2), 1))
        scores = score_mean_precision(observe_mean_precision(objects(prediction), objects(truth), "a"))
        assert scores.mean_precision == pytest.approx(slow(prediction, truth))


def test_perfect_and_empty_and_merging() -> None:
    truth, nothing = boxes((0, 10), (20, 30)), boxes()
    perfect, wrong = observe_mean_precision(truth, truth, "a"), observe_mean_precision(nothing, truth, "b")
    empty = observe_mean_precision(nothing, nothing, "c")
    assert [score_mean_precision(e).mean_precision for e in (perfect, wrong, empty)] == [1, 0, 1]
    together = MeanPrecisionEvidence.concatenate([perfect, wrong])
    assert score_mean_precision(together).mean_precision == 0.5
    assert score_mean_precision(perfect + wrong).to_dict() == score_mean_precision(together).to_dict()
    intervals = bootstrap(together, score_precisions, samples=200)
    assert intervals.of("mean_precision") == (0.0, 1.0)
    assert score_precisions(together.pooled[None])["mean_precision"] == pytest.approx([0.5])
    assert len(THRESHOLDS) == 10


def test_crowds_count_nowhere() -> None:
    plain = boxes((0, 10), (20, 40))
    truth = Instances(plain.masks, plain.class_id, CELL, is_crowd=np.array([False, True]))
    scores = score_mean_precision(observe_mean_precision(boxes((0, 10), (22, 38)), truth, "a"))
    assert (scores.mean_precision, scores.found, scores.invented, scores.missed) == (1, 1, 0, 0)


def test_the_truth_of_real_images_is_perfect_against_itself(shared_data) -> None:
    folder = shared_data("nuclei") / "instances" / "val"
    for path in sorted(folder.glob("*.png"))[:3]:
        truth = read_instances(path, CELL, 0)
        assert score_mean_precision(observe_mean_precision(truth, truth, path.stem)).mean_precision == 1


def test_errors() -> None:
    with pytest.raises(SegmentationError, match=r"different sizes: \(4, 60\) and \(4, 61\)"):
        observe_mean_precision(boxes(), boxes(width=61), "a")
    with pytest.raises(SettingsError, match="no evidence to merge"):
        MeanPrecisionEvidence.concatenate([])
