import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from intarsia.core import ClassSpace, ClassSpaceError, InstanceMasks, Instances, SettingsError
from intarsia.metrics import bootstrap, paired_test
from intarsia.metrics.coco_ap import CocoApEvidence, coco_ap_of_draws, observe_coco_ap, score_coco_ap

CLASSES = ClassSpace.from_names(["cell", "dog", "ghost"])
SIZE = (130, 150)
SIZED = ("small", "medium", "large")
STATS = ["ap", "ap_50", "ap_75", *(f"ap_{s}" for s in SIZED), "ar_1", "ar_10", "ar_100", *(f"ar_{s}" for s in SIZED)]


def boxes(*spans: tuple[int, int], class_id=0, score=None) -> Instances:
    """Objects 10 pixels high from column to column."""
    masks = np.zeros((len(spans), *SIZE), np.bool_)
    for mask, (start, end) in zip(masks, spans, strict=True):
        mask[:10, start:end] = True
    score = None if score is None else np.array(score, np.float32)
    return Instances(InstanceMasks.pack(masks, SIZE), np.full(len(spans), class_id), CLASSES, score)


def test_by_hand():
    """Two truths. The best guess has IoU 0.9 and counts up to 0.9, a worse one IoU 0.6; one more is wrong and comes between."""
    truth = boxes((0, 10), (20, 30))
    prediction = boxes((0, 9), (50, 60), (20, 26), score=[0.9, 0.8, 0.7])
    scores = score_coco_ap(observe_coco_ap(prediction, truth, "a"))
    # At 0.5, 0.55 and 0.6 (matches at the threshold count): precision 1 up to recall 0.5 (51 points), 2/3 beyond.
    both, one = (51 + 50 * 2 / 3) / 101, 51 / 101
    assert scores["ap_50"] == pytest.approx(both)
    assert scores["ap_75"] == pytest.approx(one)
    assert scores["ap"] == pytest.approx((3 * both + 6 * one) / 10)
    assert scores["ar_1"] == pytest.approx(0.5 * 9 / 10)
    assert scores["ar_100"] == pytest.approx((3 * 1 + 6 * 0.5) / 10)
    assert scores["ap_small"] == scores["ap"]
    assert np.isnan(scores["ap_large"])
    assert np.isnan(scores.of("ap_of_class", "dog"))


@pytest.fixture(scope="module")
def pairs():
    """Predictions and truths of 10 images: shaken copies, strangers, many ties of score, crowds, objects of every size."""
    rng = np.random.default_rng(0)

    def rectangle() -> np.ndarray:
        mask = np.zeros(SIZE, np.bool_)
        y, x = rng.integers(0, SIZE[0] - 5), rng.integers(0, SIZE[1] - 5)
        mask[y : y + rng.integers(4, 125), x : x + rng.integers(4, 140)] = True
        return mask

    pairs = []
    for _ in range(10):
        true = [rectangle() for _ in range(6)]
        class_id = rng.integers(0, 2, 6)
        guess = [np.roll(mask, rng.integers(-3, 4, 2), (0, 1)) & (rng.random(SIZE) < rng.uniform(0.6, 1.2)) for mask in true * 2]
        guess += [rectangle() for _ in range(3)]
        guess_class = np.concatenate([class_id, class_id, rng.integers(0, 3, 3)])
        score = rng.integers(0, 20, len(guess)).astype(np.float32) / 20
        truth = Instances(InstanceMasks.pack(true, SIZE), class_id, CLASSES, is_crowd=rng.random(6) < 0.2)
        pairs.append((Instances(InstanceMasks.pack(guess, SIZE), guess_class, CLASSES, score), truth))
    return pairs


def evidence_of(pairs, shape="mask") -> CocoApEvidence:
    return CocoApEvidence.concatenate([observe_coco_ap(p, t, str(i), shape=shape) for i, (p, t) in enumerate(pairs)])


def pycocotools(pairs, kind: str) -> COCOeval:
    """The reference implementation, from masks that it encodes itself."""

    def described(side: Instances, index: int) -> dict:
        rle = coco_mask.encode(np.asfortranarray(side.masks.mask(index).astype(np.uint8)))
        return {"category_id": int(side.class_id[index]) + 1, "rle": rle, "bbox": coco_mask.toBbox(rle).tolist()}

    annotations, results = [], []
    for image_id, (prediction, truth) in enumerate(pairs, 1):
        for index in range(len(truth)):
            entry = described(truth, index)
            rle = entry.pop("rle")
            entry |= {"segmentation": rle, "area": float(coco_mask.area(rle)), "iscrowd": int(truth.is_crowd[index])}
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, **entry})
        for index in range(len(prediction)):
            entry = described(prediction, index)
            shown = {"segmentation": entry["rle"]} if kind == "segm" else {"bbox": entry["bbox"]}
            score = float(prediction.score[index])
            results.append({"image_id": image_id, "category_id": entry["category_id"], "score": score, **shown})
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": i, "height": SIZE[0], "width": SIZE[1]} for i in range(1, len(pairs) + 1)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(CLASSES.names, 1)],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluator = COCOeval(truth, truth.loadRes(results), kind)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator


