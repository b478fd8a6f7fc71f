"""What evaluating images of a thousand objects takes: the memory and time of a whole process.

    python benchmarks/instance_memory.py [--images 20] [--out benchmarks/results/instance_memory.json]

Images of 1024 x 1024 with 1024 discs each; the prediction shifts every disc by up to two pixels and scores it at random. All that
`evaluate` counts is counted: AP of masks and boxes with intervals, VOC's AP, mean precision, AJI. Exit code 1 above 1 GB.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import sys
import time
from pathlib import Path

import numpy as np

from intarsia.core import ClassSpace, InstanceMasks, Instances, Sample
from intarsia.evaluation import evaluate

CLASSES = ClassSpace.from_names(["cell"], things=["cell"])
SIDE, CELLS = 1024, 32
MOST_BYTES = 1e9


class Plate:
    """Discs on a grid, of several sizes."""

    name, task, classes, notes = "plate", "instance", CLASSES, ()

    def __init__(self, images: int) -> None:
        self.splits = {"val": [f"val/{number}" for number in range(images)]}

    def read(self, key: str) -> Sample:
        number = int(key.split("/")[1])
        image = np.full((SIDE, SIDE, 1), number, np.uint8)
        return Sample(image, (discs(np.random.default_rng(number), 0),), key)


class Shifted:
    """The truth, each disc a little off."""

    name, task, classes = "shifted", "instance", CLASSES

    def predict(self, image: np.ndarray, hints: object = None) -> Instances:
        return discs(np.random.default_rng(int(image[0, 0, 0])), 2)


def discs(rng: np.random.Generator, most_shift: int) -> Instances:
    radii = rng.integers(8, 14, CELLS * CELLS)
    shifts = rng.integers(-most_shift, most_shift + 1, (CELLS * CELLS, 2))
    pitch, crops = SIDE // CELLS, []
    for index, (radius, shift) in enumerate(zip(radii.tolist(), shifts.tolist(), strict=True)):
        y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
        top, left = (pitch * place + pitch // 2 - radius + s for place, s in zip(divmod(index, CELLS), shift, strict=True))
        crops.append(((max(top, 0), max(left, 0)), y * y + x * x <= radius * radius))
    masks = InstanceMasks.pack_crops(crops, (SIDE, SIDE))
    return Instances(masks, np.zeros(len(masks), np.int32), CLASSES, rng.random(len(masks)).astype(np.float32))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    start = time.perf_counter()
    result = evaluate(Shifted(), Plate(arguments.images))
    row = {
        "command": f"python benchmarks/instance_memory.py --images {arguments.images}",
        "images": arguments.images,
        "objects_of_an_image": CELLS * CELLS,
        "size_hw": [SIDE, SIDE],
        "seconds": round(time.perf_counter() - start, 1),
        "peak_bytes_of_the_process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "ap": result.score,
        "processor": platform.processor() or platform.machine(),
    }
    print(json.dumps(row, indent=2))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")
    return int(row["peak_bytes_of_the_process"] > MOST_BYTES)


if __name__ == "__main__":
    sys.exit(main())
