import json

import numpy as np
import pytest

from intarsia.core import ClassSpace, SettingsError
from intarsia.metrics import bootstrap
from intarsia.metrics.confusion import ConfusionEvidence, score_confusion, score_tallies

CLASSES = ClassSpace.from_names(["a", "b", "rare", "nowhere"])


def evidence_of(images: int, *, seed: int = 0, keys: tuple[str, ...] | None = None) -> ConfusionEvidence:
    """Images of very different size and difficulty; "rare" is in the first image only, "nowhere" in none."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 100, (images, 4, 5)) * rng.integers(1, 30, (images, 1, 1))
    counts[:, np.arange(2), np.arange(2)] *= rng.integers(1, 20, (images, 1))
    counts[1:, 2], counts[1:, :, 2] = 0, 0
    counts[:, 3], counts[:, :, 3] = 0, 0
    return ConfusionEvidence(CLASSES, keys or tuple(map(str, range(images))), counts, rng.integers(0, 9, images))


def test_two_images_by_hand() -> None:
    # Class a: image 0 is all right (10 pixels), image 1 all wrong (30). Drawing 00, 01, 10, 11 gives accuracy 1, 1/4, 1/4, 0.
    counts = np.zeros((2, 2, 3), np.int64)
    counts[0, 0, 0], counts[1, 0, 1] = 10, 30
    evidence = ConfusionEvidence(ClassSpace.from_names(["a", "b"]), ("0", "1"), counts, np.zeros(2, np.int64))
    intervals = bootstrap(evidence, score_tallies, samples=2000)
    assert intervals.of("pixel_accuracy") == (0, 1)
    middle = bootstrap(evidence, score_tallies, samples=2000, level=0.2)
    assert middle.of("pixel_accuracy") == (0.25, 0.25)


def test_equals_a_plain_loop_over_the_same_draws() -> None:
    evidence = evidence_of(12)
    times = np.random.default_rng(3).multinomial(12, np.full(12, 1 / 12), size=200)
    miou, iou = [], []
    for drawn in times:
        rows = np.repeat(np.arange(12), drawn)
        names = tuple(map(str, range(12)))
        resample = ConfusionEvidence(CLASSES, names, evidence.counts[rows], evidence.ignored[rows])
        miou.append(score_confusion(resample).miou)
        iou.append(score_confusion(resample).iou)
    intervals = bootstrap(evidence, score_tallies, samples=200, level=0.9, seed=3)
    np.testing.assert_allclose(intervals.of("miou"), np.quantile(miou, [0.05, 0.95]))
    rare = np.array(iou)[:, 2]
    assert 0 < np.isnan(rare).sum() < 200
    np.testing.assert_allclose(intervals.of("iou", 2), np.quantile(rare[~np.isnan(rare)], [0.05, 0.95]))
    assert np.isnan(intervals.of("iou", 3)).all()


def test_covers_the_true_score_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    classes = ClassSpace.from_names(["a", "b"])
    covered = 0
    for trial in range(200):
        right = rng.binomial(100, rng.beta(8, 2, 40))  # accuracy 0.8 on average
        counts = np.zeros((40, 2, 3), np.int64)
        counts[:, 0, 0], counts[:, 0, 1] = right, 100 - right
        evidence = ConfusionEvidence(classes, tuple(map(str, range(40))), counts, np.zeros(40, np.int64))
        low, high = bootstrap(evidence, score_tallies, samples=200, level=0.9, seed=trial).of("pixel_accuracy")
        covered += low <= 0.8 <= high
    assert 0.82 <= covered / 200 <= 0.96


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = evidence_of(9)
    whole = bootstrap(evidence, score_tallies, samples=50)
    monkeypatch.setattr("intarsia.metrics._bootstrap.CHUNK_VALUES", 7 * 12)
    parts = bootstrap(evidence, score_tallies, samples=50)
    assert whole.to_dict() == parts.to_dict()


def test_annotators_of_an_image_are_drawn_together() -> None:
    one = evidence_of(6)
    twice = ConfusionEvidence.concatenate([one, one])
    assert bootstrap(one, score_tallies).to_dict()["bounds"] == bootstrap(twice, score_tallies).to_dict()["bounds"]


def test_the_seed_decides_and_the_score_lies_between() -> None:
    evidence = evidence_of(30)
    first, again, other = (bootstrap(evidence, score_tallies, seed=seed) for seed in (0, 0, 1))
    assert first.to_dict() == again.to_dict() != other.to_dict()
    low, high = first.of("miou")
    assert low < score_confusion(evidence).miou < high
    wide = bootstrap(evidence, score_tallies, level=0.99).of("miou")
    assert wide[0] < low < high < wide[1]


def test_one_image_has_no_interval_and_says_why() -> None:
    intervals = bootstrap(evidence_of(1), score_tallies)
    assert np.isnan(intervals.of("miou")).all()
    assert np.isnan(intervals.bounds["iou"]).all()
    assert intervals.bounds["iou"].shape == (2, 4)
    assert "at least 2 images, and there is 1" in intervals.note
    assert json.loads(json.dumps(intervals.to_dict(), allow_nan=False))["bounds"]["iou"][0] == [None, None]


def test_errors() -> None:
    with pytest.raises(SettingsError, match="level is 95 and the number of samples 1000"):
        bootstrap(evidence_of(3), score_tallies, level=95)
