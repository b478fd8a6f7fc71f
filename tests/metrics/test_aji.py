import json

import numpy as np
import pytest

from intarsia.core import ClassSpace, InstanceMasks, Instances, SegmentationError
from intarsia.data.formats import read_instances
from intarsia.metrics import bootstrap
from intarsia.metrics.aji import AjiEvidence, observe_aji, score_aji, score_shares

CELL = ClassSpace.from_names(["cell"], things=["cell"])


def objects(ids: np.ndarray) -> Instances:
    return Instances.from_ids(ids, CELL, 0)


def boxes(*spans: tuple[int, int], width: int = 60) -> Instances:
    ids = np.zeros((2, width), np.int32)
    for number, (start, end) in enumerate(spans, 1):
        ids[:, start:end] = number
    return objects(ids)


def aji(prediction: Instances, truth: Instances) -> float:
    return score_aji(observe_aji(prediction, truth, "a"))["aji"]


def test_by_hand():
    """The first truth shares 8 of 11 columns, the second nothing, the third 5 of 10; a fourth object was invented."""
    truth = boxes((0, 10), (20, 24), (30, 40))
    prediction = boxes((2, 11), (30, 35), (50, 53))
    assert aji(prediction, truth) == pytest.approx((8 + 5) / (11 + 10 + 4 + 3))


def test_one_predicted_object_may_be_taken_twice():
    assert aji(boxes((0, 20)), boxes((0, 9), (10, 20))) == pytest.approx((9 + 10) / (20 + 20))


def slow(prediction: np.ndarray, truth: np.ndarray) -> float:
    """The paper's algorithm on full-size masks."""
    guesses = {n: prediction == n for n in np.unique(prediction) if n}
    shared, covered, used = 0, 0, set()
    for number in np.unique(truth):
        if number:
            mask = truth == number
            iou = {n: (mask & guess).sum() / (mask | guess).sum() for n, guess in guesses.items()}
            best = max(iou, key=lambda n: iou[n], default=0)
            if best and iou[best] > 0:
                shared += (mask & guesses[best]).sum()
                covered += (mask | guesses[best]).sum()
                used.add(best)
            else:
                covered += mask.sum()
    return shared / (covered + sum(guess.sum() for n, guess in guesses.items() if n not in used))


def test_against_full_size_masks():
    rng = np.random.default_rng(0)
    for _ in range(10):
        truth = np.kron(rng.integers(0, 9, (6, 7)), np.ones((5, 5), np.int32))
        prediction = np.where(rng.random(truth.shape) < 0.1, 0, np.roll(truth, rng.integers(0, 3), 1))
        prediction[prediction == 3] = 0
        assert aji(objects(prediction), objects(truth)) == pytest.approx(slow(prediction, truth))


def test_pooled_per_image_and_merging():
    truth, nothing = boxes((0, 10)), boxes()
    sides = ((truth, truth), (boxes((0, 4)), truth), (nothing, nothing))
    perfect, wrong, empty = (observe_aji(*pair, key) for pair, key in zip(sides, "abc", strict=True))
    scores = score_aji(AjiEvidence.concatenate([perfect, wrong, empty]))
    assert scores["aji"] == pytest.approx(14 / 20)
    assert scores["per_image_aji"] == pytest.approx((1 + 0.4) / 2), "an image without objects does not count"
    assert np.isnan(score_aji(empty)["aji"])
    assert json.loads(json.dumps(score_aji(empty).to_dict(), allow_nan=False))["per_image_aji"] is None
    assert bootstrap(perfect + wrong, score_shares, samples=200).of("per_image_aji") == pytest.approx((0.4, 1.0))
    assert aji(nothing, truth) == aji(truth, nothing) == 0


def test_crowds_count_nowhere():
    plain = boxes((0, 10), (20, 40))
    truth = Instances(plain.masks, plain.class_id, CELL, is_crowd=np.array([False, True]))
    on_it = boxes((0, 5), (22, 38))
    assert aji(on_it, truth) == pytest.approx(5 / 10)
    beside = boxes((0, 5), (32, 50))
    assert aji(beside, truth) == pytest.approx(5 / (10 + 18)), "less than half of it lies on the crowd"


def test_the_truth_of_real_images_is_perfect_against_itself(shared_data):
    folder = shared_data("nuclei") / "instances" / "val"
    for path in sorted(folder.glob("*.png"))[:3]:
        truth = read_instances(path, CELL, 0)
        assert aji(truth, truth) == 1


def test_an_empty_mask_is_no_object():
    truth = boxes((0, 10))
    masks = InstanceMasks.pack([np.zeros((2, 60), np.bool_), truth.masks.mask(0)], (2, 60))
    assert aji(Instances(masks, np.zeros(2, np.int32), CELL), truth) == 1


def test_errors():
    with pytest.raises(SegmentationError, match=r"different sizes: \(2, 60\) and \(2, 61\)"):
        observe_aji(boxes(), boxes(width=61), "a")
