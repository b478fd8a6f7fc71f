"""One HTML file that says what was reached, on what, how, and what it looks like; nothing in it comes from outside."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from intarsia.core import Array, LabelMap
from intarsia.core.whole_file import written_whole
from intarsia.evaluation._html import count, percent, score, section, swatch
from intarsia.evaluation.curves import training_curves
from intarsia.evaluation.evaluation import Evaluation, ScoreRefused
from intarsia.evaluation.gallery import Example, galleries
from intarsia.evaluation.gallery_objects import object_galleries
from intarsia.evaluation.matrix import confusion_matrix
from intarsia.evaluation.object_evaluation import ObjectEvaluation
from intarsia.evaluation.report_objects import object_headline, object_sections
from intarsia.evaluation.table import class_rows
from intarsia.metrics.size_recall import SIZES

__all__ = ["write_report"]

MOST_FILES = 6
"""Files that are listed with a finding about the data."""

IOU_IN_WORDS = (
    "<b>IoU</b> (intersection over union) of a class: of all pixels that are the class in the truth, in the prediction or in "
    "both, the share that are in both. 1 is perfect, 0 means that not one pixel is right. <b>mIoU</b> is the mean over the "
    "classes, so a rare class counts as much as a common one. Pixels of all images are counted together."
)
COLUMNS_IN_WORDS = (
    "The line across a bar is the {level:.0%} interval: how far the score would move with other images of the same kind "
    "({samples} resamples of the {images} images; frames of one video are alike, so for them it is too narrow). "
    "<b>Recall</b>: of the true pixels of the class, the share that was found. <b>Precision</b>: of the pixels predicted as the "
    "class, the share that are. <b>Share</b>: of the scored pixels, those that are the class in the truth. <b>NaN</b>: nothing "
    "defines it, as the precision of a class that was never predicted."
)
SIZES_IN_WORDS = (
    "A segment is a connected region of one class in the truth. It is found if at least half of its pixels are predicted as its "
    "class. Small is below 1/300 of the image, large from 3/100 on: 32 x 32 and 96 x 96 pixels of 480 x 640. The number of "
    "segments stands beside each recall; with few of them it says little."
)


def write_report(
    path: str | Path,
    *,
    title: str,
    command: str,
    result: Evaluation | ObjectEvaluation | ScoreRefused | None = None,
    examples: Sequence[Example] = (),
    history: Sequence[Mapping[str, float]] = (),
    findings: Sequence[Mapping[str, Any]] | None = None,
    settings: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Path:
    """Write a report: scores, curves, classes, confusion, sizes, pictures, and how to do it again. What is empty is left out.

    Args:
        path: of the file; folders are made.
        title: heading.
        command: what was typed, word for word.
        result: scores, or why there are none.
        examples: images with truth and prediction; shown worst first where the evaluation ranks them.
        history: rows of results.csv, see `training_curves`. Without the curves of scores where the score was refused.
        findings: what the check of the data found: mappings with `severity`, `message`, and maybe `code`, `files` and
            `fix`; None where the data were not checked.
        settings: name to value.
        notes: sentences, shown beside the evaluation's own.
        environment: versions and machine, name to value.

    Returns:
        `path`.
    """
    path = Path(path)
    evaluation = result if isinstance(result, Evaluation) else None
    objects = result if isinstance(result, ObjectEvaluation) else None
    of_labels = evaluation is not None or all(isinstance(truth, LabelMap) for _, _, truth, _ in examples)
    scored = evaluation or objects
    refused = isinstance(result, ScoreRefused)
    parts = [
        _alarm("The score was refused", [str(result)]) if refused else "",
        _alarm("These scores mean less than they seem to", scored.warnings) if scored else "",
        _headline(evaluation) if evaluation else "",
        object_headline(objects) if objects else "",
        _notes([*notes, *(scored.notes if scored else ())]),
        _findings(findings),
        _curves(history, scores=not refused),
        _classes(evaluation) if evaluation else "",
        section("confusion", "Confusion", confusion_matrix(evaluation)) if evaluation else "",
        _sizes(evaluation) if evaluation else "",
        object_sections(objects) if objects else "",
        galleries(examples, evaluation, scored=not refused) if of_labels else object_galleries(examples, objects),
        _pairs("settings", "Settings", settings or {}),
        _pairs("environment", "Environment", environment or {}),
        section("command", "Command", f'<pre tabindex="0">{escape(command)}</pre>') if command else "",
    ]
    body = "\n".join(part for part in parts if part)
    about = f"{result.predictor} on {result.dataset} {result.split}" if result else ""
    about += f", {count(scored.images, 'image')}" if scored else ""
    template = Template(files("intarsia.evaluation").joinpath("report.html").read_text(encoding="utf-8"))
    page = template.substitute(title=escape(title), about=escape(about), contents=_contents(body), body=body)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def _contents(body: str) -> str:
    links = re.findall(r'<section id="([a-z]+)"><h2>([^<]+)</h2>', body)
    items = "".join(f'<a href="#{name}">{title}</a>' for name, title in links)
    return f'<nav aria-label="Contents">{items}</nav>' if links else ""


def _headline(evaluation: Evaluation) -> str:
    scores, intervals = evaluation.scores, evaluation.intervals
    low, high = intervals.of("miou")
    interval = "" if math.isnan(low) else f"{intervals.level:.0%} interval {low:.3f} to {high:.3f}"
    declared = len(evaluation.classes)
    over = f"mean over {declared - len(evaluation.absent)} of {declared} classes"
    tiles = [
        ("pixels scored", f"{scores.share_scored:.1%}", "the others have no truth" if scores.share_scored < 1 else "all of them"),
        ("pixel accuracy", score(scores.pixel_accuracy), "share of pixels that are right"),
        ("mean accuracy", score(scores.mean_accuracy), "mean recall of the classes"),
        ("frequency-weighted IoU", score(scores.fwiou), "classes count by their area"),
    ]
    if not math.isnan(evaluation.images_per_second):
        tiles.append(("speed", f"{evaluation.images_per_second:.3g}/s", "images, prediction alone"))
    cards = "".join(f"<div><dt>{name}</dt><dd>{value}<small>{says}</small></dd></div>" for name, value, says in tiles)
    return (
        f'<section class="headline"><div class="big"><span>mIoU</span><strong>{score(scores.miou)}</strong>'
        f"<small>{interval}</small><small>{over}</small></div><dl>{cards}</dl></section><p>{IOU_IN_WORDS}</p>"
    )


def _alarm(title: str, sentences: Sequence[str]) -> str:
    said = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    return f'<section class="notes alarm" role="alert"><h2>{title}</h2>{said}</section>' if said else ""


def _notes(notes: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in dict.fromkeys(notes))
    return f'<section class="notes"><ul>{items}</ul></section>' if items else ""


def _findings(findings: Sequence[Mapping[str, Any]] | None) -> str:
    if findings is None:
        return ""
    return section(
        "data", "Data", "".join(map(_finding, findings)) or "<p>The data were checked; nothing is wrong with them.</p>"
    )


def _finding(finding: Mapping[str, Any]) -> str:
    severity, names = str(finding.get("severity", "note")), [str(name) for name in finding.get("files") or ()]
    more = f" and {len(names) - MOST_FILES} more" if len(names) > MOST_FILES else ""
    listed = f'<p class="explain">{escape(", ".join(names[:MOST_FILES]))}{more}</p>' if names else ""
    fix = f'<pre tabindex="0">{escape(str(finding["fix"]))}</pre>' if finding.get("fix") else ""
    alarm = " alarm" if severity == "error" else ""
    return (
        f'<article class="notes{alarm}"><p><b>{escape(severity)}</b> <small>{escape(str(finding.get("code", "")))}</small><br>'
        f"{escape(str(finding.get('message', '')))}</p>{listed}{fix}</article>"
    )


def _curves(history: Sequence[Mapping[str, float]], *, scores: bool) -> str:
    charts = training_curves(history, scores=scores)
    shown = "".join(f"<figure><figcaption>{title}</figcaption>{svg}</figure>" for title, svg in charts)
    return section("training", "Training", f'<div class="charts">{shown}</div>') if charts else ""


def _classes(evaluation: Evaluation) -> str:
    rows = []
    for row in class_rows(evaluation):
        low, high = row.interval
        whisker = "" if math.isnan(low) else f'<u style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></u>'
        spoken = "" if math.isnan(low) else f"{low:.3f}&hairsp;–&hairsp;{high:.3f}"
        bar = "" if math.isnan(row.iou) else f'<div class="bar"><i style="width:{100 * row.iou:.1f}%"></i>{whisker}</div>'
        rows.append(
            f'<tr><th scope="row">{swatch(row.color)}{escape(row.name)}</th><td><b>{score(row.iou)}</b></td>'
            f'<td class="barred">{bar}</td><td>{spoken}</td><td>{score(row.recall)}</td><td>{score(row.precision)}</td>'
            f"<td>{percent(row.truth_share)}</td></tr>"
        )
    intervals = evaluation.intervals
    words = COLUMNS_IN_WORDS.format(level=intervals.level, samples=intervals.samples, images=intervals.images)
    heads = ("class", "IoU", '<span class="unseen">IoU and interval, drawn</span>', "interval", "recall", "precision", "share")
    columns = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return section(
        "classes",
        "Classes",
        f'<div class="wide" tabindex="0"><table class="classes"><thead><tr>{columns}</tr></thead>'
        f'<tbody>{"".join(rows)}</tbody></table></div><p class="explain">{words}</p>',
    )


def _sizes(evaluation: Evaluation) -> str:
    sizes = evaluation.sizes
    names = ["all classes", *evaluation.classes.names]
    swatches = ["", *(swatch(entry.color) for entry in evaluation.classes.classes)]
    recalls = [sizes.recall_of_all, *sizes.recall]
    counts = [sizes.segments.sum(0), *sizes.segments]
    rows = "".join(
        f'<tr><th scope="row">{mark}{escape(name)}</th>{_size_cells(recall, segments)}</tr>'
        for name, mark, recall, segments in zip(names, swatches, recalls, counts, strict=True)
    )
    columns = "".join(f'<th scope="col">{head}</th>' for head in ("class", *SIZES))
    table = f'<table class="sizes"><thead><tr>{columns}</tr></thead><tbody>{rows}</tbody></table>'
    return section(
        "sizes",
        "Recall by size",
        f'<div class="wide" tabindex="0">{table}</div><p class="explain">{SIZES_IN_WORDS}</p>',
    )


def _size_cells(recalls: Array, segments: Array) -> str:
    return "".join(
        f'<td style="--share:{recall:.3f}">{100 * recall:.0f}% <small>of {number}</small></td>'
        if number
        else '<td class="none">none there</td>'
        for recall, number in zip(recalls.tolist(), segments.tolist(), strict=True)
    )


def _pairs(name: str, title: str, pairs: Mapping[str, str]) -> str:
    rows = "".join(f'<tr><th scope="row">{escape(key)}</th><td>{escape(value)}</td></tr>' for key, value in pairs.items())
    return section(name, title, f'<div class="wide"><table class="pairs">{rows}</table></div>') if rows else ""
