"""One HTML file that says what was reached, on what, how, and what it looks like; nothing in it comes from outside."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

from intarsia.core import Array, ClassSpace, Segmentation
from intarsia.evaluation.curves import training_curves
from intarsia.evaluation.evaluate import Evaluation
from intarsia.evaluation.semantic import compared_as_labels
from intarsia.evaluation.table import class_rows
from intarsia.metrics.confusion import observe_confusion, score_confusion
from intarsia.viz.panel import comparison

__all__ = ["Example", "write_report"]

Example = tuple[str, Array, Segmentation, Segmentation]
"""Key, image, truth, prediction."""

PICTURE_WIDTH = 480
LARGEST_MATRIX = 40
MOST_CONFUSIONS = 8

IOU_IN_WORDS = (
    "<b>IoU</b> (intersection over union) of a class: of all pixels that are the class in the truth, in the prediction or in "
    "both, the share that are in both. 1 is perfect, 0 means that not one pixel is right. <b>mIoU</b> is the mean over the "
    "classes, so a rare class counts as much as a common one. Pixels of all images are counted together."
)
COLUMNS_IN_WORDS = (
    "The line across a bar is the {level:.0%} interval: how far the score would move with other images of the same kind "
    "({samples} resamples of the {images} images; frames of one video are alike, so for them it is too narrow). "
    "<b>Recall</b>: of the true pixels of the class, the share that was found. <b>Precision</b>: of the pixels predicted as the "
    "class, the share that are. <b>Share</b>: of the scored pixels, those that are the class in the truth."
)
MATRIX_IN_WORDS = (
    "Each row is a class of the truth and says in percent what its pixels were predicted as. Right is on the diagonal, in blue."
)


def write_report(
    path: str | Path,
    *,
    title: str,
    command: str,
    evaluation: Evaluation | None = None,
    examples: Sequence[Example] = (),
    history: Sequence[Mapping[str, float]] | None = None,
    settings: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Path:
    """Write a report: scores, curves, classes, confusion, pictures, and how to do it again. Parts without content are left out.

    Args:
        path: of the file; folders are made.
        title: heading.
        command: what was typed, word for word.
        evaluation: scores.
        examples: images with truth and prediction; shown worst first, in halves where the evaluation ranks them.
        history: rows of results.csv, see `training_curves`.
        settings: name to value.
        notes: sentences, shown beside the evaluation's own.
        environment: versions and machine, name to value.

    Returns:
        `path`.
    """
    path = Path(path)
    parts = [
        _headline(evaluation) if evaluation else "",
        _notes([*notes, *(evaluation.notes if evaluation else ())]),
        _curves(history or ()),
        _classes(evaluation) if evaluation else "",
        _confusion(evaluation) if evaluation else "",
        _examples(examples, evaluation),
        _pairs("Settings", settings or {}),
        _pairs("Environment", environment or {}),
        f"<section><h2>Command</h2><pre>{escape(command)}</pre></section>" if command else "",
    ]
    about = ""
    if evaluation:
        about = f"{evaluation.predictor} on {evaluation.dataset} {evaluation.split}, {_count(evaluation.images, 'image')}"
    template = Template(files("intarsia.evaluation").joinpath("report.html").read_text(encoding="utf-8"))
    page = template.substitute(title=escape(title), about=escape(about), body="\n".join(part for part in parts if part))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def _headline(evaluation: Evaluation) -> str:
    scores, intervals = evaluation.scores, evaluation.intervals
    low, high = intervals.of("miou")
    interval = "" if math.isnan(low) else f"{intervals.level:.0%} interval {low:.3f} to {high:.3f}"
    tiles = [
        ("pixels scored", f"{scores.share_scored:.1%}", "the others have no truth" if scores.share_scored < 1 else "all of them"),
        ("pixel accuracy", _score(scores.pixel_accuracy), "share of pixels that are right"),
        ("mean accuracy", _score(scores.mean_accuracy), "mean recall of the classes"),
        ("frequency-weighted IoU", _score(scores.fwiou), "classes count by their area"),
    ]
    if not math.isnan(evaluation.images_per_second):
        tiles.append(("speed", f"{evaluation.images_per_second:.3g}/s", "images, prediction alone"))
    cards = "".join(f"<div><dt>{name}</dt><dd>{value}</dd><small>{says}</small></div>" for name, value, says in tiles)
    return (
        f'<section class="headline"><div class="big"><span>mIoU</span><strong>{_score(scores.miou)}</strong>'
        f"<small>{interval}</small></div><dl>{cards}</dl></section><p>{IOU_IN_WORDS}</p>"
    )


def _notes(notes: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in dict.fromkeys(notes))
    return f'<section class="notes"><ul>{items}</ul></section>' if items else ""


def _curves(history: Sequence[Mapping[str, float]]) -> str:
    charts = "".join(f"<figure><figcaption>{title}</figcaption>{svg}</figure>" for title, svg in training_curves(history))
    return f'<section><h2>Training</h2><div class="charts">{charts}</div></section>' if charts else ""


def _classes(evaluation: Evaluation) -> str:
    rows = []
    for row in class_rows(evaluation):
        low, high = row.interval
        whisker = "" if math.isnan(low) else f'<u style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></u>'
        spoken = "" if math.isnan(low) else f"{low:.3f}&hairsp;–&hairsp;{high:.3f}"
        filled = 0 if math.isnan(row.iou) else 100 * row.iou
        rows.append(
            f"<tr><th>{_swatch(row.color)}{escape(row.name)}</th><td><b>{_score(row.iou)}</b></td>"
            f'<td class="barred"><div class="bar"><i style="width:{filled:.1f}%"></i>{whisker}</div></td>'
            f"<td>{spoken}</td><td>{_score(row.recall)}</td><td>{_score(row.precision)}</td><td>{_percent(row.truth_share)}</td></tr>"
        )
    intervals = evaluation.intervals
    words = COLUMNS_IN_WORDS.format(level=intervals.level, samples=intervals.samples, images=intervals.images)
    return (
        '<section><h2>Classes</h2><div class="wide"><table class="classes"><thead><tr><th>class</th><th>IoU</th><th></th>'
        "<th>interval</th><th>recall</th><th>precision</th><th>share</th></tr></thead>"
        f'<tbody>{"".join(rows)}</tbody></table></div><p class="explain">{words}</p></section>'
    )


def _confusion(evaluation: Evaluation) -> str:
    classes, counts = evaluation.scores.classes, evaluation.evidence.pooled
    totals = counts.sum(1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    void = bool(counts[:, -1].any())
    names = [*classes.names, *(["void"] if void else [])]
    body = f"<p>{_frequent(shares, totals[:, 0], names)}</p>"
    if len(classes) <= LARGEST_MATRIX:
        heads = "".join(f"<th><span>{escape(name)}</span></th>" for name in names)
        rows = []
        for index, name in enumerate(classes.names):
            cells = "".join(
                _cell(shares[index, column], column == index) if totals[index] else "<td></td>" for column in range(len(names))
            )
            rows.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
        body += (
            f'<div class="wide"><table class="matrix"><thead><tr><th></th>{heads}</tr></thead><tbody>{"".join(rows)}</tbody>'
            f'</table></div><p class="explain">{MATRIX_IN_WORDS}</p>'
        )
    return f"<section><h2>Confusion</h2>{body}</section>"


def _frequent(shares: Array, totals: Array, names: Sequence[str]) -> str:
    """The most frequent mistakes in words."""
    wrong = shares[:, : len(names)].copy()
    np.fill_diagonal(wrong, 0)
    wrong[totals == 0] = 0
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    pairs = [divmod(int(flat), wrong.shape[1]) for flat in order]
    said = [
        f"<b>{escape(names[row])}</b> taken for <b>{escape(names[column])}</b> {_percent(wrong[row, column])}"
        for row, column in pairs
        if wrong[row, column] >= 0.005
    ]
    return "Most frequent mistakes, in percent of the true class: " + "; ".join(said) + "." if said else "Hardly any mistakes."


def _cell(share: float, right: bool) -> str:
    percent = 100 * share
    shown = "" if percent < 0.5 else f"{percent:.0f}"
    return (
        f'<td class="{"right" if right else "wrong"}{" strong" if share > 0.55 else ""}" style="--share:{share:.3f}">{shown}</td>'
    )


def _examples(examples: Sequence[Example], evaluation: Evaluation | None) -> str:
    rank = {key: position for position, key in enumerate(evaluation.ranking if evaluation else ())}
    ranked = sorted((example for example in examples if example[0] in rank), key=lambda example: rank[example[0]])
    middle = len(rank) / 2
    groups = {
        "Images with the lowest score": [example for example in ranked if rank[example[0]] < middle],
        "Images with the highest score": [example for example in reversed(ranked) if rank[example[0]] >= middle],
        "Images": [example for example in examples if example[0] not in rank],
    }
    return "".join(_gallery(title, group) for title, group in groups.items() if group)


def _gallery(title: str, examples: Sequence[Example]) -> str:
    figures: list[str] = []
    seen: set[int] = set()
    for key, image, truth, prediction in examples:
        labels, true_labels, _ = compared_as_labels(prediction, truth)
        scores = score_confusion(observe_confusion(labels, true_labels, key))
        seen.update(int(i) for side in (labels, true_labels) for i in np.unique(side.ids))
        shown = "".join(
            f'<figure><img alt="{name}" src="{_data_uri(picture, flat=name in ("truth", "prediction"))}">'
            f"<figcaption>{name}</figcaption></figure>"
            for name, picture in comparison(image, true_labels, labels, width=PICTURE_WIDTH).items()
        )
        figures.append(
            f'<div class="example"><h3>{escape(key)} <small>mIoU {_score(scores.miou)}, pixel accuracy '
            f'{_score(scores.pixel_accuracy)}</small></h3><div class="pictures">{shown}</div></div>'
        )
    return f"<section><h2>{title}</h2>{_legend(scores.classes, seen)}{''.join(figures)}</section>"


def _legend(classes: ClassSpace, seen: set[int]) -> str:
    items = [f"<span>{_swatch(entry.color)}{escape(entry.name)}</span>" for i, entry in enumerate(classes.classes) if i in seen]
    if any(i >= len(classes) for i in seen):
        items.append('<span><i class="swatch checked"></i>no truth</span>')
    return f'<p class="legend">{"".join(items)}</p>'


def _pairs(title: str, pairs: Mapping[str, str]) -> str:
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in pairs.items())
    return f'<section><h2>{title}</h2><div class="wide"><table class="pairs">{rows}</table></div></section>' if rows else ""


def _swatch(color: tuple[int, int, int]) -> str:
    return f'<i class="swatch" style="background:rgb{color}"></i>'


def _score(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.0995 or share == 0 else f"{share:.2%}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _data_uri(rgb: Array, *, flat: bool) -> str:
    """A picture as an address that holds it: PNG with a palette for flat colours, else JPEG."""
    from PIL import Image

    buffer, picture = io.BytesIO(), Image.fromarray(rgb)
    if flat:
        reduced = picture.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        reduced.save(buffer, "png", optimize=True)
    else:
        picture.save(buffer, "jpeg", quality=85)
    return f"data:image/{'png' if flat else 'jpeg'};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
