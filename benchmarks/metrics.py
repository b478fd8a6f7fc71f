"""Counting a confusion matrix, against `numpy.bincount` in the same run: eight pairs of 1024 x 2048 maps with 19 classes.

    python benchmarks/metrics.py

The uint8 rows must end in at most 1/8. `realistic` maps are smooth blobs with an ignored share and a prediction that is a few
pixels off; `noise` draws each pixel on its own, the worst case for counting runs; `two` draws each pixel from two classes and
predicts it right, the worst case for a histogram, since it writes the same two bins again and again.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np

from intarsia.core import Array, ClassSpace, LabelMap
from intarsia.metrics import bootstrap
from intarsia.metrics.confusion import ConfusionEvidence, observe_confusion, score_confusion, score_tallies

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


def main() -> None:
    rng = np.random.default_rng(0)
    print(f"{PAIRS} pairs of {SIZE_HW[0]} x {SIZE_HW[1]}, {K} classes, best of 7 runs")
    for make in (realistic, noise, two):
        compare(f"{make.__name__}, uint8", [make(rng) for _ in range(PAIRS)])
    wide = [realistic(rng) for _ in range(PAIRS)]
    compare("realistic, int32", [(truth.astype(np.int32), prediction.astype(np.int32)) for truth, prediction in wide])
    compare("realistic, mirrored", [(truth[:, ::-1], prediction[:, ::-1]) for truth, prediction in wide])

    counts = rng.integers(0, 10_000, (500, K, K + 1))
    evidence = ConfusionEvidence(CLASSES, tuple(str(i) for i in range(500)), counts, np.zeros(500, np.int64))
    print(f"score_confusion, 500 images                {1e3 * best_seconds(lambda: score_confusion(evidence)):6.2f} ms")
    seconds = best_seconds(lambda: bootstrap(evidence, score_tallies), 3)
    print(f"bootstrap, 1000 resamples of 500 images    {1e3 * seconds:6.1f} ms")


if __name__ == "__main__":
    main()
