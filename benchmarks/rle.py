"""COCO run lengths beside pycocotools, side by side in one run: 1,000 masks of 640 x 480 pixels (480 rows) of each kind.

    python benchmarks/rle.py [--out benchmarks/results/rle.json]

A row ends in an exclamation mark, and the run in exit code 1, where ours breaks its promise: no longer than pycocotools for
`objects` and `large`. Results are compared first: the text byte for byte, the masks pixel for pixel. One thread on either side.
The sides take turns at packs of ten masks, and of each pack the shortest time of either side counts, so that other work on the
machine falls away; the ratio of processor time stands beside it.

* `objects` are of the sizes of COCO's: curved outlines from a few to a few hundred pixels across, a third with a hole. `large`
  ones fill most of the frame.
* `noise` draws each pixel on its own, and `stripes` are runs of two pixels: no mask of an object looks like that, and its 150,000
  runs take longer than its pixels. 50 masks of each, without a promise: in stripes ours is the slower.
* pycocotools knows full masks alone, column by column in memory. It gets them so, one at a time or a pack at once, whichever
  takes it less; ours starts from masks row by row (`rows`), or column by column too (`columns`), or from packed crops. In
  `rows, both` it starts from the same array as ours and turns it round.
* `text` is what COCO calls compressed, `counts` the list of numbers, which pycocotools reads but does not write: its text stands
  against ours there.
* Into packed crops ours decodes and packs; pycocotools decodes, and nothing is asked of it after that.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco

from intarsia.core import Array, InstanceMasks
from intarsia.core.rle import crop_of_runs, mask_of_runs, rle_text, runs_of_full, runs_of_mask, runs_of_text

SIZE_HW = (480, 640)
PACK = 10
PROMISED = 1.0
Side = Callable[[int], Any]
"""What one side does with the pack that begins at a mask."""
ROWS: list[dict[str, Any]] = []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--turns", type=int, default=10, help="of either side at each pack")
    asked = parser.parse_args()
    load = round(os.getloadavg()[0], 1)
    for draw, count, least in ((objects, 1000, PROMISED), (large, 1000, PROMISED), (noise, 50, 0.0), (stripes, 50, 0.0)):
        rng = np.random.default_rng(0)
        compare(draw.__name__, [draw(rng) for _ in range(count)], asked.turns, least)
    if asked.out:
        facts = {"python": platform.python_version(), "numpy": np.__version__, "pycocotools": version("pycocotools")}
        facts |= {"cores": os.cpu_count(), "load_before": load, "load_after": round(os.getloadavg()[0], 1)}
        command = f"python benchmarks/rle.py --turns {asked.turns} --out {asked.out.as_posix()}"
        asked.out.write_text(json.dumps({"command": command, **facts, "rows": ROWS}, indent=2) + "\n", encoding="utf-8")
    return int(any(row["ratio"] < row["least"] for row in ROWS))


def compare(kind: str, rows: list[Array], turns: int, least: float) -> None:
    """All rows of a kind of masks, (H, W) bool, row by row in memory."""
    columns = [np.asfortranarray(mask) for mask in rows]
    stacks = {at: np.asfortranarray(np.stack(columns[at : at + PACK], 2).view(np.uint8)) for at in range(0, len(rows), PACK)}
    packed = InstanceMasks.pack(rows, SIZE_HW)
    coded = [coco.encode(mask.view(np.uint8)) for mask in columns]
    texts = [entry["counts"] for entry in coded]
    counts = [runs_of_text(text).tolist() for text in texts]
    listed = [{"size": list(SIZE_HW), "counts": numbers} for numbers in counts]

    def each(function: Callable[[Any], Any], of: Sequence[Any]) -> Side:
        return lambda at: [function(item) for item in of[at : at + PACK]]

    def at_once(function: Callable[[Any], Any], of: Sequence[Any]) -> Side:
        return lambda at: function(of[at : at + PACK])

    def packs(crop: Callable[[Any], Any], of: Sequence[Any]) -> Side:
        return at_once(lambda some: InstanceMasks.pack_crops(map(crop, some), SIZE_HW), of)

    encode = [each(lambda mask: coco.encode(mask.view(np.uint8)), columns), lambda at: coco.encode(stacks[at])]
    turn_and_encode = [each(lambda mask: coco.encode(np.asfortranarray(mask.view(np.uint8))), rows)]
    decode = [each(coco.decode, coded), at_once(coco.decode, coded)]
    read = [each(lambda e: coco.decode(coco.frPyObjects(e, *SIZE_HW)), listed)]
    read += [at_once(lambda some: coco.decode(coco.frPyObjects(some, *SIZE_HW)), listed)]
    for name, theirs, ours, expected in (
        ("packed to text", encode, each(lambda index: rle_text(runs_of_mask(packed, index)), range(len(rows))), texts),
        ("packed to counts", encode, each(lambda index: runs_of_mask(packed, index).tolist(), range(len(rows))), counts),
        ("rows to text", encode, each(lambda mask: rle_text(runs_of_full(mask)), rows), texts),
        ("rows, both, to text", turn_and_encode, each(lambda mask: rle_text(runs_of_full(mask)), rows), texts),
        ("columns to text", encode, each(lambda mask: rle_text(runs_of_full(mask)), columns), texts),
        ("rows to counts", encode, each(lambda mask: runs_of_full(mask).tolist(), rows), counts),
        ("text to packed", decode, packs(lambda text: crop_of_runs(runs_of_text(text), SIZE_HW), texts), rows),
        ("text to full", decode, each(lambda text: mask_of_runs(runs_of_text(text), SIZE_HW), texts), rows),
        ("counts to packed", read, packs(lambda numbers: crop_of_runs(numbers, SIZE_HW), counts), rows),
        ("counts to full", read, each(lambda numbers: mask_of_runs(numbers, SIZE_HW), counts), rows),
    ):
        for at in range(0, len(rows), PACK):
            found = ours(at)
            masks = [found.mask(index) for index in range(len(found))] if isinstance(found, InstanceMasks) else found
            if not all(np.array_equal(*pair) for pair in zip(masks, expected[at : at + PACK], strict=True)):
                raise SystemExit(f"{kind}, {name}: a result differs.")
        race(f"{kind}: {name}", theirs, ours, len(rows) // PACK, turns, least)


def race(name: str, theirs: Sequence[Side], ours: Side, packs: int, turns: int, least: float) -> None:
    """Print and note the sum, over packs, of the shortest time of either side."""
    times = np.full((len(theirs) + 1, packs, 2), np.inf)  # (side, pack, clock and processor)
    for pack, _, side in product(range(packs), range(turns), range(len(theirs) + 1)):
        function = (*theirs, ours)[side]
        start, cpu_start = time.perf_counter(), time.process_time()
        function(pack * PACK)
        spent = time.perf_counter() - start, time.process_time() - cpu_start
        times[side, pack] = np.minimum(times[side, pack], spent)
    total = 1e3 * times.sum(1)
    (theirs_ms, theirs_cpu_ms), (ours_ms, ours_cpu_ms) = total[:-1].min(0).tolist(), total[-1].tolist()
    row = {"row": name, "theirs_ms": theirs_ms, "ours_ms": ours_ms, "ratio": theirs_ms / ours_ms, "least": least}
    ROWS.append({**row, "processor_ratio": theirs_cpu_ms / ours_cpu_ms, "load": round(os.getloadavg()[0], 1)})
    told = f"{name:30} pycocotools {theirs_ms:8.1f} ms   ours {ours_ms:8.1f} ms   {row['ratio']:5.1f} x"
    told += f" ({ROWS[-1]['processor_ratio']:.1f} x of processor time), load {ROWS[-1]['load']}"
    print(told + " !" * (row["ratio"] < least), flush=True)


def objects(rng: np.random.Generator) -> Array:
    """A curved outline, from a few to a few hundred pixels across, and in one of three a hole."""
    mask = np.zeros(SIZE_HW, np.uint8)
    centre, radius = rng.uniform((0, 0), SIZE_HW[::-1]), float(np.exp(rng.uniform(np.log(3), np.log(150))))
    for size, value in ((radius, 1), (radius / 3, 0)) if rng.random() < 1 / 3 else ((radius, 1),):
        cv2.fillPoly(mask, [_outline(rng, centre, size)], value)
    return mask.view(np.bool_)


def large(rng: np.random.Generator) -> Array:
    """Most of the frame."""
    mask = np.zeros(SIZE_HW, np.uint8)
    cv2.fillPoly(mask, [_outline(rng, np.array(SIZE_HW[::-1]) / 2, rng.uniform(240, 400))], 1)
    return mask.view(np.bool_)


def stripes(rng: np.random.Generator) -> Array:
    rows = (np.arange(SIZE_HW[0]) + int(rng.integers(4))) % 4 < 2
    return np.repeat(rows[:, None], SIZE_HW[1], 1)


def noise(rng: np.random.Generator) -> Array:
    return rng.random(SIZE_HW, np.float32) < 0.5


def _outline(rng: np.random.Generator, centre: Array, radius: float) -> Array:
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    waves = sum(rng.uniform(0, 0.3 / n) * np.sin(n * angle + rng.uniform(0, 6)) for n in range(2, 7))
    return (centre + radius * (1 + waves)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)).astype(np.int32)


if __name__ == "__main__":
    sys.exit(main())
