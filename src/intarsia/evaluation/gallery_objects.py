"""Pictures of the images that went worst and best, of objects or panoptic maps: image, truth, prediction, what was missed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from intarsia.core import Array, BoolArray, InstanceMasks, Instances, Panoptic, Segmentation
from intarsia.evaluation._html import count, data_uri, section, swatch
from intarsia.evaluation.gallery import BEST, PICTURE_WIDTH, WORST, Example
from intarsia.evaluation.kinds import compared_as_objects, compared_as_panoptic
from intarsia.evaluation.object_evaluation import ObjectEvaluation
from intarsia.evaluation.tallies import without_overlaps
from intarsia.metrics._overlap import pairwise_iou
from intarsia.viz.object_outlines import FOUND, INVENTED, MISSED, outline_objects
from intarsia.viz.overlay import overlay
from intarsia.viz.panel import tile
from intarsia.viz.rgb import as_rgb

__all__ = ["compare_objects", "object_galleries"]

WORDS = "found, missed and invented"


class _Sides(NamedTuple):
    """Masks and classes of one side, and which of them are countable."""

    masks: InstanceMasks
    class_id: Array
    countable: BoolArray


class Compared(NamedTuple):
    """One image: pictures by caption, and how many segments were found, missed and invented."""

    pictures: dict[str, Array]
    found: int
    missed: int
    invented: int


def compare_objects(image: Array, truth: Segmentation, prediction: Segmentation, *, width: int = PICTURE_WIDTH) -> Compared:
    """Image, truth, prediction, and outlines: found green, missed red, invented yellow.

    A true object is found if one of its class has an IoU of 0.5 with it, or of panoptic maps more. Objects with a score below 0.5
    are left out, as mean precision does.

    Args:
        image: (H, W, C).
        truth: objects or a panoptic map.
        prediction: anything that can be compared with it.
        width: of each picture; small images are enlarged by a whole number to about as much.
    """
    if isinstance(truth, Panoptic):
        mapped, wanted_map, _ = compared_as_panoptic(prediction, truth)
        shown: tuple[Segmentation, Segmentation] = (wanted_map, mapped)
        true, own = _of_segments(wanted_map), _of_segments(mapped)
    else:
        found, wanted, _ = compared_as_objects(prediction, truth)
        decided = without_overlaps(found)
        shown = (wanted, decided)
        true, own = _of_objects(wanted), _of_objects(decided)
    hit = (pairwise_iou(own.masks, true.masks) >= 0.5) & (own.class_id[:, None] == true.class_id)
    found_true, invented = hit.any(0), ~hit.any(1)
    layers = [
        (true.masks.select(found_true & true.countable), FOUND),
        (own.masks.select(invented), INVENTED),
        (true.masks.select(~found_true), MISSED),
    ]
    height_in, width_in = image.shape[:2]
    scale = max(1, round(width / max(width_in, height_in / 1.25)))
    fitted = width_in * scale if scale > 1 else width
    pictures = {
        "image": tile(as_rgb(image), fitted),
        "truth": tile(overlay(image, shown[0]), fitted, flat=True),
        "prediction": tile(overlay(image, shown[1]), fitted, flat=True),
        WORDS: tile(outline_objects(image, layers, scale=scale), fitted, flat=True),
    }
    return Compared(pictures, int(found_true.sum()), int((~found_true).sum()), int(invented.sum()))


def object_galleries(examples: Sequence[Example], evaluation: ObjectEvaluation | None) -> str:
    """Sections of pictures. Examples that the evaluation ranks are shown in that order, others as they come."""
    rank = {key: position for position, key in enumerate(evaluation.ranking if evaluation else ())}
    ranked = sorted((example for example in examples if example[0] in rank), key=lambda example: rank[example[0]])
    groups = (
        ("worst", "Worst images", [e for e in ranked if rank[e[0]] < WORST]),
        ("best", "Best images", [e for e in reversed(ranked) if rank[e[0]] >= WORST][:BEST]),
        ("images", "Images", [e for e in examples if e[0] not in rank]),
    )
    return "\n".join(_gallery(name, title, group, evaluation) for name, title, group in groups if group)


def _gallery(name: str, title: str, examples: Sequence[Example], evaluation: ObjectEvaluation | None) -> str:
    shown = []
    for number, (key, image, truth, prediction) in enumerate(examples, 1):
        compared = compare_objects(image, truth, prediction)
        noun = "segment" if isinstance(truth, Panoptic) else "object"
        said = f"{compared.found} of {count(compared.found + compared.missed, noun)} found, {compared.invented} invented"
        if evaluation is not None and key in evaluation.per_image:
            metric = "PQ" if evaluation.task == "panoptic" else "mean precision"
            said = (
                f"{metric} {evaluation.per_image[key].score:.3f}; {said.replace('object', 'segment') if metric == 'PQ' else said}"
            )
        figures = "".join(
            f'<figure tabindex="0"><img alt="{escape(f"{caption} of {key}")}" width="{picture.shape[1]}" '
            f'height="{picture.shape[0]}" src="{data_uri(picture, flat=False)}"><figcaption>{caption}</figcaption></figure>'
            for caption, picture in compared.pictures.items()
        )
        heading = f'<h3><span class="rank">{number}</span>{escape(key)} <small>{said}</small></h3>'
        shown.append(f'<article class="example">{heading}<div class="pictures">{figures}</div></article>')
    colors = (("found", FOUND), ("missed", MISSED), ("invented", INVENTED))
    legend = "".join(f"<span>{swatch(color)}{kind}</span>" for kind, color in colors)
    hint = '<p class="explain">Click or tap a picture to enlarge it. In truth and prediction each object has its own colour.</p>'
    return section(name, title, f'<p class="legend">{legend}</p>{hint}{"".join(shown)}')


def _of_objects(objects: Instances) -> _Sides:
    counted = objects if objects.is_crowd is None else objects.select(~objects.is_crowd)
    return _Sides(counted.masks, counted.class_id, np.ones(len(counted), np.bool_))


def _of_segments(panoptic: Panoptic) -> _Sides:
    segments = [segment for segment in panoptic.segments if not segment.is_crowd]
    numbers = {segment.id: number for number, segment in enumerate(segments, 1)}
    values, inverse = np.unique(panoptic.ids, return_inverse=True)
    renumbered = np.array([numbers.get(int(v), 0) for v in values])[inverse].reshape(panoptic.ids.shape)
    seen = [number for number in range(1, len(segments) + 1) if number in renumbered]
    class_of = {number: segments[number - 1].class_id for number in seen}
    objects = Instances.from_ids(renumbered, panoptic.classes, class_of)
    return _Sides(objects.masks, objects.class_id, np.isin(objects.class_id, panoptic.classes.thing_ids))
