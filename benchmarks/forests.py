"""What makes a forest good and what it costs, on CamVid and on nuclei: the tables and the picture of docs/forests.md.

    python benchmarks/forests.py ../shared/data

writes benchmarks/results/forests.json and docs/images/forests.png, and puts the tables on the page. Accuracy is the share of
right pixels on images that were not learnt from. Times are processor time of one thread, the least of three.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np

from intarsia.classical._grow_trees import bootstrap_counts, grow_trees
from intarsia.classical._pixel_features import feature_strips
from intarsia.classical._trees import Trees
from intarsia.classical.random_forest import Learnt, RandomForest, draw_pixels, out_of_bag_scores
from intarsia.classical.scribble_forest import LiveForest
from intarsia.core import Array, Dataset, Hints, LabelMap
from intarsia.data.datasets import open_dataset
from intarsia.evaluation import evaluate
from intarsia.viz.colorize import colorize

mpl.use("agg")
import matplotlib.pyplot as plt
from matplotlib.patches import Patch

ROOT = Path(__file__).parents[1]
RESULTS, PAGE, PICTURE = (
    ROOT / name for name in ("benchmarks/results/forests.json", "docs/forests.md", "docs/images/forests.png")
)
BEGIN, END = "<!-- made by benchmarks/forests.py: {} -->", "<!-- end of {} -->"
TRAIN, VAL = 90, 30
COUNTS = (1, 2, 4, 8, 16, 32, 64)
INK, RUST, BLUE, GREY = "#202122", "#c8461e", "#2b6cb0", "#8a8d91"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with camvid/ and nuclei/")
    root = parser.parse_args().data
    streets = open_dataset(f"camvid:{root / 'camvid'}", view="semantic")
    nuclei = open_dataset(root / "nuclei", view="semantic")
    keys = {split: spread(streets, split, count) for split, count in (("train", TRAIN), ("val", VAL))}
    known, unseen = (drawn_from(streets, names) for names in keys.values())
    found = {
        "trees": by_number(known, unseen),
        "variance": by_correlation(known, unseen),
        "candidates": by_candidates(known, unseen),
        "bags": by_bags(known, unseen),
        "speed": times(streets.read(keys["val"][0]).image, known),
        "data": [on_data(streets), on_data(nuclei)],
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    draw(found, streets, keys["train"], keys["val"][VAL // 2])
    write_page(found)


def spread(data: Dataset, split: str, count: int) -> list[str]:
    return [data.splits[split][int(i)] for i in np.linspace(0, len(data.splits[split]) - 1, count)]


def drawn_from(data: Dataset, keys: Sequence[str]) -> Learnt:
    return draw_pixels(map(data.read, keys), len(data.classes), 400, 0.5, 5, True, np.random.default_rng(0))


def grow(known: Learnt, trees: int, groups: Array | None = None, *, candidates: int = 7, seed: int = 0) -> tuple[Trees, Array]:
    """A forest, and which pixels each tree saw, (T, N); images are drawn where no other groups are given."""
    rng = np.random.default_rng(seed)
    drawn = bootstrap_counts(known.image if groups is None else groups, trees, rng)
    settings = {"classes": int(known.label.max()) + 1, "candidates": candidates, "depth": 20, "min_leaf": 4}
    return grow_trees(known.points, known.label, drawn, rng=rng, **settings), drawn > 0


def first(trees: Trees, count: int) -> Trees:
    return Trees.from_arrays({**trees.to_arrays(), "roots": trees.roots[:count]})


def accuracy(trees: Trees, unseen: Learnt) -> float:
    right = trees.predict(unseen.points).argmax(1) == unseen.label
    return float((right * unseen.worth).sum() / unseen.worth.sum())


def by_number(known: Learnt, unseen: Learnt) -> list[dict[str, float]]:
    """Means and votes of more and more trees."""
    forest, seen = grow(known, COUNTS[-1])
    rows = []
    for count in COUNTS:
        some = first(forest, count)
        bagged = out_of_bag_scores(some, known, seen[:count])
        judged = bagged["out_of_bag/pixels"] / len(known.label)
        scores = {"mean": accuracy(some, unseen), "vote": accuracy(some.by_vote(), unseen)}
        rows.append({"trees": count, **scores, "out of bag": bagged["out_of_bag/accuracy"], "judged": judged})
    return rows


def by_correlation(known: Learnt, unseen: Learnt, parts: int = 10, trees: int = 16) -> dict[str, Any]:
    """How much answers vary over training sets without a common image; rho and s^2 from other trees than the means."""
    answers = []
    points, label = unseen.points, unseen.label
    for part in range(parts):
        mine = known.image % parts == part
        renumbered = np.unique(known.image[mine], return_inverse=True)[1]
        half = known._replace(points=np.ascontiguousarray(known.points[:, mine]), label=known.label[mine], image=renumbered)
        forest, _ = grow(half, 2 * trees, seed=part)
        each = np.stack([_of_truth(forest.tree(t).predict(points), label) for t in range(2 * trees)])
        answers.append(each)
    values = np.array(answers)
    estimated, measured = values[:, :trees], values[:, trees:]
    centred = estimated - estimated.mean((0, 1))
    variance = (centred**2).sum((0, 1)) / (parts - 1) / trees
    pairs = ((centred.sum(1) ** 2 - (centred**2).sum(1)) / (trees * (trees - 1))).sum(0) / (parts - 1)
    s2, rho = float(variance.mean()), float(pairs.mean() / variance.mean())
    rows = [
        {"trees": t, "formula": (rho + (1 - rho) / t) * s2, "measured": float(measured[:, :t].mean(1).var(0, ddof=1).mean())}
        for t in (1, 2, 4, 8, 16)
    ]
    return {"rho": rho, "s2": s2, "rows": rows}


def _of_truth(shares: Array, label: Array) -> Array:
    """The share of the true class of each point; trees that know fewer classes give the others nothing."""
    wide = np.pad(shares, ((0, 0), (0, max(0, int(label.max()) + 1 - shares.shape[1]))))
    return np.asarray(wide[np.arange(len(label)), label])


def by_candidates(known: Learnt, unseen: Learnt) -> list[dict[str, float]]:
    """How many features a node may choose from."""
    rows = []
    for candidates in (1, 3, 7, 15, len(known.points)):
        start = time.process_time()
        forest, _ = grow(known, 32, candidates=candidates)
        seconds = time.process_time() - start
        single = float(np.mean([accuracy(forest.tree(t), unseen) for t in range(4)]))
        rows.append({"candidates": candidates, "one tree": single, "32 trees": accuracy(forest, unseen), "seconds": seconds})
    return rows


def by_bags(known: Learnt, unseen: Learnt) -> list[dict[str, Any]]:
    """What a bootstrap of pixels and one of images say about themselves."""
    rows = []
    for name, groups in (("pixels", np.arange(len(known.image))), ("images", known.image)):
        forest, seen = grow(known, 32, groups)
        bagged = out_of_bag_scores(forest, known, seen)["out_of_bag/accuracy"]
        rows.append(
            {"bags": name, "unseen share": float((~seen).mean()), "out of bag": bagged, "other images": accuracy(forest, unseen)}
        )
    return rows


def times(image: Array, known: Learnt) -> list[dict[str, Any]]:
    """Processor seconds; the image is enlarged to 640 x 480."""
    from sklearn.ensemble import RandomForestClassifier

    picture = cv2.resize(image, (640, 480), interpolation=cv2.INTER_CUBIC)
    strips = [points for _, points in feature_strips(picture)]
    points = np.concatenate(strips, 1)
    forest, _ = grow(known, 32)
    theirs = RandomForestClassifier(32, max_depth=20, min_samples_leaf=4, random_state=0, n_jobs=1)
    rows, columns = np.ascontiguousarray(known.points.T), np.ascontiguousarray(points.T)
    scribbles = np.full(picture.shape[:2], -1, np.int32)
    scribbles[40:46, 50:500], scribbles[430:436, 50:500] = 0, 1
    hints, live = Hints(scribbles=scribbles), LiveForest(picture)
    settings = {"classes": 11, "candidates": 7, "depth": 20, "min_leaf": 4, "threads": 1}
    drawn = bootstrap_counts(known.image, 32, np.random.default_rng(0))

    def grow_here() -> object:
        return grow_trees(known.points, known.label, drawn, rng=np.random.default_rng(0), **settings)

    tasks: Mapping[str, Callable[[], object]] = {
        "features of 640 x 480 pixels": lambda: list(feature_strips(picture)),
        "32 trees asked about 640 x 480 pixels": lambda: forest.predict(points, threads=1),
        "the same by scikit-learn, as many trees": lambda: theirs.predict_proba(columns),
        f"32 trees grown on {len(rows):,} pixels": grow_here,
        "the same by scikit-learn": lambda: theirs.fit(rows, known.label),
        "scribbles: the image opened": lambda: LiveForest(picture),
        "scribbles: learnt and shown again": lambda: live.fit(hints),
    }
    theirs.fit(rows, known.label)
    result = []
    for name, task in tasks.items():
        repeats = 1 if name == "the same by scikit-learn" else 3
        spans = []
        for _ in range(repeats):
            start = time.process_time()
            task()
            spans.append(time.process_time() - start)
        result.append({"what": name, "seconds": min(spans)})
    return result


def on_data(data: Dataset) -> dict[str, Any]:
    """The defaults, on all training images."""
    start = time.process_time()
    forest = RandomForest.fit(map(data.read, data.splits["train"]), data.classes)
    seconds = time.process_time() - start
    evaluation = evaluate(forest, data)
    size = sum(array.nbytes for array in forest.to_arrays().values())
    return {
        "data": data.name,
        "images": len(data.splits["train"]),
        "fit seconds": seconds,
        "file MB": size / 1e6,
        "out of bag": forest.scores["out_of_bag/accuracy"],
        "accuracy": evaluation.scores.pixel_accuracy,
        "out of bag mIoU": forest.scores["out_of_bag/miou"],
        "mIoU": evaluation.scores.miou,
        "interval": list(evaluation.intervals.of("miou")),
    }


def draw(found: Mapping[str, Any], data: Dataset, train: Sequence[str], shown: str) -> None:
    """Above what 1, 4 and 32 trees see, below the curves."""
    sample = data.read(shown)
    forest = RandomForest.fit(map(data.read, train), data.classes)
    panels = [("image", sample.image)]
    for count in (1, 4, 32):
        some = RandomForest(first(forest.trees, count), data.classes, forest.options, {}, "")
        ids = some.predict(sample.image).ids
        panels.append((f"{count} trees" if count > 1 else "one tree", colorize(LabelMap(ids, data.classes))))
    panels.append(("truth", colorize(sample.truth)))
    plt.rcParams.update({"font.family": "DejaVu Sans", "font.size": 10, "text.color": INK, "axes.edgecolor": GREY})
    figure = plt.figure(figsize=(11, 6.2), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.6))
    for axes, (name, picture) in zip(above.subplots(1, len(panels)), panels, strict=True):
        axes.imshow(picture)
        axes.set_title(name, fontsize=10)
        axes.set_axis_off()
    named = zip(data.classes.names, data.classes.colors / 255, strict=True)
    colors = [Patch(color=color, label=name.replace("_", " ")) for name, color in named]
    above.legend(
        handles=colors, loc="lower center", ncols=len(colors), fontsize=8, frameon=False, handlelength=1, columnspacing=1
    )
    left, right = below.subplots(1, 2)
    rows = found["trees"]
    for name, color, style in (("mean", RUST, "-"), ("vote", BLUE, "-"), ("out of bag", GREY, "--")):
        label = {"mean": "mean of shares", "vote": "majority of votes", "out of bag": "out of bag, by the mean"}[name]
        left.plot([row["trees"] for row in rows], [row[name] for row in rows], style, color=color, marker="o", ms=4, label=label)
    left.set(xscale="log", xlabel="trees", ylabel="share of right pixels")
    left.set_xticks(COUNTS, map(str, COUNTS), minor=False)
    left.legend(frameon=False)
    rows = found["variance"]["rows"]
    ticks = [row["trees"] for row in rows]
    right.plot(ticks, [row["formula"] for row in rows], "-", color=GREY, label="ρ s² + (1 − ρ) s² / T")
    right.plot(ticks, [row["measured"] for row in rows], "o", color=RUST, label="measured on other trees")
    right.axhline(found["variance"]["rho"] * found["variance"]["s2"], color=GREY, lw=0.8, ls=":")
    right.set(xscale="log", xlabel="trees", ylabel="variance of the answer", ylim=(0, None))
    right.set_xticks(ticks, map(str, ticks), minor=False)
    right.legend(frameon=False)
    for axes, title in ((left, "More trees err less ..."), (right, "... until only what they have in common is left")):
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(title, fontsize=11, loc="left")
    figure.savefig(PICTURE, dpi=100)


def write_page(found: Mapping[str, Any]) -> None:
    """Put each table between its marks."""
    text = PAGE.read_text(encoding="utf-8")
    variance = found["variance"]
    tables = {
        "trees": table(found["trees"], ("trees", "mean", "vote", "out of bag", "judged")),
        "variance": f"ρ = {variance['rho']:.3f}, s² = {variance['s2']:.4f}.\n\n"
        + table(variance["rows"], ("trees", "formula", "measured")),
        "candidates": table(found["candidates"], ("candidates", "one tree", "32 trees", "seconds")),
        "bags": table(found["bags"], ("bags", "unseen share", "out of bag", "other images")),
        "speed": table(found["speed"], ("what", "seconds")),
        "data": table(
            [{**row, "interval": "{:.3f} to {:.3f}".format(*row["interval"])} for row in found["data"]],
            ("data", "images", "fit seconds", "file MB", "out of bag", "accuracy", "out of bag mIoU", "mIoU", "interval"),
        ),
    }
    for name, rows in tables.items():
        before, mark, rest = text.partition(BEGIN.format(name))
        _, end, after = rest.partition(END.format(name))
        text = f"{before}{mark}\n\n{rows}\n\n{end}{after}"
    PAGE.write_text(text, encoding="utf-8")


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    return "\n".join([*lines, *(f"| {' | '.join(cell(name, row[name]) for name in columns)} |" for row in rows)])


def cell(name: str, value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    if name in ("formula", "measured"):
        return f"{value:.4f}"
    return f"{value:.1f}" if name in ("fit seconds", "file MB") else f"{value:.2f}" if name == "seconds" else f"{value:.3f}"


if __name__ == "__main__":
    main()
