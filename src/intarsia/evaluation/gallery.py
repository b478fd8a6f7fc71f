"""Pictures of the images that went worst, and of some that went best: image, truth, prediction, disagreement."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from intarsia.core import Array, ClassSpace, LabelMap, Segmentation
from intarsia.evaluation._html import data_uri, percent, score, section, swatch
from intarsia.evaluation.evaluation import Evaluation
from intarsia.evaluation.matrix import largest_mistake
from intarsia.evaluation.object_evaluation import ObjectEvaluation
from intarsia.evaluation.semantic import compared_as_labels
from intarsia.metrics.confusion import observe_confusion, score_confusion
from intarsia.viz.panel import comparison

__all__ = ["BEST", "WORST", "Example", "galleries", "keys_to_show"]

Example = tuple[str, Array, Segmentation, Segmentation]
"""Key, image, truth, prediction."""

WORST, BEST = 12, 4
"""How many images are shown of each kind."""
PICTURE_WIDTH = 640
"""Of larger pictures; smaller ones are enlarged by a whole number to about as much, so that each pixel stays a square."""
CAPTIONS = {"wrong pixels in red": "disagreement, wrong in red"}


def keys_to_show(evaluation: Evaluation | ObjectEvaluation) -> list[str]:
    """The images that a report shows: the worst, worst first, then the best, best first."""
    ranked = evaluation.ranking
    return [*ranked[:WORST], *reversed(ranked[WORST:][-BEST:])]


def galleries(examples: Sequence[Example], evaluation: Evaluation | None, *, scored: bool = True) -> str:
    """Sections of pictures. Examples that the evaluation ranks are shown in that order, others as they come.

    Args:
        examples: images with truth and prediction.
        evaluation: tells which are the worst; None for pictures alone.
        scored: say the score of each image.
    """
    rank = {key: position for position, key in enumerate(evaluation.ranking if evaluation else ())}
    ranked = sorted((example for example in examples if example[0] in rank), key=lambda example: rank[example[0]])
    groups = (
        ("worst", "Worst images", [e for e in ranked if rank[e[0]] < WORST]),
        ("best", "Best images", [e for e in reversed(ranked) if rank[e[0]] >= WORST]),
        ("images", "Images", [e for e in examples if e[0] not in rank]),
    )
    return "\n".join(_gallery(name, title, group, scored) for name, title, group in groups if group)


def _gallery(name: str, title: str, examples: Sequence[Example], scored: bool) -> str:
    shown: list[str] = []
    seen: set[int] = set()
    for number, (key, image, truth, prediction) in enumerate(examples, 1):
        labels, true_labels, _ = compared_as_labels(prediction, truth)
        seen.update(int(i) for side in (labels, true_labels) for i in np.unique(side.ids))
        evidence = observe_confusion(labels, true_labels, key)
        classes, said = evidence.classes, ""
        if scored:
            scores = score_confusion(evidence)
            mistake = largest_mistake(evidence.pooled, classes.names)
            said = f"mIoU {score(scores.miou)}, pixel accuracy {score(scores.pixel_accuracy)}"
            said = f" <small>{said}{f'; {mistake} of the pixels' if mistake else ''}</small>"
        figures = "".join(
            f'<figure tabindex="0"><img alt="{escape(_alt(caption, key, true_labels, labels))}" width="{picture.shape[1]}" '
            f'height="{picture.shape[0]}" src="{data_uri(picture, flat=caption in ("truth", "prediction"))}">'
            f"<figcaption>{CAPTIONS.get(caption, caption)}</figcaption></figure>"
            for caption, picture in comparison(image, true_labels, labels, width=_width(*image.shape[:2])).items()
        )
        heading = f'<h3><span class="rank">{number}</span>{escape(key)}{said}</h3>'
        shown.append(f'<article class="example">{heading}<div class="pictures">{figures}</div></article>')
    hint = '<p class="explain">Click or tap a picture to enlarge it.</p>'
    return section(name, title, _legend(classes, seen) + hint + "".join(shown))


def _width(height: int, width: int) -> int:
    """Of the tiles of a row: a multiple of the image's own width where it is small. A tile is at most 1.25 times as high."""
    own = max(width, round(height / 1.25))
    return PICTURE_WIDTH if own > PICTURE_WIDTH else own * max(1, round(PICTURE_WIDTH / own))


def _alt(caption: str, key: str, truth: LabelMap, prediction: LabelMap) -> str:
    """What can be seen, in words."""
    if caption == "image":
        return f"image {key}"
    if caption in ("truth", "prediction"):
        areas = (truth if caption == "truth" else prediction).areas()
        largest = sorted((name for name in areas if areas[name]), key=lambda name: -areas[name])[:3]
        return f"{caption} of {key}: {', '.join(f'{name} {percent(areas[name] / truth.ids.size)}' for name in largest)}"
    valid = np.ones(truth.ids.shape, np.bool_) if truth.classes is None else truth.ids != truth.classes.ignore_id
    wrong = (truth.ids != prediction.ids) & valid
    return f"disagreement of {key}: {percent(wrong.sum() / max(1, valid.sum()))} of the scored pixels are wrong"


def _legend(classes: ClassSpace, seen: set[int]) -> str:
    items = [f"<span>{swatch(entry.color)}{escape(entry.name)}</span>" for i, entry in enumerate(classes.classes) if i in seen]
    if any(i >= len(classes) for i in seen):
        items.append('<span><i class="swatch checked"></i>no truth</span>')
    return f'<p class="legend">{"".join(items)}</p>'
