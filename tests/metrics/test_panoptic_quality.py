import json
from collections import Counter
from functools import partial
from threading import Event

import numpy as np
import pytest

from intarsia.core import ClassSpace, ClassSpaceError, Panoptic, Segment, SegmentationClass, SegmentationError, SettingsError
from intarsia.data.formats import read_mask_values
from intarsia.metrics import _count, _count_segments, bootstrap
from intarsia.metrics.panoptic_quality import (
    PanopticEvidence,
    observe_panoptic_consistency,
    observe_panoptic_quality,
    score_panoptic_quality,
    score_qualities,
)

CLASSES = ClassSpace.from_names(["sky", "road", "car", "dog"], things=["car", "dog"])
SKY, ROAD, CAR, DOG = range(4)


def row(*spans: tuple[int, int], crowds: tuple[int, ...] = ()) -> Panoptic:
    """Segments side by side in one row, each (class or -1 for void, pixels)."""
    ids, segments, number = [], [], 0
    for class_id, pixels in spans:
        number += class_id >= 0
        ids += [number if class_id >= 0 else 0] * pixels
        if class_id >= 0:
            segments.append(Segment(number, class_id, is_crowd=number in crowds))
    return Panoptic(np.array([ids], np.int32), tuple(segments), CLASSES)


def counts(evidence: PanopticEvidence, class_id: int) -> list[float]:
    return evidence.pooled[class_id].tolist()


def test_by_hand():
    """Sky 10 of 11, a car 3 of 5, road 5 of 6; another car is missed and a dog invented in its place."""
    truth = row((SKY, 10), (CAR, 4), (ROAD, 6), (CAR, 2))
    prediction = row((SKY, 11), (CAR, 4), (ROAD, 5), (DOG, 2))
    evidence = observe_panoptic_quality(prediction, truth, "a")
    assert counts(evidence, SKY) == [10 / 11, 1, 0, 0]
    assert counts(evidence, CAR) == [3 / 5, 1, 0, 1]
    assert counts(evidence, ROAD) == [5 / 6, 1, 0, 0]
    assert counts(evidence, DOG) == [0, 0, 1, 0]
    scores = score_panoptic_quality(evidence)
    assert scores.of("pq_of_class", "car") == pytest.approx(0.6 / 1.5)
    assert scores.of("sq_of_class", "car") == pytest.approx(0.6)
    assert scores.of("rq_of_class", "car") == pytest.approx(1 / 1.5)
    assert scores["pq_things"] == pytest.approx((0.4 + 0) / 2)
    assert scores["pq_stuff"] == pytest.approx((10 / 11 + 5 / 6) / 2)
    assert scores["pq"] == pytest.approx((10 / 11 + 5 / 6 + 0.4 + 0) / 4)
    assert scores.of("sq_of_class", "dog") == 0, "as in panopticapi: a class without a match has SQ 0"


def usual(prediction: Panoptic, truth: Panoptic) -> np.ndarray:
    """The usual algorithm: one np.unique over combined ids, then a loop over the pairs; rules as panopticapi has them."""
    combined = truth.ids.astype(np.int64) * 2**24 + prediction.ids
    shared = {(int(v) >> 24, int(v) & 0xFFFFFF): int(n) for v, n in zip(*np.unique(combined, return_counts=True), strict=True)}
    area = [{s.id: int((side.ids == s.id).sum()) for s in side.segments} for side in (prediction, truth)]
    predicted, true = ({s.id: s for s in side.segments} for side in (prediction, truth))
    tallies, matched = np.zeros((len(CLASSES), 4)), set()
    for (t, p), pixels in shared.items():
        if t and p and not true[t].is_crowd and true[t].class_id == predicted[p].class_id:
            iou = pixels / (area[0][p] + area[1][t] - pixels - shared.get((0, p), 0))
            if iou > 0.5:
                tallies[true[t].class_id, :2] += iou, 1
                matched |= {("t", t), ("p", p)}
    crowd_of = {s.class_id: s.id for s in truth.segments if s.is_crowd}
    for t, s in true.items():
        tallies[s.class_id, 3] += not s.is_crowd and ("t", t) not in matched and area[1][t] > 0
    for p, s in predicted.items():
        excused = shared.get((0, p), 0) + shared.get((crowd_of.get(s.class_id, -1), p), 0)
        tallies[s.class_id, 2] += ("p", p) not in matched and area[0][p] > 0 and excused / area[0][p] <= 0.5
    return tallies


