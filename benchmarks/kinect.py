"""Body parts and joints from depth: accuracy against images, depth of trees and range of offsets, joints, and speed.

    python benchmarks/kinect.py [--again]

Writes benchmarks/results/kinect.json, each point as it is measured, so that an interrupted run goes on where it was; `--again`
starts anew. The curves go to docs/images/kinect/curves.png, fitted forests to runs/kinect/. Seconds are by the clock, and of all
threads together (processor); NUMBA_NUM_THREADS says how many threads there are.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.classical.depth_forest import DepthForest
from intarsia.core import Array
from intarsia.core.whole_file import written_whole
from intarsia.data.datasets.bodies import Bodies, Body
from intarsia.inference import read_method, write_method
from intarsia.postprocess.joints import JointFinder, Proposals, back_project, joint_precision

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "kinect.json"
PAGE = HERE.parent / "docs" / "kinect.md"
PLOT = HERE.parent / "docs" / "images" / "kinect" / "curves.png"
BEGIN, END = "<!-- made by benchmarks/kinect.py: begin -->", "<!-- end of benchmarks/kinect.py -->"
FORESTS = HERE.parent / "runs" / "kinect"

IMAGES = (10, 25, 50, 100, 200, 500)
DEPTHS = (1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20)
REACHES = (16.0, 32.0, 64.0, 129.0, 200.0)
FEW, MOST, OF_REACH, REACH = 50, 500, 100, 129.0
GROUPS = ("head", "neck", "shoulder", "elbow", "wrist", "hand", "knee", "ankle", "foot")
BANDWIDTHS, THRESHOLDS = (0.05, 0.065, 0.085), (0.08, 0.14, 0.25)
FULL_SHARE, ROUNDS = 0.3, 7

Posterior = Callable[[Body], tuple[Array, Array]]


def main() -> None:
    if "--again" in sys.argv:
        RESULTS.unlink(missing_ok=True)
        for path in FORESTS.glob("*.safetensors"):
            path.unlink()
    warm_up()
    data = Bodies(train=MOST, val=60, test=100)
    test = [data.body(key) for key in data.splits["test"]]
    for images in IMAGES:
        measure(f"images/{images}", lambda n=images: accuracy_of(n, REACH, test, DEPTHS if n in (FEW, MOST) else ()))
    for reach in REACHES:
        measure(f"reach/{reach:g}", lambda r=reach: accuracy_of(OF_REACH, r, test))
    forest = fitted(MOST, REACH)[0]
    measure("joints/true parts", lambda: joints(data, test, true_parts))
    measure("joints/inferred parts", lambda: joints(data, test, lambda body: forest.posterior(body.depth_mm), tune=True))
    measure("speed", lambda: speed(forest))
    measure("rendering", rendering)
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    draw(results)
    write_page(results)


def warm_up() -> None:
    """Compile all kernels, so that no point pays for it."""
    data = Bodies(train=2, val=0, test=0, size_hw=(60, 80))
    forest = DepthForest.fit(map(data.read, data.splits["train"]), data.classes, depth=2, candidates=4)
    body = data.body("train/0000")
    propose(JointFinder.published(data.parts_of_joint), data, body, lambda body: forest.posterior(body.depth_mm))


def measure(name: str, point: Callable[[], Mapping[str, Any]]) -> None:
    """Measure one point, unless it was before, and save it."""
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    if name in results:
        return
    before, processor = time.perf_counter(), time.process_time()
    found = dict(point())
    found |= {"seconds": round(time.perf_counter() - before, 1), "processor_seconds": round(time.process_time() - processor, 1)}
    found |= {"load": round(os.getloadavg()[0], 1), "machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    RESULTS.parent.mkdir(exist_ok=True)
    with written_whole(RESULTS) as partial:
        partial.write_text(json.dumps({**results, name: found}, indent=1) + "\n", encoding="utf-8")
    print(name, {key: value for key, value in found.items() if not isinstance(value, dict)}, flush=True)


def fitted(images: int, reach: float) -> tuple[DepthForest, dict[str, float]]:
    """The forest of so many images, from its file if there is one, and what fitting took."""
    path = FORESTS / f"{images}-{reach:g}.safetensors"
    if not path.exists():
        data = Bodies(train=images)
        before, processor = time.perf_counter(), time.process_time()
        forest = DepthForest.fit(map(data.read, data.splits["train"]), data.classes, reach=reach)
        took = {"fit_seconds": time.perf_counter() - before, "fit_processor_seconds": time.process_time() - processor}
        write_method(path, forest, {name: round(value, 1) for name, value in took.items()})
    read = read_method(path)
    return read.fitted, dict(read.card.history)


def accuracy_of(images: int, reach: float, test: Sequence[Body], depths: Sequence[int] = ()) -> dict[str, Any]:
    """Mean accuracy over the 31 parts, of the whole forest and of the forest cut to smaller depths."""
    forest, took = fitted(images, reach)
    of_part = part_accuracy(forest, test)
    found: dict[str, Any] = {
        "mean_accuracy": float(of_part.mean()),
        "out_of_bag": forest.scores["out_of_bag/mean_accuracy"],
        "nodes": len(forest.children),
        "path": float(np.mean([forest.path_length(body.depth_mm) for body in test])),
        **took,
    }
    if depths:
        found["of_part"] = dict(zip(forest.classes.names[1:], of_part.round(4).tolist(), strict=True))
        found["of_depth"] = {depth: float(part_accuracy(forest.cut(depth), test).mean()) for depth in depths}
    return found


def part_accuracy(forest: DepthForest, test: Sequence[Body]) -> Array:
    """(31,) share of the pixels of each part that are found."""
    right, count = np.zeros(32), np.zeros(32)
    for body in test:
        ids = forest.predict(body.depth_mm).ids
        count += np.bincount(body.parts.ravel(), minlength=32)
        right += np.bincount(body.parts[ids == body.parts], minlength=32)
    return np.asarray(right[1:] / count[1:])


def true_parts(body: Body) -> tuple[Array, Array]:
    places = np.argwhere(body.parts > 0)
    return places, np.eye(32, dtype=np.float32)[body.parts[places[:, 0], places[:, 1]]]


def joints(data: Bodies, test: Sequence[Body], posterior: Posterior, *, tune: bool = False) -> dict[str, Any]:
    """Average precision within 10 cm of all joints, hidden ones too; settings are chosen on the validation images."""
    finder = JointFinder.published(data.parts_of_joint)
    val = [data.body(key) for key in data.splits["val"]]
    if tune:
        tried = {}
        for bandwidth in BANDWIDTHS:
            for threshold in THRESHOLDS:
                count = len(data.joints)
                one = JointFinder(data.parts_of_joint, [bandwidth] * count, [threshold] * count, finder.push_back_m)
                _, tried[bandwidth, threshold] = calibrated(one, data, val, posterior)
        best = [max(tried, key=lambda setting, j=joint: tried[setting][j]) for joint in range(len(data.joints))]
        finder = JointFinder(data.parts_of_joint, *zip(*best, strict=True), finder.push_back_m)
    finder, _ = calibrated(finder, data, val, posterior)
    found = [propose(finder, data, body, posterior) for body in test]
    every, visible = precisions(found, test), precisions(found, test, only_visible=True)
    return {
        "precision": float(every.mean()),
        "precision_of_visible": float(np.nanmean(visible)),
        "of_joint": dict(zip(data.joints, every.round(4).tolist(), strict=True)),
        "bandwidth_m": list(finder.bandwidth_m),
        "threshold": list(finder.threshold),
        "push_back_m": [round(value, 4) for value in finder.push_back_m],
    }


def calibrated(finder: JointFinder, data: Bodies, val: Sequence[Body], posterior: Posterior) -> tuple[JointFinder, Array]:
    """The finder with its push back fitted, and its precision (16,) on the same images."""
    found = [propose(finder, data, body, posterior) for body in val]
    better = finder.pushed_back(found, [body.joints_m for body in val])
    moved = np.subtract(better.push_back_m, finder.push_back_m)
    shifted = [
        [Proposals(p.places_m + np.array([0, 0, by]), p.scores) for p, by in zip(one, moved, strict=True)] for one in found
    ]
    return better, precisions(shifted, val)


def propose(finder: JointFinder, data: Bodies, body: Body, posterior: Posterior) -> list[Proposals]:
    places, prob = posterior(body)
    return finder.find(back_project(body.depth_mm, places, data.focal_px), prob)


def precisions(found: Sequence[Sequence[Proposals]], bodies: Sequence[Body], *, only_visible: bool = False) -> Array:
    true = np.stack([np.where(body.visible[:, None] | (not only_visible), body.joints_m, np.nan) for body in bodies])
    return np.array([joint_precision([one[j] for one in found], true[:, j]) for j in range(true.shape[1])])


def speed(forest: DepthForest) -> dict[str, Any]:
    """Frames a second of 320 x 240 pixels, at least 30 % of them of a person who stands close: the best of several rounds."""
    near = Bodies(train=0, val=0, test=150, distance_m=(0.8, 1.1), whole=False)
    frames = [near.body(key).depth_mm for key in near.splits["test"]]
    frames = [frame for frame in frames if (frame > 0).mean() >= FULL_SHARE]
    rounds = []
    for _ in range(ROUNDS):
        before, processor = time.perf_counter(), time.process_time()
        for frame in frames:
            forest.predict(frame)
        rounds.append((time.perf_counter() - before, time.process_time() - processor))
    clock, processor_ms = min(r[0] for r in rounds) / len(frames), 1000 * min(r[1] for r in rounds) / len(frames)
    return {
        "frames": len(frames),
        "foreground": float(np.mean([(frame > 0).mean() for frame in frames])),
        "path": float(np.mean([forest.path_length(frame) for frame in frames])),
        "frames_per_second": 1 / clock,
        "processor_ms_per_frame": processor_ms,
        "frames_per_second_of_two_free_cores": 2000 / processor_ms,
        "threads": int(os.environ.get("NUMBA_NUM_THREADS", os.cpu_count() or 1)),
    }


def rendering() -> dict[str, Any]:
    """People of 320 x 240 pixels that one core renders in a second: the best of several rounds."""
    data = Bodies(train=0, val=0, test=100)
    rounds = []
    for _ in range(ROUNDS):
        before = time.process_time()
        for key in data.splits["test"]:
            data.body(key)
        rounds.append(time.process_time() - before)
    return {"images_per_second_of_one_core": len(data.splits["test"]) / min(rounds)}


def draw(results: Mapping[str, Mapping[str, Any]]) -> None:
    """The three curves of the paper's figure 6, side by side."""
    from matplotlib import figure, ticker

    page = figure.Figure(figsize=(10.5, 3.4), layout="constrained")
    one, two, three = page.subplots(1, 3, sharey=True)
    rust, teal = "#b3471d", "#1f6f78"
    one.plot(IMAGES, [100 * results[f"images/{n}"]["mean_accuracy"] for n in IMAGES], "o-", color=rust, label="test images")
    one.plot(IMAGES, [100 * results[f"images/{n}"]["out_of_bag"] for n in IMAGES], "o--", color=teal, label="out of bag")
    one.set(xscale="log", xlabel="training images", ylabel="mean accuracy over 31 parts (%)", ylim=(0, None))
    one.set_xticks(IMAGES)
    one.xaxis.set_major_formatter(ticker.ScalarFormatter())
    one.minorticks_off()
    for images, color in ((MOST, rust), (FEW, teal)):
        of_depth = results[f"images/{images}"]["of_depth"]
        two.plot([int(d) for d in of_depth], [100 * v for v in of_depth.values()], "o-", color=color, label=f"{images} images")
    two.set(xlabel="depth of trees")
    two.xaxis.set_major_locator(ticker.MultipleLocator(4))
    three.plot(
        REACHES, [100 * results[f"reach/{r:g}"]["mean_accuracy"] for r in REACHES], "o-", color=rust, label=f"{OF_REACH} images"
    )
    three.set(xlabel="longest offset (pixel metres)")
    for axes in (one, two, three):
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, loc="lower right")
        axes.spines[["top", "right"]].set_visible(False)
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(PLOT) as partial:
        page.savefig(partial, format="png", dpi=110)


