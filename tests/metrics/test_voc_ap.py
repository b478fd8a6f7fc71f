import json

import numpy as np
import pytest

from intarsia.core import ClassSpace, ClassSpaceError, InstanceMasks, Instances, SegmentationError
from intarsia.metrics import bootstrap
from intarsia.metrics.voc_ap import VocApEvidence, observe_voc_ap, score_voc_ap, voc_ap_of_draws

CLASSES = ClassSpace.from_names(["cat", "dog"])
SIZE = (4, 80)


def boxes(*spans: tuple[int, int], score=None, class_id=0, crowd=None, size=SIZE) -> Instances:
    masks = np.zeros((len(spans), *size), np.bool_)
    for mask, (start, end) in zip(masks, spans, strict=True):
        mask[:, start:end] = True
    score = None if score is None else np.array(score, np.float32)
    crowd = None if crowd is None else np.array(crowd)
    return Instances(InstanceMasks.pack(masks, size), np.full(len(spans), class_id), CLASSES, score, crowd)


def test_by_hand():
    """Of three truths one is found at once (IoU 0.6, so at 0.5 only), then comes a stranger, then one more (IoU 0.9)."""
    truth = boxes((0, 10), (20, 30), (40, 50))
    prediction = boxes((0, 6), (60, 70), (20, 29), score=[0.9, 0.8, 0.7])
    evidence = observe_voc_ap(prediction, truth, "a")
    scores = score_voc_ap(evidence)
    # at 0.5: precision 1 at recall 1/3, 2/3 at recall 2/3: recalls 0 ... 0.3 and 0.4 ... 0.6
    assert scores["map_50"] == pytest.approx((4 * 1 + 3 * 2 / 3) / 11)
    # at 0.7: precision 1/3 at recall 1/3
    assert scores["map_70"] == pytest.approx(4 * (1 / 3) / 11)
    area = score_voc_ap(evidence, "area")
    assert area["map_50"] == pytest.approx(1 / 3 + 1 / 3 * 2 / 3)
    assert area["map_70"] == pytest.approx(1 / 3 * 1 / 3)
    assert scores.of("truths_of_class", "cat") == 3
    assert np.isnan(scores.of("ap_50_of_class", "dog"))


def test_the_rules():
    truth = boxes((0, 10), (10, 20))
    duplicates = boxes((0, 10), (0, 9), (10, 20), score=[0.9, 0.8, 0.7])
    assert score_voc_ap(observe_voc_ap(duplicates, truth, "a"), "area")["map_50"] == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)
    at = boxes((0, 5), score=[1])
    assert score_voc_ap(observe_voc_ap(at, boxes((0, 10)), "a"))["map_50"] == 1, "an IoU at the threshold matches"
    crowd = boxes((0, 10), (20, 40), crowd=[False, True])
    on_it = boxes((20, 38), (20, 40), (0, 10), score=[0.9, 0.8, 0.7])
    assert score_voc_ap(observe_voc_ap(on_it, crowd, "a"))["map_50"] == 1, "what matches a crowd is not counted"
    dog = boxes((0, 10), class_id=1, score=[1])
    assert score_voc_ap(observe_voc_ap(dog, boxes((0, 10)), "a"))["map_50"] == 0


def slow(pairs, class_id: int, threshold: float) -> float:
    """The devkit's way: one list of all objects of a class, full-size masks, one object at a time."""
    found = [(-p.score[i], n, i) for n, (p, _) in enumerate(pairs) for i in np.flatnonzero(p.class_id == class_id)]
    truths = {n: [t.masks.mask(int(i)) for i in np.flatnonzero(t.class_id == class_id)] for n, (_, t) in enumerate(pairs)}
    total, taken, hits = sum(map(len, truths.values())), set(), []
    for _, n, i in sorted(found):
        mask = pairs[n][0].masks.mask(int(i))
        iou = [(mask & t).sum() / (mask | t).sum() for t in truths[n]]
        best = int(np.argmax(iou)) if iou else -1
        hits.append(bool(iou) and iou[best] >= threshold and (n, best) not in taken)
        if hits[-1]:
            taken.add((n, best))
    true = np.cumsum(hits)
    precision, recall = true / np.arange(1, len(hits) + 1), true / total
    return sum(max((p for p, r in zip(precision, recall, strict=True) if r >= k / 10), default=0) for k in range(11)) / 11


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(6):
        spans = [(int(s), int(s) + int(rng.integers(5, 20))) for s in rng.integers(0, 60, 5)]
        moved = [(max(0, s + int(d)), e + int(d)) for s, e in spans * 2 for d in rng.integers(-3, 4, 1)]
        truth, guess = boxes(*spans), boxes(*moved, score=rng.permutation(100)[: len(moved)] / 100)
        class_id = rng.integers(0, 2, 5)
        pairs.append(
            (
                Instances(guess.masks, np.tile(class_id, 2), CLASSES, guess.score),
                Instances(truth.masks, class_id, CLASSES),
            )
        )
    return pairs


def test_against_a_slow_loop_over_all_images(pairs):
    scores = score_voc_ap(VocApEvidence.concatenate([observe_voc_ap(p, t, str(n)) for n, (p, t) in enumerate(pairs)]))
    for class_id, name in enumerate(CLASSES.names):
        for threshold in (50, 70):
            assert scores.of(f"ap_{threshold}_of_class", name) == pytest.approx(slow(pairs, class_id, threshold / 100))
    assert scores["map_70"] < scores["map_50"] < 1


def test_draws_and_merging(pairs):
    parts = [observe_voc_ap(p, t, str(n)) for n, (p, t) in enumerate(pairs)]
    evidence = parts[0] + VocApEvidence.concatenate(parts[1:])
    times = np.array([[2, 0, 1, 0, 0, 3]])
    drawn = voc_ap_of_draws(evidence)(times)
    anew = score_voc_ap(VocApEvidence.concatenate([parts[n] for n in (0, 0, 2, 5, 5, 5)]))
    assert drawn["map_50"][0] == pytest.approx(anew["map_50"])
    assert drawn["truths_of_class"][0, 1] == anew.of("truths_of_class", "dog")
    low, high = bootstrap(evidence.draws, voc_ap_of_draws(evidence), samples=100).of("map_50")
    assert low < score_voc_ap(evidence)["map_50"] < high


def test_perfect_and_empty_and_json():
    truth, nothing = boxes((0, 10), (20, 30)), boxes()
    assert score_voc_ap(observe_voc_ap(truth, truth, "a"))["map_70"] == 1
    assert score_voc_ap(observe_voc_ap(nothing, truth, "a"))["map_50"] == 0
    plain = json.loads(json.dumps(score_voc_ap(observe_voc_ap(truth, nothing, "a")).to_dict(), allow_nan=False))
    assert plain["map_50"] is None


def test_errors():
    truth = boxes((0, 10))
    with pytest.raises(ClassSpaceError, match="x against cat, dog"):
        observe_voc_ap(Instances(truth.masks, truth.class_id, ClassSpace.from_names(["x"])), truth, "a")
    with pytest.raises(SegmentationError, match=r"a: the prediction is 4 x 81 pixels .* the truth 4 x 80"):
        observe_voc_ap(boxes((0, 10), size=(4, 81)), truth, "a")
