"""Metrics against the usual way to compute them, side by side in one run, on maps of 1024 x 2048 with 19 classes.

    python benchmarks/metrics.py [--data FOLDER] [--out benchmarks/results/metrics.json]

A row ends in an exclamation mark, and the run in exit code 1, where the ratio is below what the row promises. Both sides start
from the same arrays in memory, no file is decoded, and the results are compared first. The two take turns at going through the
pairs, and of each pair the shortest time of either side counts, so that other work on the machine falls away. Ours may count in
as many threads as there are cores, the others use one. The ratio of processor time, of all threads, stands beside that of the
clock, and is the one to read on a machine that is busy with other work, where long calls are interrupted and short ones are not.

* `realistic` maps are smooth blobs with an ignored share and a prediction that is a few pixels off. `CamVid` are frames of its
  annotated videos with the next one as the prediction, `COCO` two annotated pictures, moved by three pixels to be the prediction;
  both are grown to size by the nearest pixel, and left out where there is no folder with them. `noise` draws each pixel on its
  own, where there are no runs to count; `two` draws it from two classes and predicts it right, so that the same two bins are
  written again and again.
* Confusion: on bytes at least 8 times as fast as `numpy.bincount`.
* Cityscapes: at least 30 times as fast as `evaluatePair` of cityscapesScripts as it comes, for all it counts: the confusion by
  one `numpy.unique` for each pair, and the iIoU of instances by a mask for each. In "confusion alone" its iIoU is switched off,
  and ours counts the confusion only. A compiled counter, which it looks for, is not in the package on PyPI.
* Boundary IoU: at least 5 times as fast as eroding one full-size mask at a time, as the authors' code does.
* Panoptic quality: at least 10 times as fast as one `numpy.unique` over combined ids for each image; in noise, without a promise.
* Memory: what observing a pair allocates at its peak, as a share of the two maps.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from PIL import Image

from intarsia.core import Array, ClassSpace, LabelMap, Panoptic, Segment
from intarsia.metrics import bootstrap, paired_test
from intarsia.metrics._count import THREADS
from intarsia.metrics.boundary_iou import band_width, observe_boundary_iou, pairwise_boundary_iou
from intarsia.metrics.cityscapes_iou import CATEGORIES, MEAN_AREAS, observe_cityscapes_iou
from intarsia.metrics.confusion import ConfusionEvidence, observe_confusion, score_confusion, score_tallies
from intarsia.metrics.panoptic_quality import observe_panoptic_quality

CLASSES = ClassSpace.from_names([f"class {i}" for i in range(19)])
CITY = ClassSpace.from_names([name for names in CATEGORIES.values() for name in names], things=MEAN_AREAS)
K = len(CLASSES)
SIZE_HW = (1024, 2048)
PAIRS = 8
SHARED_DATA = Path(os.environ.get("INTARSIA_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))

Pair = tuple[Array, Array]
Task = Callable[[], object]
ROWS: list[dict[str, Any]] = []
RUNS, MOST_SECONDS = 60, 10.0


def race(name: str, against: str, theirs: Sequence[Task], ours: Sequence[Task], least: float) -> None:
    """Print and note the sum, over tasks, of the shortest time of either side; the sides take turns, each at all of its tasks."""
    times = np.full((2, len(theirs), 2), np.inf)  # (side, task, clock and processor)
    began, runs = time.perf_counter(), 0
    while runs < 3 or (runs < RUNS and time.perf_counter() - began < MOST_SECONDS):
        for side, tasks in enumerate((theirs, ours)):
            times[side] = np.minimum(times[side], [_seconds(task) for task in tasks])
        runs += 1
    (theirs_ms, theirs_cpu_ms), (ours_ms, ours_cpu_ms) = (1e3 * times.sum(1)).tolist()
    ratio, cpu_ratio, load = theirs_ms / ours_ms, theirs_cpu_ms / ours_cpu_ms, round(os.getloadavg()[0], 1)
    row = {"row": name, "against": against, "theirs_ms": theirs_ms, "ours_ms": ours_ms, "ratio": ratio}
    ROWS.append({**row, "processor_ratio": cpu_ratio, "least": least, "load": load})
    told = f"{name:36} {against:18} {theirs_ms:8.1f} ms   ours {ours_ms:7.2f} ms   {ratio:5.1f} x"
    print(f"{told} ({cpu_ratio:.1f} x of processor time), load {load}, at least {least:g}" + " !" * (ratio < least), flush=True)


def _seconds(function: Task) -> tuple[float, float]:
    """On the clock, and of all threads on the processor."""
    start, cpu_start = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - start, time.process_time() - cpu_start


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


def grown(ids: Array) -> Array:
    rows, columns = (np.arange(size) * length // size for size, length in zip(SIZE_HW, ids.shape, strict=True))
    return np.ascontiguousarray(ids[np.ix_(rows, columns)])


def camvid(folder: Path) -> list[Pair]:
    frames = list(pairwise(sorted((folder / "camvid" / "masks" / "val").glob("*.png"))))[:: 100 // PAIRS][:PAIRS]
    maps = [[grown(np.array(Image.open(path))) for path in pair] for pair in frames]
    return [(np.where(truth == 11, np.uint8(255), truth), np.where(other == 11, np.uint8(0), other)) for truth, other in maps]


def coco(folder: Path) -> list[tuple[Panoptic, Panoptic]]:
    """Prediction and truth."""
    content = json.loads((folder / "coco_panoptic_sample" / "panoptic_examples.json").read_text(encoding="utf-8"))
    class_of = {category["id"]: index for index, category in enumerate(content["categories"])}
    classes = ClassSpace.from_names([category["name"] for category in content["categories"]])
    sides = []
    for entry in content["annotations"]:
        rgb = np.array(Image.open(folder / "coco_panoptic_sample" / "panoptic_examples" / entry["file_name"])).astype(np.int32)
        ids = grown(rgb @ np.array([1, 256, 65536], np.int32))
        segments = tuple(Segment(s["id"], class_of[s["category_id"]]) for s in entry["segments_info"])
        sides.append((Panoptic(np.roll(ids, 3, axis=1), segments, classes), Panoptic(ids, segments, classes)))
    return sides


def usual(truth: Array, prediction: Array) -> Array:
    valid = truth != 255
    return np.bincount(K * truth[valid].astype(np.int64) + prediction[valid], minlength=K * K).reshape(K, K)


def ours(truth: LabelMap, prediction: LabelMap) -> Array:
    return observe_confusion(prediction, truth, "image").counts[0, :, :-1]


def compare(name: str, pairs: list[Pair], least: float) -> None:
    maps = [(LabelMap(truth, CLASSES), LabelMap(prediction, CLASSES)) for truth, prediction in pairs]
    for (truth, prediction), arrays in zip(maps, pairs, strict=True):
        if not np.array_equal(ours(truth, prediction), usual(*arrays)):
            raise SystemExit(f"{name}: the counts differ from numpy's")
    theirs, own = [partial(usual, *pair) for pair in pairs], [partial(ours, *pair) for pair in maps]
    race(f"confusion, {name}", "bincount", theirs, own, least)


def compare_cityscapes_scripts(pairs: list[Pair]) -> None:
    """Its own function, which opens images by name; here a name stands for an image in memory."""
    try:
        scripts = importlib.import_module("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
        from cityscapesscripts.helpers.labels import name2label
    except ImportError:
        print("cityscapesScripts is not installed")
        return
    vars(np).setdefault("in1d", np.isin)  # it asks for this name, which NumPy 2.4 dropped
    label_id = np.full(256, 4, np.uint8)  # 4 is a class that is not scored
    label_id[:K] = [name2label[name].id for name in CITY.names]
    files: dict[str, Image.Image] = {}
    sides = []
    for number, pair in enumerate(pairs):
        truth = as_segments(pair)[1]
        objects = np.isin(pair[0], CITY.thing_ids)
        instance_ids = np.where(objects, 1000 * label_id[pair[0]].astype(np.int32) + truth.ids // (9973 * K), label_id[pair[0]])
        files[f"p{number}"] = Image.fromarray(label_id[pair[1]])
        files[f"{number} labelIds"] = Image.fromarray(label_id[pair[0]])
        files[f"{number} instanceIds"] = Image.fromarray(instance_ids)
        sides.append((LabelMap(pair[1], CITY), LabelMap(pair[0], CITY), Panoptic(truth.ids, truth.segments, CITY)))
    scripts.Image = SimpleNamespace(open=files.__getitem__)

    for name, instances, function, least in (("IoU and iIoU", True, all_scores, 30), ("confusion alone", False, confusion, 15)):
        settings = SimpleNamespace(**{**vars(scripts.args), "evalInstLevelScore": instances})
        matrix, stats = scripts.generateMatrix(settings), scripts.generateInstanceStats(settings)
        images = [(f"p{number}", f"{number} labelIds", matrix, stats, {}, settings) for number in range(len(pairs))]
        theirs, own = [partial(scripts.evaluatePair, *image) for image in images], [partial(function, *side) for side in sides]
        for evaluate in theirs:
            evaluate()
        weighted = [stats["classes"][CITY.names[k]]["tpWeighted"] for k in CITY.thing_ids] if instances else []
        if not np.allclose([*matrix[label_id[:K], label_id[:K]], *weighted], sum(task() for task in own)):
            raise SystemExit(f"Cityscapes, {name}: the counts differ from cityscapesScripts'")
        race(f"Cityscapes, {name}", "cityscapesScripts", theirs, own, least)


def all_scores(prediction: LabelMap, _: LabelMap, truth: Panoptic) -> Array:
    right, weighted = observe_cityscapes_iou(prediction, truth, "image").pooled[[0, 3]]
    return np.array([*right[:K], *weighted[list(CITY.thing_ids)]])


def confusion(prediction: LabelMap, truth: LabelMap, _: Panoptic) -> Array:
    return np.diagonal(ours(truth, prediction))


def eroded_away(mask: Array, width: int) -> Array:
    """The band of one mask: padded with nothing, eroded, taken from itself."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return mask & ~cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1].astype(np.bool_)


