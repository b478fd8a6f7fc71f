"""The part of the report that objects and panoptic maps have of their own: headline, classes, sizes."""

from __future__ import annotations

import math
from html import escape

from intarsia.evaluation._html import score, section, swatch
from intarsia.evaluation.object_evaluation import COLUMNS, ObjectEvaluation, object_rows

__all__ = ["object_headline", "object_sections"]

IN_WORDS = {
    "instance": (
        "<b>AP</b> (average precision) of a class: its objects of all images are ranked by their scores, and precision is "
        "averaged over recall, at overlaps (IoU) of 0.5, 0.55 ... 0.95; COCO's rules. 1 is perfect. <b>AP50</b> and <b>AP75</b> "
        "ask for one overlap, <b>AR</b> is the recall reached with a hundred objects of a class and image. <b>Mean precision</b> "
        "is the share of objects right, TP / (TP + FP + FN), over the same overlaps and averaged over images. <b>AJI</b> "
        "compares pixels: those that matched objects share, of those that either covers."
    ),
    "panoptic": (
        "<b>PQ</b> (panoptic quality) of a class is SQ x RQ. <b>RQ</b> says how many segments were found, "
        "TP / (TP + FP / 2 + FN / 2), where a segment is found if one of its class overlaps it by an IoU above 0.5. <b>SQ</b> is "
        "the mean IoU of those found. Things are countable; stuff is one segment of each class and image. Void pixels of the "
        "truth count nowhere."
    ),
}
INTERVAL_IN_WORDS = (
    "The line across a bar is the {level:.0%} interval: how far the score would move with other images of the same kind "
    "({samples} resamples of the {images} images). <b>NaN</b>: nothing defines it, as for a class without a true object."
)


def object_headline(evaluation: ObjectEvaluation) -> str:
    """The score that stands first, and those beside it."""
    metric, name = evaluation.main
    scores, intervals = evaluation.scores[metric], evaluation.intervals[metric]
    if evaluation.task == "instance":
        total = evaluation.scores["mean_precision"]
        tiles = [
            ("AP50", score(scores["ap_50"]), "at an overlap of 0.5"),
            ("AP75", score(scores["ap_75"]), "at an overlap of 0.75"),
            ("AP of boxes", score(evaluation.scores["coco_box_ap"]["ap"]), "of the boxes alone"),
            ("mean precision", score(total["mean_precision"]), "share of objects right"),
            ("AJI", score(evaluation.scores["aji"]["per_image_aji"]), "overlap in pixels, mean over images"),
        ]
        big, said = "AP", "of masks, mean over classes"
    else:
        tiles = [
            ("PQ of things", score(scores["pq_things"]), f"SQ {score(scores['sq_things'])}, RQ {score(scores['rq_things'])}"),
            ("PQ of stuff", score(scores["pq_stuff"]), f"SQ {score(scores['sq_stuff'])}, RQ {score(scores['rq_stuff'])}"),
            ("SQ", score(scores["sq"]), "how well found segments fit"),
            ("RQ", score(scores["rq"]), "how many were found"),
        ]
        big, said = "PQ", "mean over classes"
    found = sum(row.found for row in evaluation.per_image.values())
    true = sum(row.true for row in evaluation.per_image.values())
    invented = sum(row.invented for row in evaluation.per_image.values())
    noun = "objects" if evaluation.task == "instance" else "segments"
    tiles.append((f"{noun} found", f"{found} <small>of {true}</small>", f"at an overlap of 0.5; {invented} invented"))
    if not math.isnan(evaluation.images_per_second):
        tiles.append(("speed", f"{evaluation.images_per_second:.3g}/s", "images, prediction alone"))
    low, high = intervals.of(name)
    interval = "" if math.isnan(low) else f"{intervals.level:.0%} interval {low:.3f} to {high:.3f}"
    cards = "".join(f"<div><dt>{title}</dt><dd>{value}<small>{says}</small></dd></div>" for title, value, says in tiles)
    return (
        f'<section class="headline"><div class="big"><span>{big}</span><strong>{score(evaluation.score)}</strong>'
        f"<small>{interval}</small><small>{said}</small></div><dl>{cards}</dl></section><p>{IN_WORDS[evaluation.task]}</p>"
    )


def object_sections(evaluation: ObjectEvaluation) -> str:
    """The table of classes, and AP by size."""
    return "\n".join(filter(None, (_classes(evaluation), _sizes(evaluation) if evaluation.task == "instance" else "")))


def _classes(evaluation: ObjectEvaluation) -> str:
    columns = list(COLUMNS[evaluation.task])
    body, rows = [], object_rows(evaluation)
    for is_thing, title in ((True, "things"), (False, "stuff")):
        group = [row for row in rows if row.is_thing == is_thing]
        if group and evaluation.task == "panoptic":
            body.append(f'<tr><th scope="rowgroup" colspan="{len(columns) + 3}"><b>{title}</b></th></tr>')
        for row in group:
            main, *others = row.values.values()
            low, high = row.interval
            whisker = "" if math.isnan(low) else f'<u style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></u>'
            spoken = "" if math.isnan(low) else f"{low:.3f}&hairsp;–&hairsp;{high:.3f}"
            bar = "" if math.isnan(main) else f'<div class="bar"><i style="width:{100 * main:.1f}%"></i>{whisker}</div>'
            cells = "".join(f"<td>{_cell(name, value)}</td>" for name, value in zip(columns[1:], others, strict=True))
            body.append(
                f'<tr><th scope="row">{swatch(row.color)}{escape(row.name)}</th><td><b>{score(main)}</b></td>'
                f'<td class="barred">{bar}</td><td>{spoken}</td>{cells}</tr>'
            )
    drawn = f'<span class="unseen">{columns[0]} and interval, drawn</span>'
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("class", columns[0], drawn, "interval", *columns[1:]))
    intervals = evaluation.intervals[evaluation.main[0]]
    words = INTERVAL_IN_WORDS.format(level=intervals.level, samples=intervals.samples, images=intervals.images)
    return section(
        "classes",
        "Classes",
        f'<div class="wide" tabindex="0"><table class="classes"><thead><tr>{heads}</tr></thead>'
        f'<tbody>{"".join(body)}</tbody></table></div><p class="explain">{words}</p>',
    )


def _cell(name: str, value: float) -> str:
    return f"{value:.0f}" if name in ("found", "invented", "missed") else score(value)


def _sizes(evaluation: ObjectEvaluation) -> str:
    scores = evaluation.scores["coco_mask_ap"]
    sizes = {"small": "below 32 x 32 pixels", "medium": "up to 96 x 96", "large": "above"}
    heads = "".join(f'<th scope="col">{size} <small>{says}</small></th>' for size, says in sizes.items())
    rows = "".join(
        f'<tr><th scope="row">{title}</th>'
        + "".join(
            '<td class="none">none there</td>'
            if math.isnan(value := scores[f"{name}_{size}"])
            else f'<td style="--share:{value:.3f}">{value:.3f}</td>'
            for size in sizes
        )
        + "</tr>"
        for title, name in (("AP", "ap"), ("AR", "ar"))
    )
    return section(
        "sizes",
        "By size of object",
        f'<div class="wide" tabindex="0"><table class="sizes"><thead><tr><th scope="col"></th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>",
    )
