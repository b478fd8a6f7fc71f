"""The table of docs/classical.md: every method that gives regions, with its defaults, against what people drew in BSDS.

    python benchmarks/classical.py ../shared/data/bsds [METHOD ...] [--images 20]

A method that benchmarks/results/classical_bsds.json has with the same options and images is not run again, unless it is named.
Each image is scored against each of its annotators. Seconds are processor time of one thread, so that other work on the machine
counts little.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import argparse
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from PIL import Image

from intarsia.classical import CLASSICAL, create_method, describe_method
from intarsia.core import Array, LabelMap
from intarsia.core.whole_file import written_whole
from intarsia.metrics.region_overlap import RegionEvidence, observe_region_overlap, score_region_overlap

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "classical_bsds.json"
PAGE = HERE.parent / "docs" / "classical.md"
BEGIN, END = "<!-- made by benchmarks/classical.py: begin -->", "<!-- end of benchmarks/classical.py -->"
SCORES = ("covering", "variation_of_information", "boundary_recall", "boundary_precision", "achievable_accuracy")
PEOPLE = "people"
"""The row of the annotators, each against the others of the image."""

Item = tuple[str, Array, list[LabelMap]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with images/ and segmentations/")
    parser.add_argument("methods", nargs="*", help="run these again; by default all that are missing")
    parser.add_argument("--images", type=int, default=20, help="how many, at equal steps through their names")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    items = load(given.data, given.images)
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    names = region_methods()
    results = {name: row for name, row in results.items() if name in (*names, PEOPLE)}
    for name in (PEOPLE, *names):
        options = {} if name == PEOPLE else describe_method(name)["options"]
        done = results.get(name, {})
        if name not in given.methods and (done.get("options"), done.get("images")) == (options, len(items)):
            continue
        results[name] = {"options": options, "images": len(items), **(people(items) if name == PEOPLE else run(name, items))}
        print(name, {key: value for key, value in results[name].items() if key != "options"}, flush=True)
        with written_whole(RESULTS) as partial:
            partial.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    write_page(results)


def region_methods() -> list[str]:
    """Those that cut one image into regions without hints."""
    found = map(describe_method, CLASSICAL.names)
    return [about["name"] for about in found if about["result"] == "regions" and not about["sequence"] and not about["hints"]]


def load(root: Path, count: int) -> list[Item]:
    paths = sorted((root / "images").glob("*.jpg"))
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int)]
    return [
        (
            path.stem,
            np.asarray(Image.open(path)),
            [
                LabelMap(np.asarray(Image.open(drawn)).astype(np.uint16))
                for drawn in sorted((root / "segmentations").glob(f"{path.stem}_a*.png"))
            ],
        )
        for path in chosen
    ]


def run(name: str, items: Sequence[Item]) -> dict[str, float]:
    """Scores over all images, and the medians of time and regions."""
    method, evidence, seconds, regions = create_method(name), [], [], []
    method.predict(items[0][1])  # compiles
    for key, image, truths in items:
        start = time.process_time()
        prediction = method.predict(image)
        seconds.append(time.process_time() - start)
        if not isinstance(prediction, LabelMap):
            raise TypeError(f"{name} gives regions, yet its prediction is a {type(prediction).__name__}.")
        regions.append(len(np.unique(prediction.ids)))
        evidence.append(observe_region_overlap(prediction, truths, key))
    return {"regions": median(regions), **scores(evidence), "seconds_per_image": round(median(seconds), 4)}


def people(items: Sequence[Item]) -> dict[str, float]:
    """Each annotator against the others of the same image."""
    pairs = [(key, truths, number) for key, _, truths in items for number in range(len(truths))]
    evidence = [
        observe_region_overlap(truths[number], truths[:number] + truths[number + 1 :], f"{key}_{number}")
        for key, truths, number in pairs
    ]
    return {"regions": median(len(np.unique(truths[number].ids)) for _, truths, number in pairs), **scores(evidence)}


def scores(evidence: Sequence[RegionEvidence]) -> dict[str, float]:
    found = score_region_overlap(RegionEvidence.concatenate(evidence))
    return {name: round(float(found[name]), 4) for name in SCORES}


def write_page(results: Mapping[str, Mapping[str, Any]]) -> None:
    """Put the table between the marks of docs/classical.md, best covering first."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    ranked = sorted(results, key=lambda name: (name == PEOPLE, results[name]["covering"]), reverse=True)
    rows = [(_label(name), *_cells(results[name])) for name in ranked]
    head = (
        "method",
        "regions",
        "covering",
        "variation of information",
        "boundary recall",
        "boundary precision",
        "achievable accuracy",
        "seconds",
    )
    images = " or ".join(sorted({str(row["images"]) for row in results.values()}))
    text = f"{table(head, rows)}\n\nMeasured on {images} images of 481 x 321 pixels; regions and seconds are medians."
    with written_whole(PAGE) as partial:
        partial.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def _label(name: str) -> str:
    return "*people, each against the others*" if name == PEOPLE else f"`{name}`"


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    seconds = f"{row['seconds_per_image']:.2f}" if "seconds_per_image" in row else ""
    return f"{row['regions']:g}", *(f"{row[name]:.3f}" for name in SCORES), seconds


if __name__ == "__main__":
    main()
