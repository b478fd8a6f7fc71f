"""What a field over superpixels makes of a forest's predictions of CamVid: the tables and the picture of docs/region_crf.md.

    python benchmarks/region_crf.py ../shared/data/camvid

A random forest learns from all training images. The field learns from 20 val images, and so does the fully connected CRF to
compare with (12 trials). Scores are of 30 test images, which nothing was learnt from. Writes benchmarks/results/region_crf.json
and docs/images/region_crf.png, and puts the tables on the page.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from intarsia.classical.random_forest import RandomForest
from intarsia.core import Array, ClassSpace, Dataset, LabelMap, Sample
from intarsia.data.datasets import open_dataset
from intarsia.evaluation.tune import tune_crf
from intarsia.metrics.confusion import ConfusionEvidence, observe_confusion, score_confusion
from intarsia.postprocess.fit_region_crf import fit_region_crf
from intarsia.postprocess.region_crf import RegionCRF
from intarsia.viz.colorize import colorize

mpl.use("agg")
import matplotlib.pyplot as plt
from matplotlib.patches import Patch

ROOT = Path(__file__).parents[1]
RESULTS, PAGE, PICTURE = (
    ROOT / name for name in ("benchmarks/results/region_crf.json", "docs/region_crf.md", "docs/images/region_crf.png")
)
BEGIN, END = "<!-- made by benchmarks/region_crf.py: {} -->", "<!-- end of {} -->"
FITTED, JUDGED, TRIALS = 20, 30, 12
SHOWN = (19, 26)  # of the judged ones
Case = tuple[LabelMap, Sample]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("camvid", type=Path)
    data = open_dataset(f"camvid:{parser.parse_args().camvid}", view="semantic")
    forest = RandomForest.fit(map(data.read, data.splits["train"]), data.classes)
    known, unseen = predicted(forest, data, "val", FITTED), predicted(forest, data, "test", JUDGED)
    start = time.process_time()
    field = fit_region_crf((prediction, sample.image, sample.truth) for prediction, sample in known)
    seconds = time.process_time() - start
    dense = tune_crf(known, TRIALS).best[0]
    ways: dict[str, Callable[[LabelMap, Array], LabelMap]] = {
        "the forest": lambda prediction, image: prediction,
        "superpixels and contrast": replace(field, together_weight=0, above_weight=0, inside_weight=0),
        "and co-occurrence": replace(field, above_weight=0, inside_weight=0),
        "and relations: `region_crf`": field,
        "`crf`, tuned": dense,
        "`region_crf`, then `crf`": lambda prediction, image: dense(field(prediction, image), image),
    }
    scores = [judged(name, way, unseen) for name, way in ways.items()]
    weights = {name: getattr(field, name) for name in vars(field) if name.endswith("_weight")}
    found = {
        "scores": scores,
        "fit processor seconds": seconds,
        "field": {**weights, "segments": field.segments, "detail": field.detail},
        "above": dict(zip(field.classes, field.above, strict=True)),
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    draw(field, [unseen[number] for number in SHOWN], data.classes)
    write_page(scores, data.classes.names)


def predicted(forest: RandomForest, data: Dataset, split: str, count: int) -> list[Case]:
    """Images spread over a split, and what the forest says."""
    names = data.splits[split]
    samples = (data.read(names[int(i)]) for i in np.linspace(0, len(names) - 1, count))
    return [(forest.predict(sample.image, prob=True), sample) for sample in samples]


def judged(name: str, way: Callable[[LabelMap, Array], LabelMap], cases: Sequence[Case]) -> dict[str, Any]:
    start = time.process_time()
    found = [way(prediction, sample.image) for prediction, sample in cases]
    seconds = (time.process_time() - start) / len(cases)
    rows = [observe_confusion(one, sample.truth, sample.key) for one, (_, sample) in zip(found, cases, strict=True)]
    scores = score_confusion(ConfusionEvidence.concatenate(rows))
    summary = {"accuracy": float(scores.pixel_accuracy), "mIoU": float(scores.miou), "seconds": seconds}
    return {"": name, **summary, "iou": [float(value) for value in scores.iou]}


def draw(field: RegionCRF, cases: Sequence[Case], classes: ClassSpace) -> None:
    """Streets, and on their right what is above what."""
    plt.rcParams.update({"font.family": "DejaVu Sans", "font.size": 10, "text.color": "#202122"})
    figure = plt.figure(figsize=(13, 4.1), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(2, 1))
    titles = ("image", "forest", "refined", "truth")
    for line, (row, (prediction, sample)) in enumerate(zip(left.subplots(len(cases), 4), cases, strict=True)):
        refined, truth = field(prediction, sample.image), sample.truth
        panels = (sample.image, colorize(prediction), colorize(refined), colorize(truth))
        for axes, title, picture in zip(row, titles, panels, strict=True):
            axes.imshow(picture)
            axes.set_axis_off()
            if not line:
                axes.set_title(title, fontsize=10)
    axes, names = right.subplots(), [name.replace("_", " ") for name in field.classes]
    colors = [Patch(color=color, label=name) for name, color in zip(names, classes.colors / 255, strict=True)]
    left.legend(handles=colors, loc="lower center", ncols=len(colors), fontsize=8, frameon=False, handlelength=1, columnspacing=1)
    shown = axes.imshow(field.above, cmap="RdBu", vmin=-3, vmax=3)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set(ylabel="what is above ...", xlabel="... what")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = right.colorbar(shown, ax=axes, location="top", shrink=0.7, aspect=30, ticks=(-3, 0, 3))
    bar.set_ticklabels(("never", "as often as expected", "20 times"), fontsize=8)
    bar.outline.set_visible(False)
    figure.savefig(PICTURE, dpi=100)


def write_page(scores: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    """Put each table between its marks."""
    text = PAGE.read_text(encoding="utf-8")
    summary = [[row[""], f"{row['accuracy']:.3f}", f"{row['mIoU']:.3f}", f"{row['seconds']:.2f}"] for row in scores]
    chosen = [scores[0], scores[3], scores[4]]
    classes = [[name, *(f"{row['iou'][k]:.3f}" for row in chosen)] for k, name in enumerate(names)]
    tables = {
        "scores": table(["", "accuracy", "mIoU", "processor seconds an image"], summary),
        "classes": table(["IoU", *(row[""].rpartition(": ")[2] for row in chosen)], classes),
    }
    for name, rows in tables.items():
        before, mark, rest = text.partition(BEGIN.format(name))
        _, end, after = rest.partition(END.format(name))
        text = f"{before}{mark}\n\n{rows}\n\n{end}{after}"
    PAGE.write_text(text, encoding="utf-8")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


if __name__ == "__main__":
    main()
