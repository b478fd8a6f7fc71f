import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, confusion_matrix, f1_score, jaccard_score

from intarsia.core import ClassSpace, ClassSpaceError, LabelMap, SegmentationError, SettingsError
from intarsia.metrics import _count
from intarsia.metrics.confusion import ConfusionEvidence, observe_confusion, score_confusion


def space(count: int, ignore_id: int = 255) -> ClassSpace:
    return ClassSpace.from_names([f"c{i}" for i in range(count)], ignore_id=ignore_id)


def random_maps(shape: tuple[int, int], count: int, *, seed: int = 0, blob: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction in blobs of a side, mostly equal, both with void pixels (255)."""
    rng = np.random.default_rng(seed)
    coarse = (-(-shape[0] // blob), -(-shape[1] // blob))
    truth = rng.integers(0, count, coarse).astype(np.uint8)
    prediction = np.where(rng.random(coarse) < 0.7, truth, rng.integers(0, count, coarse)).astype(np.uint8)
    truth[rng.random(coarse) < 0.1] = 255
    prediction[rng.random(coarse) < 0.05] = 255
    cut = np.s_[: shape[0], : shape[1]]
    return tuple(m.repeat(blob, 0).repeat(blob, 1)[cut].copy() for m in (truth, prediction))


def slow_count(truth: np.ndarray, prediction: np.ndarray, count: int) -> tuple[np.ndarray, int]:
    counts, ignored = np.zeros((count, count + 1), np.int64), 0
    for t, p in zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if t == 255:
            ignored += 1
        else:
            counts[t, count if p == 255 else p] += 1
    return counts, ignored


def test_scores_by_hand() -> None:
    # Truth   a a a b | b b . .     Prediction  a a b b | b x a b      . ignored, x left void; class c is nowhere.
    classes = ClassSpace.from_names(["a", "b", "c"])
    truth = LabelMap(np.array([[0, 0, 0, 1], [1, 1, 255, 255]], np.uint8), classes)
    prediction = LabelMap(np.array([[0, 0, 1, 1], [1, 255, 0, 1]], np.uint8), classes)
    evidence = observe_confusion(prediction, truth, "image")
    assert evidence.counts.tolist() == [[[2, 1, 0, 0], [0, 2, 0, 1], [0, 0, 0, 0]]]
    assert evidence.ignored.tolist() == [2]
    scores = score_confusion(evidence)
    assert scores.iou[:2].tolist() == [2 / 3, 2 / 4]  # a: 2 / (3 + 2 - 2), b: 2 / (3 + 3 - 2)
    assert np.isnan([scores.iou[2], scores.f1[2], scores.precision[2], scores.recall[2]]).all()
    assert scores.miou == pytest.approx((2 / 3 + 2 / 4) / 2)
    assert scores.fwiou == pytest.approx(0.5 * 2 / 3 + 0.5 * 2 / 4)
    assert scores.pixel_accuracy == pytest.approx(4 / 6)
    assert scores.mean_accuracy == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert scores.precision[:2].tolist() == [1, 2 / 3]
    assert scores.recall[:2].tolist() == [2 / 3, 2 / 3]
    assert scores.f1[:2].tolist() == [4 / 5, 4 / 6]
    assert scores.mean_f1 == pytest.approx((4 / 5 + 4 / 6) / 2)
    # Chance: 3/6 of the pixels are a and 2/6 are taken for a; 3/6 are b and 3/6 taken for b.
    chance = 1 / 2 * 2 / 6 + 1 / 2 * 3 / 6
    assert scores.kappa == pytest.approx((4 / 6 - chance) / (1 - chance))
    assert scores.share_scored == 6 / 8
    assert scores.truth_pixels.tolist() == [3, 3, 0]


def test_a_class_only_predicted_has_iou_0_and_one_nowhere_has_none() -> None:
    classes = space(3)
    truth = LabelMap(np.zeros((1, 4), np.uint8), classes)
    scores = score_confusion(observe_confusion(LabelMap(np.array([[0, 0, 0, 1]], np.uint8), classes), truth, "image"))
    assert scores.iou[:2].tolist() == [3 / 4, 0]
    assert math.isnan(scores.iou[2])
    assert scores.miou == pytest.approx(3 / 8)
    assert math.isnan(scores.recall[1])
    assert scores.precision[1] == 0


@pytest.mark.parametrize("blob", [1, 7, 40])
@pytest.mark.parametrize("shape", [(37, 53), (1, 1), (1, 17), (5, 16)])
def test_counts_equal_a_slow_loop(shape: tuple[int, int], blob: int) -> None:
    truth, prediction = random_maps(shape, 19, blob=blob)
    counts, ignored = slow_count(truth, prediction, 19)
    evidence = observe_confusion(LabelMap(prediction, space(19)), LabelMap(truth, space(19)), "image")
    assert np.array_equal(evidence.counts[0], counts)
    assert evidence.ignored[0] == ignored


def test_counts_and_scores_equal_sklearn() -> None:
    truth, prediction = random_maps((90, 110), 6, blob=3)
    prediction[prediction == 255] = 0
    scores = score_confusion(evidence := observe_confusion(LabelMap(prediction, space(6)), LabelMap(truth, space(6)), "image"))
    valid, labels = truth != 255, range(6)
    assert np.array_equal(evidence.pooled[:, :-1], confusion_matrix(truth[valid], prediction[valid], labels=labels))
    np.testing.assert_allclose(scores.iou, jaccard_score(truth[valid], prediction[valid], labels=labels, average=None))
    np.testing.assert_allclose(scores.f1, f1_score(truth[valid], prediction[valid], labels=labels, average=None))
    assert scores.kappa == pytest.approx(cohen_kappa_score(truth[valid], prediction[valid]))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
@pytest.mark.parametrize("view", [np.s_[:, :], np.s_[::-1, ::-1], np.s_[3:40, 5:61], np.s_[::2, 1::3]])
def test_any_dtype_and_any_strides_count_alike(dtype: type, view: tuple[slice, slice]) -> None:
    truth, prediction = random_maps((48, 67), 19, blob=4)
    counts, ignored = slow_count(truth[view], prediction[view], 19)
    other = LabelMap(prediction.astype(dtype)[view], space(19))
    evidence = observe_confusion(other, LabelMap(truth[view], space(19)), "image")
    assert np.array_equal(evidence.counts[0], counts)
    assert evidence.ignored[0] == ignored


@pytest.mark.parametrize("dtypes", [(np.uint8, np.uint8), (np.uint8, np.uint16)])
def test_noise_beside_smooth_parts_and_long_maps(monkeypatch: pytest.MonkeyPatch, dtypes: tuple[type, type]) -> None:
    """Runs of one pixel, of a few and of thousands in one map, so that each way of counting takes over from the other."""
    rng = np.random.default_rng(5)
    stretches = [rng.integers(0, 19, n).repeat(r) for n, r in ((9000, 1), (600, 9), (3, 3000), (4100, 1), (40, 70), (777, 2))]
    truth, prediction = (np.concatenate(stretches)[: 161 * 167].reshape(161, 167).astype(dtype) for dtype in dtypes)
    prediction[rng.random(truth.shape) < 0.02] = 3
    truth[50:60] = prediction[100:103, 20:90] = 255
    monkeypatch.setattr(_count, "STRIP", 1000)
    for view in (np.s_[:, :], np.s_[::-1, 1:], np.s_[:1, :63], np.s_[:1, :64], np.s_[:1, :65]):
        counts, ignored = slow_count(truth[view], prediction[view], 19)
        evidence = observe_confusion(LabelMap(prediction[view], space(19)), LabelMap(truth[view], space(19)), "image")
        assert np.array_equal(evidence.counts[0], counts)
        assert evidence.ignored[0] == ignored


def test_read_only_and_unaligned_maps() -> None:
    truth, prediction = random_maps((16, 24), 5)
    counts, _ = slow_count(truth, prediction, 5)
    frozen = np.frombuffer(truth.tobytes(), np.uint8).reshape(16, 24)
    shifted = np.frombuffer(b"x" + prediction.tobytes(), np.uint8, offset=1).reshape(16, 24)
    assert not frozen.flags.writeable
    for map_of_prediction in (prediction, shifted):
        evidence = observe_confusion(LabelMap(map_of_prediction, space(5)), LabelMap(frozen, space(5)), "image")
        assert np.array_equal(evidence.counts[0], counts)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_threads_count_as_one_does(monkeypatch: pytest.MonkeyPatch, dtype: type) -> None:
    truth, prediction = (m.astype(dtype) for m in random_maps((33, 41), 19, blob=3))
    alone = _count.count_pairs(truth, prediction, 19, 255, 255)
    monkeypatch.setattr(_count, "PIXELS_PER_PIECE", 100)
    monkeypatch.setattr(_count, "THREADS", 3)
    assert np.array_equal(_count.count_pairs(truth, prediction, 19, 255, 255), alone)


def test_more_classes_than_a_byte_holds_and_two_ignore_ids() -> None:
    truth = np.array([[0, 299, 65535, 256]], np.uint16)
    prediction = np.array([[0, 299, 256, 400]], np.int32)
    evidence = observe_confusion(LabelMap(prediction, space(300, 400)), LabelMap(truth, space(300, 65535)), "image")
    assert {tuple(pair) for pair in np.argwhere(evidence.counts[0]).tolist()} == {(0, 0), (299, 299), (256, 300)}
    assert evidence.ignored.tolist() == [1]
    small = observe_confusion(
        LabelMap(np.full((1, 4), 255, np.uint8), space(300, 400)), LabelMap(truth, space(300, 65535)), "image"
    )
    assert small.counts[0, :, 255].sum() == 3


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_properties(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 5))
    height, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 40))
    ids = st.lists(st.sampled_from([*range(count), 255]), min_size=height * width, max_size=height * width)
    truth, prediction = (LabelMap(np.array(data.draw(ids), np.uint8).reshape(height, width), space(count)) for _ in range(2))
    evidence = observe_confusion(prediction, truth, "image")
    assert evidence.counts.sum() + evidence.ignored.sum() == height * width
    assert np.array_equal(evidence.counts, slow_count(truth.ids, prediction.ids, count)[0][None])
    scores = score_confusion(evidence)
    for values in (scores.iou, scores.f1, scores.precision, scores.recall):
        assert ((values >= 0) & (values <= 1) | np.isnan(values)).all()
    itself = score_confusion(observe_confusion(truth, truth, "image"))
    assert np.isnan(itself.miou) or itself.miou == itself.pixel_accuracy == itself.fwiou == 1


def test_kappa_of_chance_is_0_and_of_one_class_undefined() -> None:
    truth, prediction = (LabelMap(np.array([row], np.uint8), space(2)) for row in ([0, 0, 1, 1], [0, 1, 0, 1]))
    assert score_confusion(observe_confusion(prediction, truth, "image")).kappa == 0
    same = LabelMap(np.zeros((2, 2), np.uint8), space(2))
    assert math.isnan(score_confusion(observe_confusion(same, same, "image")).kappa)


def test_merging_is_concatenation_and_tiles_add_up_to_the_image() -> None:
    truth, prediction = random_maps((40, 60), 7, blob=5)

    def observe(part: tuple[slice, slice], key: str) -> ConfusionEvidence:
        return observe_confusion(LabelMap(prediction[part], space(7)), LabelMap(truth[part], space(7)), key)

    whole = observe(np.s_[:, :], "image")
    top, bottom = observe(np.s_[:25], "image"), observe(np.s_[25:], "image")
    other = observe(np.s_[:3], "other")
    merged = top + other + bottom
    assert merged.keys == ("image", "other", "image")
    assert np.array_equal(merged.counts, np.concatenate([top.counts, other.counts, bottom.counts]))
    assert np.array_equal(merged.counts, ConfusionEvidence.concatenate([top, other, bottom]).counts)
    by_key = merged.by_key()
    assert by_key.keys == ("image", "other")
    assert np.array_equal(by_key.counts[0], whole.counts[0])
    assert by_key.ignored.tolist() == [whole.ignored[0], other.ignored[0]]
    assert score_confusion(top + bottom).to_dict() == {**score_confusion(whole).to_dict(), "rows": 2}


def test_all_ignored_scores_nothing_and_is_null_in_json() -> None:
    nothing = LabelMap(np.full((4, 4), 255, np.uint8), space(2))
    scores = score_confusion(observe_confusion(nothing, nothing, "image"))
    assert math.isnan(scores.miou)
    assert scores.share_scored == 0
    plain = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert plain["miou"] is None
    assert plain["classes"][1] == {"name": "c1", "iou": None, "f1": None, "precision": None, "recall": None, "truth_pixels": 0}


def test_an_image_without_pixels_counts_nothing() -> None:
    empty = LabelMap(np.zeros((0, 5), np.uint8), space(2))
    evidence = observe_confusion(empty, empty, "image")
    assert evidence.counts.sum() == 0
    assert math.isnan(score_confusion(evidence).share_scored)


def test_errors() -> None:
    ids = np.zeros((4, 6), np.uint8)
    map_of_2 = LabelMap(ids, space(2))
    with pytest.raises(SegmentationError, match=r"val/7: the prediction is 4 x 5 pixels .* and the truth 4 x 6"):
        observe_confusion(LabelMap(ids[:, :5], space(2)), map_of_2, "val/7")
    with pytest.raises(ClassSpaceError, match=r"val/7: .*: c0, c1, c2 against c0, c1"):
        observe_confusion(LabelMap(ids, space(3)), map_of_2, "val/7")
    with pytest.raises(SegmentationError, match="val/7: the prediction is made of regions"):
        observe_confusion(LabelMap(ids), map_of_2, "val/7")
    with pytest.raises(ClassSpaceError, match="does not merge: c0, c1, c2 against c0, c1"):
        observe_confusion(map_of_2, map_of_2, "a") + observe_confusion(LabelMap(ids, space(3)), LabelMap(ids, space(3)), "b")
    with pytest.raises(SettingsError, match="nothing was observed"):
        ConfusionEvidence.concatenate([])
    with pytest.raises(SegmentationError, match=r"counts of shape \(1, 2, 2\)"):
        ConfusionEvidence(space(2), ("a",), np.zeros((1, 2, 2), np.int64), np.zeros(1, np.int64))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_ids_written_after_the_check_are_named(dtype: type) -> None:
    ids = np.zeros((10, 10), dtype)
    changed = LabelMap(ids, space(2))
    ids[0, 0] = 37
    with pytest.raises(
        SegmentationError, match=r"val/7: the prediction holds \[37\] \(1\.00% of pixels\), outside the ids 0\.\.1"
    ):
        observe_confusion(changed, LabelMap(np.zeros((10, 10), np.uint8), space(2)), "val/7")
    ids[0, 0] = 2**32 if dtype is np.int64 else 200
    with pytest.raises(SegmentationError, match=r"the truth holds \[(4294967296|200)\]"):
        observe_confusion(LabelMap(np.zeros((10, 10), np.uint8), space(2)), changed, "val/7")


def test_numba_and_torch_stay_out_until_the_first_count() -> None:
    code = (
        "import sys, intarsia.metrics; from intarsia.metrics import METRICS; METRICS.load('confusion');"
        "sys.exit('numba' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