def one_at_a_time(prediction: Array, truth: Array, numbers: Array, width: int) -> Array:
    """Boundary IoU of the objects that have the same number on either side."""
    found = []
    for number in numbers:
        one, other = (eroded_away(ids == number, width) for ids in (prediction, truth))
        found.append(np.count_nonzero(one & other) / max(1, np.count_nonzero(one | other)))
    return np.array(found)


def compare_boundaries(pair: Pair) -> None:
    """All classes of a label map, and all objects of a map of numbers, where ours gives the IoU of every pair of them."""
    truth = np.where(pair[0] == 255, 0, pair[0]).astype(np.uint8)
    prediction = pair[1]
    maps = LabelMap(prediction, CLASSES), LabelMap(truth, CLASSES)
    strips = K * (np.arange(SIZE_HW[1]) // 256)
    objects = [(1 + labels.astype(np.int32) + strips).astype(np.int32) for labels in (prediction, truth)]
    numbers = np.unique(objects[1])
    for share in (0.005, 0.02):
        width = band_width(SIZE_HW, diagonal_share=share)
        observe = partial(observe_boundary_iou, *maps, "image", diagonal_share=share)
        both, one, other = observe().pooled
        if not np.allclose(both / np.maximum(1, one + other - both), one_at_a_time(prediction, truth, np.arange(K), width)):
            raise SystemExit("the boundary IoU differs from that of one mask at a time")
        theirs = partial(one_at_a_time, prediction, truth, np.arange(K), width)
        race(f"boundary IoU, {K} classes, {width} px", "erosion of each", [theirs], [observe], 5)
    width = band_width(SIZE_HW)
    every = partial(pairwise_boundary_iou, *objects, numbers, numbers, width)
    if not np.allclose(np.diagonal(every()), one_at_a_time(*objects, numbers, width)):
        raise SystemExit("the boundary IoU of objects differs from that of one mask at a time")
    theirs = partial(one_at_a_time, *objects, numbers, width)
    race(f"boundary IoU, {len(numbers)} objects, {width} px", "erosion of each", [theirs], [every], 5)


def measure_memory(pair: Pair) -> None:
    truth, prediction = LabelMap(pair[0], CLASSES), LabelMap(pair[1], CLASSES)
    segments = as_segments(pair)
    for name, observe, size in (
        ("confusion", partial(observe_confusion, prediction, truth, "image"), pair[0].nbytes + pair[1].nbytes),
        ("boundary IoU", partial(observe_boundary_iou, prediction, truth, "image"), pair[0].nbytes + pair[1].nbytes),
        ("panoptic quality", partial(observe_panoptic_quality, *segments, "image"), 2 * segments[0].ids.nbytes),
    ):
        observe()
        tracemalloc.start()
        observe()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        ROWS.append({"row": f"memory, {name}", "peak_mb": peak / 1e6, "share_of_maps": peak / size})
        print(f"memory, {name:28} {peak / 1e6:6.2f} MB at its peak, {peak / size:.2f} of the two maps")


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
    tallies, matched = np.zeros((len(truth.classes), 4)), (set(), set())
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


def compare_quality(name: str, maps: list[tuple[Panoptic, Panoptic]], least: float) -> None:
    """Panoptic quality against the usual algorithm, both from ids in memory: no PNG is decoded."""
    for sides in maps:
        if np.abs(observe_panoptic_quality(*sides, "image").pooled - usual_quality(*sides)).max() > 1e-9:
            raise SystemExit(f"{name}: the panoptic quality differs from the usual algorithm's")
    own = [partial(observe_panoptic_quality, *sides, "image") for sides in maps]
    race(f"panoptic quality, {name}", "unique", [partial(usual_quality, *sides) for sides in maps], own, least)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED_DATA, help="the folder of camvid and coco_panoptic_sample")
    parser.add_argument("--out", type=Path, help="write the rows to this JSON file")
    settings = parser.parse_args()
    data, out = settings.data, settings.out
    rng, load, cores = np.random.default_rng(0), round(os.getloadavg()[0], 1), len(os.sched_getaffinity(0))
    print(f"{PAIRS} pairs of {SIZE_HW[0]} x {SIZE_HW[1]}, {K} classes, {cores} cores, {THREADS} threads for ours, load {load}")
    smooth, noisy = [realistic(rng) for _ in range(PAIRS)], [noise(rng) for _ in range(PAIRS)]
    compare("realistic, uint8", smooth, 8)
    if (data / "camvid").is_dir():
        compare("CamVid, uint8", camvid(data), 8)
    compare("noise, uint8", noisy, 8)
    compare("two, uint8", [two(rng) for _ in range(PAIRS)], 8)
    compare("realistic, int32", [(truth.astype(np.int32), prediction.astype(np.int32)) for truth, prediction in smooth], 1)
    compare("realistic, mirrored", [(truth[:, ::-1], prediction[:, ::-1]) for truth, prediction in smooth], 1)
    compare_cityscapes_scripts(smooth)
    compare_quality("realistic, int32", [as_segments(pair) for pair in smooth], 10)
    if (data / "coco_panoptic_sample").is_dir():
        compare_quality("COCO, int32", coco(data), 10)
    compare_quality("noise, int32", [as_segments(pair) for pair in noisy[:2]], 1)
    compare_boundaries(smooth[0])
    measure_memory(smooth[0])

    counts = rng.integers(0, 10_000, (500, K, K + 1))
    evidence = ConfusionEvidence(CLASSES, tuple(str(i) for i in range(500)), counts, np.zeros(500, np.int64))
    for name, function in (
        ("score_confusion, 500 images", partial(score_confusion, evidence)),
        ("bootstrap, 1000 resamples of 500 images", partial(bootstrap, evidence, score_tallies)),
        ("paired_test, 10000 exchanges of 500 images", partial(paired_test, evidence, evidence, score_tallies)),
    ):
        ROWS.append({"row": name, "ours_ms": 1e3 * min(_seconds(function)[0] for _ in range(5))})
        print(f"{name:44} {ROWS[-1]['ours_ms']:8.2f} ms")
    if out is not None:
        facts = {
            "command": f"python benchmarks/metrics.py --out {out}",
            "python": platform.python_version(),
            "numpy": np.__version__,
            "cores": cores,
            "threads": THREADS,
            "load_before": load,
            "load_after": round(os.getloadavg()[0], 1),
            "rows": ROWS,
        }
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return int(any(row["ratio"] < row["least"] for row in ROWS if "ratio" in row))


if __name__ == "__main__":
    sys.exit(main())