def blocks(rng: np.random.Generator, size: int = 12) -> Panoptic:
    """Blocks of up to 30 segments of ids up to millions, with void and a few crowds."""
    numbers = np.concatenate([[0], rng.choice(2**24 - 1, 30, replace=False) + 1])
    ids = numbers[np.kron(rng.integers(0, 31, (size, size)), np.ones((3, 4), np.int64))].astype(np.int32)
    present = sorted(set(np.unique(ids).tolist()) - {0}, key=lambda _: rng.random())
    segments = [Segment(n, int(rng.integers(0, 4)), is_crowd=bool(rng.random() < 0.2)) for n in present]
    return Panoptic(ids, tuple(segments), CLASSES)


def shaken(rng: np.random.Generator, truth: Panoptic) -> Panoptic:
    moved = np.where(rng.random(truth.ids.shape) < 0.15, np.roll(truth.ids, 4, 1), np.roll(truth.ids, rng.integers(0, 2), 0))
    segments = [s._replace(class_id=int(rng.integers(0, 4))) if rng.random() < 0.2 else s for s in truth.segments]
    return Panoptic(moved, tuple(segments), CLASSES)


def test_against_the_usual_algorithm():
    rng = np.random.default_rng(0)
    parts, expected = [], 0
    for index in range(20):
        truth = blocks(rng)
        prediction = shaken(rng, truth)
        parts.append(observe_panoptic_quality(prediction, truth, str(index)))
        one = usual(prediction, truth)
        np.testing.assert_allclose(parts[-1].pooled, one, rtol=0, atol=1e-9)
        expected = expected + one
    evidence = PanopticEvidence.concatenate(parts)
    np.testing.assert_allclose(evidence.pooled, expected, rtol=0, atol=1e-9)
    assert 0.2 < score_panoptic_quality(evidence)["pq"] < 0.9


def test_published_scores(shared_data):
    folder = shared_data("panoptic_pairs")
    content = json.loads((folder / "expected.json").read_text())
    entries = [SegmentationClass(c["name"], tuple(c["colour"]), is_thing=bool(c["isthing"])) for c in content["categories"]]
    classes = ClassSpace(tuple(entries))

    def load(name: str, side: str) -> Panoptic:
        class_ids, numbers = (
            read_mask_values(folder / f"{name}_{side}_{kind}.png").values.astype(np.int32) for kind in ("class", "instance")
        )
        ids = np.where(class_ids > 0, class_ids * 65536 + numbers, 0)
        return Panoptic(ids, tuple(Segment(int(n), int(n >> 16) - 1) for n in np.unique(ids) if n), classes)

    pairs = {name: observe_panoptic_quality(load(name, "pred"), load(name, "gt"), name) for name in ("bird", "cat", "team")}
    for name, expected in content["expected"].items():
        evidence = PanopticEvidence.concatenate(list(pairs.values())) if name == "all" else pairs[name]
        scores = score_panoptic_quality(evidence)
        for short in ("pq", "sq", "rq"):
            assert scores[short] == pytest.approx(expected["mean"][short], abs=1e-9)
            for class_name, values in expected["per_class"].items():
                assert scores.of(f"{short}_of_class", class_name) == pytest.approx(values[short], abs=1e-9)
        for ours, theirs in (("found", "tp"), ("invented", "fp"), ("missed", "fn")):
            for class_name, values in expected["per_class"].items():
                assert scores.of(f"{ours}_of_class", class_name) == values[theirs]


