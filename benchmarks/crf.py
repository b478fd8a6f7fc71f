"""The fully connected CRF: time as a ratio to pydensecrf in the same run, memory, and what the inexact options cost.

    python benchmarks/crf.py [ROUNDS]           of the small one, 30 if not given; of the large one a twelfth, at least 3

480 x 360 pixels, 21 classes, 10 iterations and 2048 x 1024, 19 classes, 5 iterations, on a photograph and smooth random unaries.
Asked is at most 0.5 of pydensecrf's time on 2 cores, and at most 800 MB of memory for the large one, interpreter and input
included.

pydensecrf (MIT) is a peer and no dependency. Release 1.0rc3 does not build as it is: unpack its source, delete
pydensecrf/eigen.cpp and pydensecrf/densecrf.cpp, run `python setup.py build_ext --inplace` with Cython 0.29, and put the folder
on PYTHONPATH.

Rounds take turns, and the best of each counts. Where other work holds the cores, wall time says little about two threads, so
processor seconds are given too, and what they would make of two free cores: the main thread's seconds, during which no other
works, and half of the rest. Writes benchmarks/results/crf.json.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from skimage.data import astronaut

from intarsia.core import Array
from intarsia.postprocess.dense_crf import DenseCRF, refine
from intarsia.workflow.hardware import processor_name

try:
    from pydensecrf import densecrf
except ImportError:
    densecrf = None

PROBLEMS = {"480x360, 21 classes, 10 iterations": (360, 480, 21, 10), "2048x1024, 19 classes, 5 iterations": (1024, 2048, 19, 5)}
FIELD = {"spatial_weight": 3.0, "spatial_xy": 3.0, "bilateral_weight": 4.0, "bilateral_xy": 49.0, "bilateral_rgb": 13.0}
OPTIONS: dict[str, dict[str, float]] = {"drop_below=0.01": {"drop_below": 0.01}, "stop_below=0.01": {"stop_below": 0.01}}
KNOWN_PEER_S = {
    "480x360, 21 classes, 10 iterations": 0.48,
    "2048x1024, 19 classes, 5 iterations": 4.0,
}  # one core of a like machine
RESULT = Path(__file__).parent / "results" / "crf.json"


def problem(height: int, width: int, labels: int) -> tuple[Array, Array]:
    """A photograph, and unaries that are noise enlarged 8 times; a third of the classes is hopeless everywhere."""
    image = cv2.resize(astronaut(), (width, height), interpolation=cv2.INTER_CUBIC)
    draw = np.random.default_rng(0)
    unary = np.empty((labels, height, width), np.float32)
    for k in range(labels):
        small = draw.normal(12 * (k % 3 == 2), 2, (height // 8, width // 8)).astype(np.float32)
        cv2.resize(small, (width, height), dst=unary[k])
    return image, unary


def theirs(image: Array, unary: Array, iterations: int) -> Array:
    height, width = image.shape[:2]
    crf = densecrf.DenseCRF2D(width, height, len(unary))
    crf.setUnaryEnergy(unary.reshape(len(unary), -1))
    crf.addPairwiseGaussian(sxy=FIELD["spatial_xy"], compat=FIELD["spatial_weight"])
    image = np.ascontiguousarray(image)
    crf.addPairwiseBilateral(
        sxy=FIELD["bilateral_xy"], srgb=FIELD["bilateral_rgb"], rgbim=image, compat=FIELD["bilateral_weight"]
    )
    return np.array(crf.inference(iterations)).reshape(unary.shape)


def ours(image: Array, unary: Array, iterations: int, threads: int, **options: float) -> Array:
    return refine(unary, image, DenseCRF(**FIELD, iterations=iterations, **options), threads=threads).prob  # type: ignore[return-value, arg-type]


def timed(task: Callable[[], Array]) -> tuple[float, float, float]:
    """Wall seconds, processor seconds of all threads, and those of the main thread alone."""
    clocks = (time.perf_counter, time.process_time, time.thread_time)
    before = [clock() for clock in clocks]
    task()
    wall, processor, main_thread = (clock() - start for clock, start in zip(clocks, before, strict=True))
    return wall, processor, main_thread


def measure(name: str, rounds: int) -> dict[str, Any]:
    height, width, labels, iterations = PROBLEMS[name]
    image, unary = problem(height, width, labels)
    tasks: dict[str, Callable[[], Array]] = {
        "intarsia, 1 thread": lambda: ours(image, unary, iterations, 1),
        "intarsia, 2 threads": lambda: ours(image, unary, iterations, 2),
    }
    if densecrf is not None:
        tasks = {"pydensecrf": lambda: theirs(image, unary, iterations), **tasks}
    results = {task: run() for task, run in tasks.items()}  # and warm up
    best = dict.fromkeys(tasks, (np.inf, np.inf, np.inf))
    loads = []
    for _ in range(rounds):
        for task, run in tasks.items():
            best[task] = tuple(np.minimum(best[task], timed(run)))
        loads.append(os.getloadavg()[0])
    row: dict[str, Any] = {
        "load": [round(min(loads), 1), round(max(loads), 1)],
        "wall_s": {task: round(wall, 3) for task, (wall, *_) in best.items()},
        "processor_s": {task: round(seconds, 3) for task, (_, seconds, _) in best.items()},
        "peak_mb": {task: peak(name, task) for task in tasks},
    }
    if densecrf is not None:
        row["ratio_wall_2_threads"] = round(best["intarsia, 2 threads"][0] / best["pydensecrf"][0], 3)
        row["ratio_processor"] = round(best["intarsia, 1 thread"][1] / best["pydensecrf"][1], 3)
        _, seconds, alone = best["intarsia, 2 threads"]
        row["ratio_on_two_free_cores_expected"] = round((alone + (seconds - alone) / 2) / best["pydensecrf"][1], 3)
        row["largest_difference"] = float(np.abs(results["pydensecrf"] - results["intarsia, 2 threads"]).max())
    else:
        row["ratio_wall_2_threads_to_known"] = round(best["intarsia, 2 threads"][0] / KNOWN_PEER_S[name], 3)
    exact = results["intarsia, 1 thread"]
    row["inexact"] = {}
    for option, settings in OPTIONS.items():
        quick = ours(image, unary, iterations, 1, **settings)
        seconds = min(timed(lambda settings=settings: ours(image, unary, iterations, 1, **settings))[1] for _ in range(rounds))
        row["inexact"][option] = {
            "processor_s": round(seconds, 3),
            "largest_difference": round(float(np.abs(quick - exact).max()), 5),
            "labels_changed": float((quick.argmax(0) != exact.argmax(0)).mean()),
        }
    return row


def peak(name: str, task: str) -> int:
    """Peak MB of a process of its own that does one task."""
    command = [sys.executable, __file__, "--peak", name, task]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def report_peak(name: str, task: str) -> None:
    height, width, labels, iterations = PROBLEMS[name]
    image, unary = problem(height, width, labels)
    if task == "pydensecrf":
        theirs(image, unary, iterations)
    else:
        ours(image, unary, iterations, int(task.split()[1]))
    status = Path("/proc/self/status").read_text(encoding="ascii")  # getrusage would count the parent's peak too
    print(int(re.findall(r"VmHWM:\s*(\d+)", status)[0]) // 1024)


def main(rounds: int) -> None:
    found: dict[str, Any] = {"command": "python benchmarks/crf.py", "machine": f"{processor_name()}, {platform.machine()}"}
    for name in PROBLEMS:
        found[name] = measure(name, max(rounds * 172_800 // (PROBLEMS[name][0] * PROBLEMS[name][1]), 3))
        print(json.dumps({name: found[name]}, indent=2), flush=True)
    RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        report_peak(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
