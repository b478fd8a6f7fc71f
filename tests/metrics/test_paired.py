import itertools
import json

import numpy as np
import pytest

from intarsia.core import ClassSpace, LabelMap, SettingsError
from intarsia.metrics import METRICS, bootstrap, paired_test
from intarsia.metrics._evidence import RowEvidence
from intarsia.metrics.confusion import ConfusionEvidence, observe_confusion, score_confusion, score_tallies

CLASSES = ClassSpace.from_names(["a", "b", "nowhere"])


def evidence_of(images: int, accuracy: float, seed: int, *, keys: tuple[str, ...] | None = None) -> ConfusionEvidence:
    """Label maps of which a share is right; the same truth for every seed, some images harder than others."""
    rng, own = np.random.default_rng(0), np.random.default_rng(seed)
    rows = []
    for number in range(images):
        truth = rng.integers(0, 2, (8, 10 + number)).astype(np.uint8)
        right = own.random(truth.shape) < accuracy - 0.02 * (number % 5)
        key = keys[number] if keys else str(number)
        rows.append(observe_confusion(LabelMap(np.where(right, truth, 1 - truth), CLASSES), LabelMap(truth, CLASSES), key))
    return ConfusionEvidence.concatenate(rows)


def test_by_hand() -> None:
    """Three images, each better by 1, 2 and 4 of 10: only keeping and exchanging all give a difference as large, 2 of 8."""
    one = RowEvidence(("m",), ("a", "b", "c"), np.array([[9, 10], [8, 10], [9, 10]]))
    other = RowEvidence(("m",), ("a", "b", "c"), np.array([[8, 10], [6, 10], [5, 10]]))
    result = paired_test(one, other, lambda tallies: {"share": tallies[:, 0] / tallies[:, 1]})
    assert result.exact
    assert result.difference["share"] == pytest.approx(7 / 30)
    assert result.p_value["share"] == 2 / 8


def test_equals_a_loop_over_all_exchanges() -> None:
    one, other = evidence_of(7, 0.9, 1), evidence_of(7, 0.85, 2)
    observed = score_confusion(one).miou - score_confusion(other).miou
    as_large = []
    for swaps in itertools.product([False, True], repeat=7):
        counts = np.where(np.array(swaps)[:, None, None], other.counts, one.counts).sum(0, keepdims=True)
        rest = np.where(np.array(swaps)[:, None, None], one.counts, other.counts).sum(0, keepdims=True)
        sides = [score_confusion(ConfusionEvidence(CLASSES, ("x",), part, np.zeros(1, np.int64))).miou for part in (counts, rest)]
        as_large.append(abs(sides[0] - sides[1]) >= abs(observed) - 1e-12)
    result = paired_test(one, other, score_tallies)
    assert result.exact
    assert result.difference["miou"] == pytest.approx(observed)
    assert result.p_value["miou"] == np.mean(as_large)
    assert result.p_value["iou"].shape == (3,)
    assert np.isnan(result.p_value["iou"][2])


def test_a_sample_of_exchanges_is_near_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = evidence_of(12, 0.9, 1), evidence_of(12, 0.885, 2)
    exact, sampled = (paired_test(one, other, score_tallies, samples=samples) for samples in (4096, 4000))
    assert exact.exact
    assert not sampled.exact
    assert sampled.p_value["miou"] == pytest.approx(exact.p_value["miou"], abs=0.03)
    monkeypatch.setattr("intarsia.metrics._paired.CHUNK_VALUES", 500)
    assert paired_test(one, other, score_tallies, samples=4000).p_value["miou"] == sampled.p_value["miou"]


def test_equal_models_give_p_values_as_rare_as_they_say_and_a_better_one_a_small_one() -> None:
    rng = np.random.default_rng(0)
    share = {"share": 0}

    def p_of(gain: float) -> float:
        hard = rng.random(15)
        sides = [np.stack([rng.binomial(100, 0.5 + 0.4 * hard + by), np.full(15, 100)], 1) for by in (gain, 0)]
        keys = tuple(map(str, range(15)))
        one, other = (RowEvidence(("m",), keys, side) for side in sides)
        return float(paired_test(one, other, lambda t: dict.fromkeys(share, t[:, 0] / t[:, 1]), samples=200).p_value["share"])

    null = np.array([p_of(0.0) for _ in range(300)])
    assert 0.02 <= (null <= 0.05).mean() <= 0.09
    assert 0.4 <= null.mean() <= 0.6
    assert max(p_of(0.05) for _ in range(5)) < 0.05, "although the images differ far more than the models do"