def test_the_rules():
    half = observe_panoptic_quality(row((CAR, 2), (-1, 4)), row((CAR, 4), (SKY, 2)), "a")
    assert counts(half, CAR) == [0, 0, 1, 1], "an IoU of exactly 1/2 is no match"
    on_void = observe_panoptic_quality(row((CAR, 4)), row((-1, 2), (SKY, 2)), "a")
    assert counts(on_void, CAR) == [0, 0, 1, 0], "half on void is a false positive"
    mostly = observe_panoptic_quality(row((CAR, 5)), row((-1, 3), (SKY, 2)), "a")
    assert counts(mostly, CAR) == [0, 0, 0, 0], "more than half is not"
    cut = observe_panoptic_quality(row((CAR, 8)), row((CAR, 4), (-1, 4)), "a")
    assert counts(cut, CAR) == [1, 1, 0, 0], "void is in no predicted segment's union"
    left_void = observe_panoptic_quality(row((CAR, 3), (-1, 1)), row((CAR, 4)), "a")
    assert counts(left_void, CAR) == [3 / 4, 1, 0, 0], "what the prediction leaves void is missed"
    crowd = row((CAR, 6), (SKY, 4), crowds=(1,))
    assert counts(observe_panoptic_quality(crowd, crowd, "a"), CAR) == [0, 0, 0, 0], "a crowd neither matches nor is missed"
    assert counts(observe_panoptic_quality(row((DOG, 6), (SKY, 4)), crowd, "a"), DOG) == [0, 0, 1, 0], "it excuses its own class"
    absent = Panoptic(np.ones((1, 4), np.int32), (Segment(1, SKY), Segment(7, CAR)), CLASSES)
    assert counts(observe_panoptic_quality(absent, absent, "a"), CAR) == [0, 0, 0, 0], "a segment without pixels is none"


def test_consistency_of_two_annotators_does_not_depend_on_which_comes_first():
    one, other = row((CAR, 4), (-1, 4), (SKY, 4)), row((CAR, 6), (SKY, 4), (-1, 2))
    evidence = observe_panoptic_consistency(one, other, "a")
    assert counts(evidence, CAR) == [1, 1, 0, 0], "void of either side is in no union"
    assert counts(evidence, SKY) == [1, 1, 0, 0]
    unseen = observe_panoptic_consistency(row((-1, 5), (SKY, 3)), row((DOG, 4), (SKY, 4)), "a")
    assert counts(unseen, DOG) == [0, 0, 0, 0], "what lies on the other's void is not left over, on either side"
    rng, found = np.random.default_rng(1), 0
    for _ in range(5):
        one = blocks(rng)
        other = shaken(rng, one)
        there, back = observe_panoptic_consistency(one, other, "a"), observe_panoptic_consistency(other, one, "a")
        np.testing.assert_allclose(there.pooled, back.pooled[:, [0, 1, 3, 2]], rtol=0, atol=1e-9)
        found += there.pooled[:, 1].sum()
    assert found > 10
    one, other = row((CAR, 5), (SKY, 5)), row((CAR, 4), (SKY, 6))
    tallies = [observe(one, other, "a").pooled for observe in (observe_panoptic_consistency, observe_panoptic_quality)]
    np.testing.assert_allclose(*tallies, err_msg="without void and crowds it is the quality")


