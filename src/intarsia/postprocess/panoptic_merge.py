"""Objects and a map of classes merged into one panoptic map: every pixel has one segment.

Objects come first, best score first: one below `min_score` is left out, and so is one of which more than `max_overlap` lies on
objects that were taken before; of the others the pixels that are still free are taken. The rest is the stuff that the map of
classes says; a stuff class with less than `min_stuff_area` pixels of it is left void, and so are pixels that the map gives to a
thing. Thresholds are those of the published programs, 0.5, 0.5 and 64 x 64 pixels. They are for COCO's pictures of about 480 x
640; in smaller images the last shrinks with the area, so that it is the same share of the image.

Source: Kirillov et al., "Panoptic Segmentation", CVPR 2019, section 6 (machine baselines), and the same group's "Panoptic Feature
Pyramid Networks", CVPR 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from intarsia.core import (
    Array,
    BoolArray,
    ClassSpace,
    InstanceMasks,
    Instances,
    LabelMap,
    Panoptic,
    Segment,
    SegmentationError,
    smallest_id_dtype,
    thing_ids_of,
)
from intarsia.postprocess.paste_masks import decode_paste_masks

__all__ = ["decode_panoptic_merge", "joint_classes", "merge_panoptic", "merge_segments"]

USUAL_PIXELS = 480 * 640


def decode_panoptic_merge(
    logits: Array,
    parts: Mapping[str, Array],
    size_hw: tuple[int, int],
    *,
    scale_yx: tuple[float, float] = (1.0, 1.0),
    thing_ids: Sequence[int],
    num_classes: int,
    min_score: float = 0.5,
    max_overlap: float = 0.5,
    min_stuff_area: int = 4096,
    mask_threshold: float = 0.5,
) -> tuple[Array, tuple[Segment, ...]]:
    """The panoptic map of one image from the detections and the class scores of one network.

    Args:
        logits: (1 + S, H, W) scores at the image's size: "any thing", then the S stuff classes in the order of their ids.
        parts: detections, as `decode_paste_masks` takes them; class index t is the t-th of `thing_ids`.
        size_hw: of the network's input.
        scale_yx: from there to the image.
        thing_ids: the classes that are things.
        num_classes: K, things and stuff together.
        min_score: objects below are left out.
        max_overlap: largest share of an object that may lie on better ones.
        min_stuff_area: smallest stuff, in pixels of an image of 480 x 640 or larger; see above.
        mask_threshold: least probability of a pixel of an object.

    Returns:
        (H, W) segment ids, 0 for void, and the segments, objects first.
    """
    masks, class_index, score = decode_paste_masks(
        logits, parts, size_hw, scale_yx=scale_yx, min_score=min_score, mask_threshold=mask_threshold
    )
    things = np.array(thing_ids, np.int64)
    stuff = np.setdiff1d(np.arange(num_classes), things)
    best = logits.argmax(0)
    semantic = np.append(-1, stuff)[best]
    return merge_segments(
        masks,
        things[class_index],
        score,
        semantic,
        min_score=min_score,
        max_overlap=max_overlap,
        min_stuff_area=min_stuff_area,
    )


def merge_panoptic(
    instances: Instances,
    semantic: LabelMap,
    *,
    min_score: float = 0.5,
    max_overlap: float = 0.5,
    min_stuff_area: int = 4096,
) -> Panoptic:
    """Objects of one predictor and the class map of another, as a panoptic map of the classes of both.

    Args:
        instances: objects, which may overlap; without scores all count as 1, and the earlier one lies in front. Crowds are
            left out.
        semantic: label map with classes; of the image's size.
        min_score: objects below are left out.
        max_overlap: largest share of an object that may lie on better ones.
        min_stuff_area: smallest stuff, in pixels of an image of 480 x 640 or larger.

    Returns:
        A map of `joint_classes`.

    Raises:
        SegmentationError: sizes that differ, or a label map without classes.
    """
    if semantic.classes is None or semantic.size_hw != instances.size_hw:
        raise SegmentationError(
            f"Objects of an image of {instances.size_hw} (height, width) and a map of {semantic.size_hw} "
            f"{'without classes ' if semantic.classes is None else ''}cannot be merged: both must be of one image, and the map "
            "must say the class of each pixel."
        )
    classes = joint_classes(instances.classes, semantic.classes)
    index_of = {classes.names[index]: index for index in classes.thing_ids}
    class_id = np.array([index_of.get(name, -1) for name in instances.classes.names], np.int64)[instances.class_id]
    score = np.ones(len(instances), np.float32) if instances.score is None else instances.score
    counts = class_id >= 0 if instances.is_crowd is None else (class_id >= 0) & ~instances.is_crowd
    stuff = np.full(max(len(semantic.classes), semantic.classes.ignore_id + 1), -1, np.int64)
    for index, name in enumerate(semantic.classes.names):
        stuff[index] = -1 if name in index_of else index  # classes of the label map come first in the joint ones
    ids, segments = merge_segments(
        instances.masks,
        class_id,
        np.where(counts, score, -np.inf),
        stuff[semantic.ids],
        min_score=max(0.0, min_score),
        max_overlap=max_overlap,
        min_stuff_area=min_stuff_area,
    )
    return Panoptic(ids, segments, classes)


def joint_classes(things: ClassSpace, labels: ClassSpace) -> ClassSpace:
    """The classes of a merged map: those of the label map, then things that it lacks.

    A class is a thing if objects can be of it (`thing_ids_of`), whatever the label map says; all others are stuff. Classes of the
    objects' space that are neither are left out.
    """
    countable = [things.classes[index] for index in thing_ids_of(things)]
    names = {entry.name for entry in countable}
    entries = [replace(entry, sources=(), is_thing=entry.name in names) for entry in labels.classes]
    entries += [replace(entry, sources=(), is_thing=True) for entry in countable if entry.name not in labels.names]
    return ClassSpace(tuple(entries), labels.ignore_id if labels.ignore_id >= len(entries) else 65535)


def merge_segments(
    masks: InstanceMasks,
    class_id: Array,
    score: Array,
    semantic: Array,
    *,
    min_score: float = 0.5,
    max_overlap: float = 0.5,
    min_stuff_area: int = 4096,
) -> tuple[Array, tuple[Segment, ...]]:
    """The rule itself.

    Args:
        masks: Q objects, which may overlap.
        class_id: (Q,) of the objects.
        score: (Q,); of equal ones the earlier is taken first.
        semantic: (H, W) class ids of stuff, below 0 where there is none.
        min_score: objects below are left out.
        max_overlap: largest share of an object that may lie on better ones.
        min_stuff_area: smallest stuff, in pixels of an image of 480 x 640 or larger.

    Returns:
        (H, W) segment ids, 0 for void: objects from 1 in the order of their scores, then stuff by class; and the segments.
    """
    if semantic.shape != masks.size_hw:
        raise SegmentationError(f"Objects of {masks.size_hw} and a map of {semantic.shape} (height, width) are not of one image.")
    ids = np.zeros(masks.size_hw, smallest_id_dtype(len(masks) + int(semantic.max(initial=0)) + 1))
    segments: list[Segment] = []
    for index in np.argsort(-score, kind="stable").tolist():
        if score[index] < min_score:
            break
        x0, y0, x1, y1 = masks.boxes_xyxy[index].tolist()
        below, mask = ids[y0:y1, x0:x1], masks.crop(index)
        free: BoolArray = mask & (below == 0)
        area, left = np.count_nonzero(mask), np.count_nonzero(free)
        if left == 0 or area - left > max_overlap * area:
            continue
        segments.append(Segment(len(segments) + 1, int(class_id[index]), float(score[index])))
        below[free] = len(segments)
    least = min(min_stuff_area, min_stuff_area * semantic.size / USUAL_PIXELS)
    rest = np.where(ids == 0, semantic, -1)
    for stuff, area in enumerate(np.bincount(rest[rest >= 0].ravel())):
        if area and area >= least:
            segments.append(Segment(len(segments) + 1, stuff))
            ids[rest == stuff] = len(segments)
    return ids, tuple(segments)