def test_order_of_images_and_annotators_does_not_matter_and_sides_turn_the_sign() -> None:
    one, other = evidence_of(9, 0.9, 1), evidence_of(9, 0.8, 2)
    turned = np.arange(9)[::-1]
    reordered = ConfusionEvidence(CLASSES, tuple(other.keys[i] for i in turned), other.counts[turned], other.ignored[turned])
    result, again, back = (paired_test(*pair, score_tallies) for pair in ((one, other), (one, reordered), (other, one)))
    assert result.to_dict() == again.to_dict()
    assert back.difference["miou"] == -result.difference["miou"]
    assert back.p_value["miou"] == result.p_value["miou"] < 0.05
    low, high = result.intervals.of("miou")
    assert 0 < low < result.difference["miou"] < high
    both_twice = [ConfusionEvidence.concatenate([side, side]) for side in (one, other)]
    assert paired_test(*both_twice, score_tallies).p_value["miou"] == result.p_value["miou"]


def test_a_model_against_itself_and_a_single_image() -> None:
    one = evidence_of(5, 0.9, 1)
    same = paired_test(one, one, score_tallies)
    assert (same.difference["miou"], same.p_value["miou"]) == (0, 1)
    single = paired_test(evidence_of(1, 0.9, 1), evidence_of(1, 0.7, 2), score_tallies)
    assert single.p_value["miou"] == 1, "one image can prove nothing"
    assert "at least 2 images" in single.intervals.note
    assert json.loads(json.dumps(single.to_dict(), allow_nan=False))["p_value"]["iou"][2] is None


def test_the_same_test_serves_every_metric_of_pixels() -> None:
    """Intervals and paired test of each, from `score_tallies` alone."""
    rng = np.random.default_rng(5)
    images = [np.kron(rng.integers(0, 2, (4, 4)), np.ones((5, 5), np.uint8)).astype(np.uint8) for _ in range(6)]
    for name in (
        "boundary_iou",
        "boundary_f1",
        "per_image_miou",
        "region_overlap",
        "foreground_rand",
        "surface_distance",
        "pixel_error",
    ):
        module = METRICS.module(name)
        observe = getattr(module, f"observe_{name}")
        models = []
        for shift in (1, 2):
            rows = [
                observe(LabelMap(np.roll(ids, shift, 1), CLASSES), LabelMap(ids, CLASSES), str(i)) for i, ids in enumerate(images)
            ]
            models.append(type(rows[0]).concatenate(rows))
        scores = getattr(module, f"score_{name}")(models[0])
        result = paired_test(*models, module.score_tallies, samples=100)
        intervals = bootstrap(models[0], module.score_tallies, samples=100)
        for score, value in scores.values.items():
            other = getattr(module, f"score_{name}")(models[1]).values[score]
            np.testing.assert_allclose(result.difference[score], value - other, err_msg=score, atol=1e-12)
            assert intervals.bounds[score].shape == (2, *value.shape)
        assert min(np.nanmin(p) for p in result.p_value.values()) <= 0.05, name


def test_errors() -> None:
    one = evidence_of(3, 0.9, 1)
    with pytest.raises(SettingsError, match="only one of the two holds 2, x"):
        paired_test(one, evidence_of(3, 0.9, 1, keys=("0", "1", "x")), score_tallies)
    with pytest.raises(SettingsError, match=r"shapes \(3, 3, 3\) and \(3, 2\)"):
        paired_test(one, RowEvidence(("m",), one.keys, np.zeros((3, 2))), score_tallies)
    with pytest.raises(SettingsError, match="level is 2"):
        paired_test(one, one, score_tallies, level=2)
