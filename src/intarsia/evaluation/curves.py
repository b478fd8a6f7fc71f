"""Training curves as inline SVG: no script, no outside request, colours from the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["line_chart", "nice_ticks", "training_curves"]

WIDTH, HEIGHT = 380, 220
LEFT, RIGHT, TOP, BOTTOM = 50, 14, 10, 38
LEAST_LOGARITHMIC = 30
"""Ratio of the largest to the smallest loss from which their axis is logarithmic."""
SCORES = ("miou", "accuracy", "/ap", "/ap_50", "/pq", "/pq_things", "/pq_stuff")
OF_A_CLASS = ("val/iou/", "val/ap/", "val/pq/", "train/loss/", "val/loss/")
"""Or of a term of the loss."""
Point = tuple[float, float]


def training_curves(history: Sequence[Mapping[str, float]], *, scores: bool = True) -> list[tuple[str, str]]:
    """(title, SVG) of the charts that the rows of results.csv have values for: losses, scores, learning rate.

    Args:
        history: one mapping from column to value for each row; `epoch` is the x axis, and the row's number where there is none.
            Columns are told apart by the end of their name, as in train_loss, val/loss, val/miou, lr; those of a single class,
            such as val/iou/CLASS, are in none.
        scores: with the chart of scores.
    """
    columns = [name for name in dict.fromkeys(name for row in history for name in row) if not name.startswith(OF_A_CLASS)]
    groups = {
        "Loss": [name for name in columns if name.endswith("loss")],
        "Score on the validation images": [name for name in columns if name.endswith(SCORES) and scores],
        "Learning rate": [name for name in columns if name in ("lr", "learning_rate") or name.startswith("lr-")],
    }
    charts = []
    for title, names in groups.items():
        lines = {name: _points(history, name) for name in names}
        lines = {name: points for name, points in lines.items() if points}
        if lines:
            logarithmic = title == "Loss" and _spans_decades(lines)
            chart = line_chart(lines, x_title="epoch", from_zero=title != "Loss", logarithmic=logarithmic)
            charts.append((f"{title}, logarithmic" if logarithmic else title, chart))
    return charts


def line_chart(lines: Mapping[str, Sequence[Point]], *, x_title: str, from_zero: bool = False, logarithmic: bool = False) -> str:
    """Lines over common axes as an SVG element.

    Args:
        lines: name to points (x, y), finite.
        x_title: stands below the axis.
        from_zero: let the y axis begin at 0.
        logarithmic: let the y axis count in powers of ten; all y are positive then.
    """
    xs = [x for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points] + ([0.0] if from_zero else [])
    x_ticks = nice_ticks(min(xs), max(xs), least=1)
    y_ticks = _decades(min(ys), max(ys)) if logarithmic else nice_ticks(min(ys), max(ys))
    rise = math.log10 if logarithmic else float
    x_range = (min(xs), max(xs)) if max(xs) > min(xs) else (min(xs) - 0.5, min(xs) + 0.5)
    y_range = (rise(y_ticks[0]), rise(y_ticks[-1]))

    def place(x: float, y: float) -> Point:
        right = (x - x_range[0]) / (x_range[1] - x_range[0])
        up = (rise(y) - y_range[0]) / (y_range[1] - y_range[0])
        return LEFT + right * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    spoken = "; ".join(f"{name} from {points[0][1]:.4g} to {points[-1][1]:.4g}" for name, points in lines.items())
    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(spoken)}">']
    for tick in y_ticks:
        _, y = place(x_range[0], tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{tick:.6g}</text>')
    for tick in x_ticks:
        if x_range[0] <= tick <= x_range[1]:
            x, _ = place(tick, y_ticks[0])
            parts.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tick:.6g}</text>')
    parts.append(f'<text class="tick" x="{WIDTH - RIGHT}" y="{HEIGHT - 5}" text-anchor="end">{escape(x_title)}</text>')
    for index, points in enumerate(lines.values()):
        placed = [place(x, y) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline class="line color{index % 4}" points="{path}"/>')
        x, y = placed[-1]
        parts.append(f'<circle class="dot color{index % 4}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
    parts.append("</svg>")
    keys = "".join(
        f'<span><i class="key color{index % 4}"></i>{escape(name)} <b>{points[-1][1]:.4g}</b></span>'
        for index, (name, points) in enumerate(lines.items())
    )
    return f'{"".join(parts)}<p class="keys">{keys}</p>'


def nice_ticks(low: float, high: float, *, least: float = 0.0) -> list[float]:
    """About five round numbers from at or below `low` to at or above `high`, at least `least` apart."""
    if high <= low:
        low, high = low - abs(low) * 0.5 - 1e-9, high + abs(high) * 0.5 + 1e-9
    raw = (high - low) / 5
    scale = 10 ** math.floor(math.log10(raw))
    step = max(least, scale * next(factor for factor in (1, 2, 5, 10) if factor * scale >= raw * 0.999))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def _spans_decades(lines: Mapping[str, Sequence[Point]]) -> bool:
    """Whether a linear axis would show the largest values and nothing else."""
    ys = [y for points in lines.values() for _, y in points]
    return min(ys) > 0 and max(ys) > LEAST_LOGARITHMIC * min(ys)


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten, in steps that leave at most six, from at or below `low` to at or above `high`."""
    first, last = math.floor(math.log10(low)), max(math.ceil(math.log10(high)), math.floor(math.log10(low)) + 1)
    step = math.ceil((last - first) / 5)
    return [10.0**power for power in range(first, last + step, step)]


def _points(history: Sequence[Mapping[str, float]], name: str) -> list[Point]:
    pairs = ((float(row.get("epoch", index)), float(row[name])) for index, row in enumerate(history) if name in row)
    return [(x, y) for x, y in pairs if math.isfinite(x) and math.isfinite(y)]