@pytest.mark.parametrize(("shape", "kind"), [("mask", "segm"), ("box", "bbox")])
def test_as_pycocotools(pairs, shape, kind):
    reference = pycocotools(pairs, kind)
    scores = score_coco_ap(evidence_of(pairs, shape))
    expected = np.where(reference.stats < 0, np.nan, reference.stats)
    np.testing.assert_allclose([scores[name] for name in STATS], expected, rtol=0, atol=1e-12)
    assert np.isfinite(expected[[0, 3, 4, 5]]).all()
    precision = reference.eval["precision"]
    for index, name in enumerate(CLASSES.names[:2]):
        assert scores.of("ap_of_class", name) == pytest.approx(precision[:, :, index, 0, -1].mean(), abs=1e-12)
        assert scores.of("ap_small_of_class", name) == pytest.approx(precision[:, :, index, 1, -1].mean(), abs=1e-12)
        assert scores.of("ar_10_of_class", name) == pytest.approx(reference.eval["recall"][:, index, 0, 1].mean(), abs=1e-12)
    assert np.isnan(scores.of("ap_of_class", "ghost"))


def test_a_draw_equals_the_images_evaluated_anew(pairs):
    evidence = evidence_of(pairs)
    score = coco_ap_of_draws(evidence)
    times = np.zeros((2, len(pairs)))
    times[0, [2, 5]] = 2, 1
    times[1] = 1
    drawn = score(times)
    anew = score_coco_ap(evidence_of([pairs[2], pairs[2], pairs[5]]))
    assert drawn["ap"][0] == pytest.approx(anew["ap"], abs=1e-12)
    assert drawn["ar_100_of_class"][0, 1] == pytest.approx(anew.of("ar_100_of_class", "dog"), abs=1e-12)
    assert drawn["ap"][1] == pytest.approx(score_coco_ap(evidence)["ap"], abs=1e-12)
    intervals = bootstrap(evidence.draws, score, samples=30)
    low, high = intervals.of("ap")
    assert low < score_coco_ap(evidence)["ap"] < high
    twice = CocoApEvidence(evidence.about, ("a", "a", "b"), evidence.images[:3])
    assert bootstrap(twice.draws, coco_ap_of_draws(twice), samples=10).images == 2, "annotators of an image are drawn together"


def test_two_models_on_the_same_images(pairs):
    one = evidence_of(pairs)
    other = evidence_of([(truth, truth) for _, truth in pairs])
    both, ours, theirs = one.beside(other)
    done = paired_test(ours, theirs, coco_ap_of_draws(both), samples=40)
    assert done.difference["ap"] == pytest.approx(score_coco_ap(one)["ap"] - score_coco_ap(other)["ap"], abs=1e-12)
    assert done.p_value["ap"] < 0.1
    same, ours, theirs = one.beside(one)
    assert paired_test(ours, theirs, coco_ap_of_draws(same), samples=10).p_value["ap"] == 1


def test_perfect_and_empty_and_json():
    truth, nothing = boxes((0, 10), (20, 30)), boxes()
    assert score_coco_ap(observe_coco_ap(truth, truth, "a"))["ap"] == 1
    assert score_coco_ap(observe_coco_ap(nothing, truth, "a"))["ap"] == 0
    nobody = score_coco_ap(observe_coco_ap(truth, nothing, "a"))
    assert np.isnan(nobody["ap"])
    assert np.isnan(score_coco_ap(observe_coco_ap(nothing, nothing, "a"))["ar_100"])
    plain = json.loads(json.dumps(nobody.to_dict(), allow_nan=False))
    assert plain["ap"] is None
    assert plain["classes"][0]["ap_of_class"] is None


def test_errors():
    truth = boxes((0, 10))
    others = Instances(truth.masks, truth.class_id, ClassSpace.from_names(["x"]))
    with pytest.raises(ClassSpaceError, match="a: prediction and truth do not share their classes: x against cell, dog"):
        observe_coco_ap(others, truth, "a")
    with pytest.raises(SettingsError, match=r"box.* does not merge with .*mask"):
        observe_coco_ap(truth, truth, "a", shape="box") + observe_coco_ap(truth, truth, "b")