def test_maps_of_any_dtype_and_strides_are_read_in_place():
    rng = np.random.default_rng(2)
    truth = blocks(rng)
    prediction = shaken(rng, truth)
    expected = observe_panoptic_quality(prediction, truth, "a").pooled
    turned = [Panoptic(side.ids.astype(np.int64)[:, ::-1], side.segments, CLASSES) for side in (prediction, truth)]
    np.testing.assert_allclose(observe_panoptic_quality(*turned, "a").pooled, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtypes", [(np.int32, np.int32), (np.int64, np.uint16)])
def test_pairs_of_big_ids_with_and_without_runs(dtypes: tuple[type, type]) -> None:
    """Ids up to 2^40 where the dtype holds them; runs of one pixel and of many; equal to a dictionary of pairs."""
    rng = np.random.default_rng(4)
    sides = []
    for dtype in dtypes:
        listed = rng.choice(min(2**40, np.iinfo(dtype).max), 200, replace=False).astype(dtype)
        lengths = np.concatenate([np.ones(3000, np.int64), rng.integers(1, 300, 100), np.full(2500, 2)])
        ids = rng.choice(listed, len(lengths)).repeat(lengths)[: 61 * 331].reshape(61, 331)
        sides.append((ids, listed[:150].astype(np.int64)))  # 50 of them are not asked for
    for view in (np.s_[:, :], np.s_[::-1, ::2], np.s_[5:9, 3:300]):
        (truth, rows), (prediction, columns) = ((ids[view], listed) for ids, listed in sides)
        expected = Counter(zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True))
        found = _count_segments.count_segments(truth, prediction, rows, columns)
        assert found.tolist() == [[expected[t, p] for p in columns.tolist()] for t in rows.tolist()]


def test_a_large_map_is_counted_in_pieces_whether_or_not_a_core_is_free(monkeypatch):
    rng = np.random.default_rng(3)
    truth = blocks(rng, 40)
    prediction = shaken(rng, truth)
    expected = observe_panoptic_quality(prediction, truth, "a").pooled
    monkeypatch.setattr(_count, "THREADS", 3)
    monkeypatch.setattr(_count_segments, "PIXELS_PER_PIECE", 64)
    np.testing.assert_allclose(observe_panoptic_quality(prediction, truth, "a").pooled, expected, rtol=0, atol=1e-12)
    done, held = [], Event()
    pool = [_count._pool().submit(held.wait, 10) for _ in range(_count.THREADS)]  # all threads are busy
    _count.in_threads(done.append, [("a",), ("b",), ("c",)])
    assert sorted(done) == ["a", "b", "c"]
    held.set()
    assert all(future.result() for future in pool)


def test_merging_intervals_and_json():
    good, bad = row((CAR, 4), (SKY, 4)), row((SKY, 4), (CAR, 4))
    parts = [observe_panoptic_quality(p, good, key) for p, key in ((good, "a"), (bad, "b"))]
    assert [score_panoptic_quality(part)["pq"] for part in parts] == [1, 0]
    scores = score_panoptic_quality(parts[0] + parts[1])
    assert scores["pq_things"] == pytest.approx(1 / 2)
    score = partial(score_qualities, thing_ids=parts[0].thing_ids)
    intervals = bootstrap(parts[0] + parts[1], score, samples=200)
    assert intervals.of("pq") == (0.0, 1.0)
    plain = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert plain["classes"][ROAD]["pq_of_class"] is None
    assert plain["pq_stuff"] == pytest.approx(1 / 2)


def test_without_segments():
    nothing = Panoptic(np.zeros((3, 4), np.int32), (), CLASSES)
    scores = score_panoptic_quality(observe_panoptic_quality(nothing, nothing, "a"))
    assert np.isnan(scores["pq"])
    empty = Panoptic(np.zeros((0, 4), np.int32), (), CLASSES)
    assert observe_panoptic_quality(empty, empty, "a").pooled.sum() == 0


def test_errors():
    truth = row((CAR, 4))
    with pytest.raises(SegmentationError, match=r"a: the prediction is 1 x 5 pixels .* the truth 1 x 4"):
        observe_panoptic_quality(row((CAR, 5)), truth, "a")
    others = Panoptic(truth.ids, truth.segments, ClassSpace.from_names(["x", "y", "z", "w"]))
    with pytest.raises(ClassSpaceError, match=r"a: prediction and truth .*: x, y, z, w against sky, road, car, dog"):
        observe_panoptic_quality(others, truth, "a")
    changed = row((CAR, 4))
    changed.ids[0, 0] = 9
    with pytest.raises(SegmentationError, match="a: the maps hold ids that their segments do not list"):
        observe_panoptic_quality(changed, truth, "a")
    with pytest.raises(SettingsError, match="does not merge"):
        observe_panoptic_quality(truth, truth, "a") + observe_panoptic_quality(others, others, "b")
