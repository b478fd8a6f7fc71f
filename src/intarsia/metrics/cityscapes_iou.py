"""Cityscapes' four scores of label maps: IoU and iIoU, of classes and of categories.

IoU is pooled as in `confusion`; for a category, confusions among its own classes are right. In iIoU the right and the missed
pixels of an object are weighted by the mean area of its class over the area of the object, so that small objects count as much as
large ones; wrongly predicted pixels belong to no object and are not weighted:

    iIoU = iTP / (iTP + FP + iFN)

It is defined for classes of things, and for categories all of whose classes are. Groups that were not told apart (crowds of the
truth) count in IoU and FP, not in iTP and iFN. Pixels that the truth leaves void count nowhere. Tallies add up over images and
processes; over tiles they do not, which cut objects.

Deviation: cityscapesScripts lets a prediction of caravan or trailer, which are not scored, pass as a vehicle in the category's
iTP. Here a class that is not scored is void, and a void prediction is wrong.

Source: Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016, section 3.2; the mean areas are
those of cityscapesScripts. Another data set has its own, see `mean_object_areas`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from intarsia.core import Array, ClassSpace, ClassSpaceError, LabelMap, Panoptic, SegmentationError
from intarsia.metrics._evidence import RowEvidence
from intarsia.metrics._pairing import need_same_classes, need_same_size
from intarsia.metrics._scores import RowScores, mean_defined, ratio

__all__ = [
    "CityscapesIouEvidence",
    "mean_object_areas",
    "observe_cityscapes_iou",
    "score_cityscapes_iou",
    "score_tallies",
]

CATEGORIES = {
    "flat": ("road", "sidewalk"),
    "construction": ("building", "wall", "fence"),
    "object": ("pole", "traffic light", "traffic sign"),
    "nature": ("vegetation", "terrain"),
    "sky": ("sky",),
    "human": ("person", "rider"),
    "vehicle": ("car", "truck", "bus", "train", "motorcycle", "bicycle"),
}
MEAN_AREAS = {
    "person": 3462.4756337644,
    "rider": 3930.4788056518,
    "car": 12794.0202738185,
    "truck": 27855.1264367816,
    "bus": 35732.1511111111,
    "train": 67583.7075812274,
    "motorcycle": 6298.7200839748,
    "bicycle": 4672.3249222261,
}


class CityscapesIouEvidence(RowEvidence):
    """Tallies (I, 6, K + C), by class and then by category: pixels right, of the truth, predicted; right and missed pixels of
    objects, weighted; and 1 where objects are scored.

    `about` holds the names of classes and categories, K, and what they were made of.
    """


def observe_cityscapes_iou(
    prediction: LabelMap,
    truth: Panoptic,
    key: str,
    *,
    categories: Mapping[str, Iterable[str]] = CATEGORIES,
    mean_areas: Mapping[str, float] = MEAN_AREAS,
) -> CityscapesIouEvidence:
    """Count the pixels of one image, and weigh those of its objects.

    Args:
        prediction: label map with classes.
        truth: panoptic map of the same size, with classes of the same names in the same order; its crowds are groups.
        key: names the image.
        categories: names of the classes of each category; a class may be in none.
        mean_areas: mean area in pixels of an object of each class of things.

    Raises:
        SegmentationError: regions without classes, or sizes that differ.
        ClassSpaceError: other classes, a category of an unknown class, or things without a mean area.
    """
    classes = truth.classes
    if prediction.classes is None:
        raise SegmentationError(f"{key}: the prediction is made of regions without classes, so no class can be scored.")
    need_same_classes(prediction.classes, classes, f"{key}: prediction and truth do not share their classes")
    need_same_size(prediction.size_hw, truth.size_hw, key)
    members = _members(classes, categories)
    missing = [classes.names[i] for i in classes.thing_ids if classes.names[i] not in mean_areas]
    if missing:
        raise ClassSpaceError(f"There is no mean area for the things {', '.join(missing)}; `mean_object_areas` finds them.")
    from intarsia.metrics._count_segments import count_segments

    segments = truth.segments
    ids, class_of = (np.array([s[part] for s in segments], np.int64) for part in range(2))
    predicted_ids = np.append(np.arange(len(classes)), prediction.classes.ignore_id)
    by_segment = count_segments(truth.ids, prediction.ids, ids, predicted_ids).astype(np.float64)  # (S, K + 1)
    area = by_segment.sum(1)
    is_object = np.array([s.class_id in classes.thing_ids and not s.is_crowd for s in segments], np.bool_) & (area > 0)
    mean_area = np.array([mean_areas.get(name, 0.0) for name in classes.names])
    weight = np.zeros(len(segments))
    weight[is_object] = mean_area[class_of[is_object]] / area[is_object]

    groups = np.concatenate([np.eye(len(classes), dtype=np.bool_), members])  # (K + C, K)
    inside = groups[:, class_of]  # (K + C, S)
    right = (groups @ by_segment[:, :-1].T) * inside
    true = inside * area
    things = np.array([entry.is_thing for entry in classes.classes])
    scored = groups.any(1) & ~(groups & ~things).any(1)
    weighted = weight * scored[:, None]
    predicted = groups @ by_segment[:, :-1].sum(0)
    object_right, object_missed = (right * weighted).sum(1), ((true - right) * weighted).sum(1)
    tallies = np.stack([right.sum(1), true.sum(1), predicted, object_right, object_missed, scored])
    names = (*classes.names, *(f"category {name}" for name in categories))
    about = (names, len(classes), members.tobytes(), tuple(mean_area.tolist()))
    return CityscapesIouEvidence(about, (key,), tallies[None])


def score_cityscapes_iou(evidence: CityscapesIouEvidence) -> RowScores:
    """`iou` and `iiou` of each class and of each "category NAME", and their means over classes and over categories."""
    names, count = evidence.about[:2]
    scores = RowScores.of_evidence(evidence, score_tallies, "pixels of all images counted together", names)
    parts = {"class": slice(0, int(str(count))), "category": slice(int(str(count)), None)}
    means = {f"{part}_m{name}": mean_defined(scores.values[name][cut]) for name in ("iou", "iiou") for part, cut in parts.items()}
    return RowScores(scores.pooling, scores.columns, {**means, **scores.values}, scores.rows)


def score_tallies(tallies: Array) -> Mapping[str, Array]:
    """`iou` and `iiou` from pooled tallies (R, 6, K + C), for `intarsia.metrics.bootstrap`."""
    right, truth, predicted, object_right, object_missed, scored = np.moveaxis(np.asarray(tallies, np.float64), -2, 0)
    iiou = ratio(object_right, object_right + object_missed + predicted - right)
    return {"iou": ratio(right, truth + predicted - right), "iiou": np.where(scored > 0, iiou, np.nan)}


def mean_object_areas(truths: Iterable[Panoptic]) -> dict[str, float]:
    """Mean area in pixels of the objects of each class of things that occurs, without crowds: the weights of another data set."""
    areas: dict[str, list[int]] = {}
    for truth in truths:
        objects = truth.to_instances()
        crowd = np.zeros(len(objects), np.bool_) if objects.is_crowd is None else objects.is_crowd
        for class_id, area, in_crowd in zip(objects.class_id, objects.masks.areas(), crowd, strict=True):
            if area and not in_crowd:
                areas.setdefault(truth.classes.names[class_id], []).append(int(area))
    return {name: float(np.mean(found)) for name, found in areas.items()}


def _members(classes: ClassSpace, categories: Mapping[str, Iterable[str]]) -> Array:
    """(C, K) bool, which classes make up a category."""
    members = np.zeros((len(categories), len(classes)), np.bool_)
    for row, (category, names) in enumerate(categories.items()):
        unknown = [name for name in names if name not in classes.names]
        if unknown:
            raise ClassSpaceError(
                f"The category {category!r} lists {', '.join(unknown)}, which the classes {', '.join(classes.names)} do not "
                "have. Give the categories of this data set as `categories`, or {} for none."
            )
        members[row, [classes.index(name) for name in names]] = True
    return members