def write_page(results: Mapping[str, Mapping[str, Any]]) -> None:
    """Put the tables between the marks of the page."""
    rows = [("training images", *map(str, IMAGES))]
    for title, key in (("test accuracy, mean over parts", "mean_accuracy"), ("out of bag", "out_of_bag")):
        rows.append((title, *(f"{results[f'images/{n}'][key]:.1%}" for n in IMAGES)))
    rows.append(("questions to a leaf", *(f"{results[f'images/{n}']['path']:.1f}" for n in IMAGES)))
    rows.append(("processor seconds of fitting", *(f"{results[f'images/{n}']['fit_processor_seconds']:.0f}" for n in IMAGES)))
    true, inferred, fast = results["joints/true parts"], results["joints/inferred parts"], results["speed"]
    joint_rows = [("average precision within 10 cm", "all", "all in sight", *(name.replace("_", " ") for name in GROUPS))]
    for title, found in (("true parts", true), ("parts of the forest", inferred)):
        groups = [np.mean([value for name, value in found["of_joint"].items() if name.endswith(group)]) for group in GROUPS]
        joint_rows.append((title, *(f"{v:.2f}" for v in (found["precision"], found["precision_of_visible"], *groups))))
    parts = [
        f"![Accuracy against training images, depth of trees, and range of offsets](images/kinect/{PLOT.name})",
        table(rows),
        table(joint_rows),
        f"Frames of 320 x 240 pixels, of which {fast['foreground']:.0%} show a person who stands close, with "
        f"{fast['path']:.1f} questions to a leaf in each of three trees: {fast['processor_ms_per_frame']:.1f} ms of processor "
        f"time each, so {fast['frames_per_second_of_two_free_cores']:.0f} frames a second on two free cores. By the clock it was "
        f"{fast['frames_per_second']:.0f}, as {fast['load']:g} processes shared the two. One core renders "
        f"{results['rendering']['images_per_second_of_one_core']:.0f} people of that size a second. All of the above took "
        f"{sum(point['processor_seconds'] for point in results.values()):.0f} seconds of processor time.",
    ]
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    with written_whole(PAGE) as partial:
        partial.write_text("\n\n".join([before + BEGIN, *parts, END + after]), encoding="utf-8")


def table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|" + " --- |" * len(rows[0]), *body])


if __name__ == "__main__":
    main()
