"""The page of the CamVid bench: tables and a plot of its results, beside what papers report.

python benchmarks/camvid_table.py
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from intarsia.core.whole_file import written_whole
from intarsia.data.datasets.camvid import COLORS
from intarsia.models import SEMANTIC

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "camvid.json"
PAGE = HERE.parent / "docs" / "bench.md"
PLOT = HERE.parent / "docs" / "images" / "camvid.png"
BEGIN, END = "<!-- made by benchmarks/camvid_table.py: begin -->", "<!-- end -->"

NETWORKS = (
    *(f"fc_densenet:layers={layers}" for layers in (103, 67, 56)),
    *(name for name in SEMANTIC.names if name != "fc_densenet"),
)
"""What the table has a row for, trained or not."""

PUBLISHED = (  # network, mIoU in per cent, start, paper
    ("FC-DenseNet103", 66.9, "random", "Jégou et al. 2017"),
    ("FC-DenseNet67", 65.8, "random", "Jégou et al. 2017"),
    ("FC-DenseNet56", 58.9, "random", "Jégou et al. 2017"),
    ("Dilation8", 65.3, "ImageNet", "Yu, Koltun 2016"),
    ("FCN-8s", 57.0, "ImageNet", "as quoted by Jégou et al. 2017"),
    ("SegNet", 46.4, "ImageNet", "as quoted by Yu, Koltun 2016"),
)


def write_page(results: Mapping[str, Mapping[str, Any]]) -> None:
    """Put the tables between the marks of docs/bench.md, and draw the plot."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    with written_whole(PAGE) as partial:
        partial.write_text(f"{before}{BEGIN}\n\n{tables(results)}\n\n{END}{after}", encoding="utf-8")
    draw(results, PLOT)


def tables(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Results from the best down, then what was not trained; the classes of each; what papers report."""
    trained = sorted((key for key, row in results.items() if "miou" in row), key=lambda key: -results[key]["miou"])
    failed = [key for key, row in results.items() if "failed" in row]
    missing = [name for name in NETWORKS if name not in results]
    return "\n\n".join(
        [
            _table(
                ("network", "test mIoU", "accuracy", "parameters", "epochs", "training", "images/s", "memory", "device"),
                [
                    *(_row(key, results[key]) for key in trained),
                    *((f"`{key}`", results[key]["failed"], *[""] * 6, results[key]["device"]) for key in failed),
                    *((f"`{key}`", "*not trained yet*", *[""] * 7) for key in missing),
                ],
            ),
            _table(
                ("test IoU", *(name.replace("_", " ") for name in COLORS)),
                [(f"`{key}`", *(_per_cent(results[key]["iou"][name]) for name in COLORS)) for key in trained],
            ),
            "What papers report on this split:",
            _table(
                ("network", "test mIoU", "first weights", "source"),
                [(name, f"{miou:.1f}", start, paper) for name, miou, start, paper in PUBLISHED],
            ),
        ]
    )


def draw(results: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Bars of test mIoU, ours and the papers'."""
    from matplotlib import figure

    trained = {key: row for key, row in results.items() if "miou" in row}
    ours = [(f"{key}, {row['epochs']} epochs", 100 * row["miou"], "#3b6ea5") for key, row in trained.items()]
    papers = [(f"{name}, {paper}", miou, "#b9b2a6" if start == "random" else "#ded9d0") for name, miou, start, paper in PUBLISHED]
    bars = sorted([*ours, *papers], key=lambda bar: bar[1])
    plot = figure.Figure(figsize=(8, 1.2 + 0.3 * len(bars)), layout="constrained")
    axes = plot.subplots()
    axes.barh([name for name, _, _ in bars], [miou for _, miou, _ in bars], color=[color for _, _, color in bars], height=0.7)
    for place, (_, miou, _) in enumerate(bars):
        axes.text(miou + 0.6, place, f"{miou:.1f}", va="center", fontsize=9)
    axes.set_xlim(0, 100)
    axes.set_xlabel("mIoU on the 233 test images, %")
    for kind, color in (
        ("this bench, from scratch", "#3b6ea5"),
        ("paper, from scratch", "#b9b2a6"),
        ("paper, from ImageNet", "#ded9d0"),
    ):
        axes.barh(0, 0, color=color, label=kind)
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(exist_ok=True)
    plot.savefig(path, dpi=110)


def _row(key: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    speed = row["speed"]
    return (
        f"`{key}`",
        f"**{_per_cent(row['miou'])}**",
        _per_cent(row["accuracy"]),
        f"{row['parameters']:,}",
        str(row["epochs"]),
        _duration(row["seconds"]),
        f"{row['images_per_s']:.1f} ({speed['loader']:.1f} with {speed['workers']} workers)",
        f"{row['peak_bytes'] / 2**30:.1f} GB",
        f"{row['device']}, {row['precision']}",
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def _per_cent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    write_page(json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {})
