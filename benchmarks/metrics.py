"""Counting a confusion matrix, against `numpy.bincount` in the same run: eight pairs of 1024 x 2048 maps with 19 classes.

    python benchmarks/metrics.py

The uint8 rows must end in at most 1/8. `realistic` maps are smooth blobs with an ignored share and a prediction that is a few
pixels off; `noise` draws each pixel on its own, the worst case for counting runs; `two` draws each pixel from two classes and
predicts it right, the worst case for a histogram, since it writes the same two bins again and again. The panoptic row, against
one `numpy.unique` over combined ids for each image, must end in at most 1/10.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from intarsia.core import Array, ClassSpace, LabelMap, Panoptic, Segment
from intarsia.metrics import bootstrap
from intarsia.metrics.confusion import ConfusionEvidence, observe_confusion, score_confusion, score_tallies
from intarsia.metrics.panoptic_quality import observe_panoptic_quality

CLASSES = ClassSpace.from_names([f"class {i}" for i in range(19)])
K = len(CLASSES)
SIZE_HW = (1024, 2048)
PAIRS = 8

Pair = tuple[Array, Array]


def realistic(rng: np.random.Generator) -> Pair:
    height, width = SIZE_HW
    fields = rng.standard_normal((K, height // 8, width // 8)).astype(np.float32)
    truth = np.stack([cv2.resize(cv2.GaussianBlur(f, (0, 0), 6), (width, height)) for f in fields]).argmax(0).astype(np.uint8)
    prediction = np.roll(truth, 3, axis=1)
    truth[rng.random((height // 16, width // 16)).repeat(16, 0).repeat(16, 1) < 0.03] = 255
    return truth, prediction


def noise(rng: np.random.Generator) -> Pair:
    return rng.integers(0, K, SIZE_HW, np.uint8), rng.integers(0, K, SIZE_HW, np.uint8)


def two(rng: np.random.Generator) -> Pair:
    truth = rng.integers(0, 2, SIZE_HW, np.uint8)
    return truth, truth.copy()


def usual(truth: Array, prediction: Array) -> Array:
    valid = truth != 255
    return np.bincount(K * truth[valid].astype(np.int64) + prediction[valid], minlength=K * K).reshape(K, K)


def ours(truth: LabelMap, prediction: LabelMap) -> Array:
    return observe_confusion(prediction, truth, "image").counts[0, :, :-1]


def best_seconds(function: Callable[[], object], repeats: int = 7) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def compare(name: str, pairs: list[Pair]) -> None:
    maps = [(LabelMap(truth, CLASSES), LabelMap(prediction, CLASSES)) for truth, prediction in pairs]
    for (truth, prediction), arrays in zip(maps, pairs, strict=True):
        if not np.array_equal(ours(truth, prediction), usual(*arrays)):
            raise SystemExit(f"{name}: the counts differ from numpy's")
    theirs_s = best_seconds(lambda: [usual(*pair) for pair in pairs])
    ours_s = best_seconds(lambda: [ours(*pair) for pair in maps])
    print(f"{name:24} bincount {1e3 * theirs_s:7.1f} ms   observe_confusion {1e3 * ours_s:6.2f} ms   1/{theirs_s / ours_s:.1f}")


def as_segments(pair: Pair) -> tuple[Panoptic, Panoptic]:
    """Prediction and truth with a segment for each class and strip of 256 columns; ids run to millions, as COCO's do."""
    strips = K * (np.arange(SIZE_HW[1]) // 256)
    sides = []
    for labels in pair[::-1]:
        ids = np.where(labels == 255, 0, 9973 * (1 + labels.astype(np.int32) + strips)).astype(np.int32)
        segments = (Segment(int(number), (int(number) // 9973 - 1) % K) for number in np.unique(ids) if number)
        sides.append(Panoptic(ids, tuple(segments), CLASSES))
    return sides[0], sides[1]


def usual_quality(prediction: Panoptic, truth: Panoptic) -> Array:
    """(K, 4) sum of IoU, TP, FP, FN by the usual algorithm: one `numpy.unique` over combined ids, then loops over pairs."""
    combined = truth.ids.astype(np.uint64) * np.uint64(2**24) + prediction.ids.astype(np.uint64)
    shared, areas = {}, (Counter[int](), Counter[int]())
    for pair, count in zip(*np.unique(combined, return_counts=True), strict=True):
        ids = int(pair) >> 24, int(pair) & 0xFFFFFF
        shared[ids] = int(count)
        for area, number in zip(areas, ids, strict=True):
            area[number] += int(count)
    class_of, predicted_class = ({s.id: s.class_id for s in side.segments} for side in (truth, prediction))
    tallies, matched = np.zeros((K, 4)), (set(), set())
    for (t, p), count in shared.items():
        iou = count / (areas[0][t] + areas[1][p] - count - shared.get((0, p), 0))
        if t and p and class_of[t] == predicted_class[p] and iou > 0.5:
            tallies[class_of[t], :2] += iou, 1
            matched[0].add(t)
            matched[1].add(p)
    for p in areas[1].keys() - matched[1] - {0}:
        tallies[predicted_class[p], 2] += shared.get((0, p), 0) <= areas[1][p] / 2
    for t in areas[0].keys() - matched[0] - {0}:
        tallies[class_of[t], 3] += 1
    return tallies


def compare_quality(name: str, pairs: list[Pair]) -> None:
    """Panoptic quality against the usual algorithm, both from ids in memory: no PNG is decoded."""
    maps = [as_segments(pair) for pair in pairs]
    for prediction, truth in maps:
        if np.abs(observe_panoptic_quality(prediction, truth, "image").pooled - usual_quality(prediction, truth)).max() > 1e-9:
            raise SystemExit(f"{name}: the panoptic quality differs from the usual algorithm's")
    theirs_s = sum(best_seconds(partial(usual_quality, *pair)) for pair in maps)
    ours_s = sum(best_seconds(partial(observe_panoptic_quality, *pair, "image")) for pair in maps)
    print(f"{name:24} unique {1e3 * theirs_s:9.1f} ms   panoptic quality  {1e3 * ours_s:6.2f} ms   1/{theirs_s / ours_s:.1f}")


def main() -> None:
    rng = np.random.default_rng(0)
    print(f"{PAIRS} pairs of {SIZE_HW[0]} x {SIZE_HW[1]}, {K} classes, best of 7 runs")
    for make in (realistic, noise, two):
        compare(f"{make.__name__}, uint8", [make(rng) for _ in range(PAIRS)])
    wide = [realistic(rng) for _ in range(PAIRS)]
    compare("realistic, int32", [(truth.astype(np.int32), prediction.astype(np.int32)) for truth, prediction in wide])
    compare("realistic, mirrored", [(truth[:, ::-1], prediction[:, ::-1]) for truth, prediction in wide])
    compare_quality("panoptic, int32", wide)

    counts = rng.integers(0, 10_000, (500, K, K + 1))
    evidence = ConfusionEvidence(CLASSES, tuple(str(i) for i in range(500)), counts, np.zeros(500, np.int64))
    print(f"score_confusion, 500 images                {1e3 * best_seconds(lambda: score_confusion(evidence)):6.2f} ms")
    seconds = best_seconds(lambda: bootstrap(evidence, score_tallies), 3)
    print(f"bootstrap, 1000 resamples of 500 images    {1e3 * seconds:6.1f} ms")


if __name__ == "__main__":
    main()
