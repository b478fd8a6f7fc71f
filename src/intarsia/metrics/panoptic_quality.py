"""Panoptic quality: PQ = SQ x RQ, how well segments were found and how well those found fit, things and stuff apart.

A predicted and a true segment of one class match if their IoU is above 0.5; at most one of non-overlapping segments can, so
nothing has to be assigned. With the IoU summed over the matches TP, and with what is left over on either side, FP and FN,

    PQ = sum of IoU / (TP + FP / 2 + FN / 2),    SQ = sum of IoU / TP,    RQ = TP / (TP + FP / 2 + FN / 2)

for each class, pooled over images; the means are over the classes with any of TP, FP and FN. Counts add up, so it merges over
images and processes; not over tiles, which cut segments.

Void and crowds, as the COCO evaluation treats them: void pixels of the truth (id 0) count in no predicted segment's union; a
crowd of the truth neither matches nor is missed; an unmatched prediction of which more than half lies on void or on the crowd of
its class is no false positive. Where an image lists several crowds of a class only the last one counts there, as in panopticapi,
whose published scores this must equal. What the prediction leaves void (id 0) is in no segment.

Source: Kirillov et al., "Panoptic Segmentation", CVPR 2019, section 4; the rules for void and crowds as in panopticapi.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from intarsia.core import Array, BoolArray, Panoptic, Segment, SegmentationError
from intarsia.metrics._evidence import RowEvidence
from intarsia.metrics._scores import RowScores, mean_defined, ratio
from intarsia.metrics._sides import need_comparable

__all__ = [
    "PanopticEvidence",
    "observe_panoptic_consistency",
    "observe_panoptic_quality",
    "score_panoptic_quality",
    "score_qualities",
]


class PanopticEvidence(RowEvidence):
    """Tallies (I, K, 4) float64 of each class: the sum of the IoU of matches, then TP, FP and FN."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(map(str, self._declared(1)))

    @property
    def thing_ids(self) -> tuple[int, ...]:
        return tuple(int(str(index)) for index in self._declared(2))

    def _declared(self, position: int) -> tuple[object, ...]:
        entry = self.about[position]
        return entry if isinstance(entry, tuple) else ()


def observe_panoptic_quality(prediction: Panoptic, truth: Panoptic, key: str) -> PanopticEvidence:
    """Match the segments of one image.

    Args:
        prediction: its crowd flags mean nothing.
        truth: of the same size and classes; which classes are things is the truth's to say.
        key: names the image.

    Raises:
        ClassSpaceError: other classes.
        SegmentationError: another size, or ids that the segments do not list.
    """
    counts, predicted, true = _count(prediction, truth, key)
    last = {int(true.class_id[index]): index for index in np.flatnonzero(true.crowd)}
    no_crowd, excuses = np.zeros(len(predicted.crowd), np.bool_), np.zeros(len(true.crowd), np.bool_)
    excuses[list(last.values())] = True
    tallies = _tally(counts, _Side(predicted.class_id, no_crowd, no_crowd), true._replace(excuses=excuses), len(truth.classes))
    return _evidence(tallies, truth, key)


def observe_panoptic_consistency(one: Panoptic, other: Panoptic, key: str) -> PanopticEvidence:
    """Compare two annotations of one image with neither as the truth: human consistency.

    The same formula, in which the sides may be exchanged (PQ, SQ and RQ stay, FP and FN change places): pixels that either side
    leaves void are in no union, a crowd of either side neither matches nor is left over, and a segment of which more than half
    lies on the other's void, or on the other's crowds of its class, is not left over. Segments of `one` without a match count as
    FP, those of `other` as FN. A model whose PQ against an annotator is as high agrees with the annotator as people do.

    Source: Kirillov et al., CVPR 2019, section 5, which takes one of two annotations as the prediction; that the rules for void
    and crowds then apply to both sides is ours, since otherwise the score would depend on which one is taken.

    Raises:
        ClassSpaceError: other classes.
        SegmentationError: another size, or ids that the segments do not list.
    """
    counts, mine, theirs = _count(one, other, key)
    return _evidence(_tally(counts, mine, theirs, len(other.classes), counts[1:, 0]), other, key)


def score_panoptic_quality(evidence: PanopticEvidence) -> RowScores:
    """The pooled scores of the evidence, by the names of `score_qualities`."""
    score = partial(score_qualities, thing_ids=evidence.thing_ids)
    return RowScores.of_evidence(evidence, score, "segments of all images counted together", evidence.names)


def score_qualities(tallies: Array, thing_ids: tuple[int, ...]) -> Mapping[str, Array]:
    """Scores from pooled tallies (..., K, 4), for `bootstrap(evidence, partial(score_qualities, thing_ids=evidence.thing_ids))`.

    Returns:
        "pq", "sq" and "rq", means over the classes that occur, the same with "_things" and "_stuff", (...) each; the same with
        "_of_class", (..., K), and the segments "found_of_class" (TP), "invented_of_class" (FP) and "missed_of_class" (FN). The SQ
        of a class without a match is 0; NaN where there is no segment.
    """
    iou, found, invented, missed = np.moveaxis(np.asarray(tallies, np.float64), -1, 0)
    weight = found + (invented + missed) / 2
    sq = np.where(weight > 0, iou / np.maximum(found, 1), np.nan)
    of_class = {"pq": ratio(iou, weight), "sq": sq, "rq": ratio(found, weight)}
    is_thing = np.isin(np.arange(iou.shape[-1]), thing_ids)
    scores: dict[str, Array] = {}
    for ending, chosen in (("", np.ones_like(is_thing)), ("_things", is_thing), ("_stuff", ~is_thing)):
        scores |= {name + ending: mean_defined(np.where(chosen, values, np.nan)) for name, values in of_class.items()}
    of_class |= {"found": found, "invented": invented, "missed": missed}
    return scores | {f"{name}_of_class": values for name, values in of_class.items()}


class _Side(NamedTuple):
    """The Q segments of one side, each (Q,): the class, whether it is a crowd, whether what lies on it may be left over."""

    class_id: Array
    crowd: BoolArray
    excuses: BoolArray


def _count(prediction: Panoptic, truth: Panoptic, key: str) -> tuple[Array, _Side, _Side]:
    """Shared pixels (1 + G, 1 + P) int64 of true and predicted segments, void first; and the segments of either side."""
    from intarsia.metrics._count_segments import count_segments

    need_comparable(prediction, truth, key)
    ids, sides = [], []
    for segments in (prediction.segments, truth.segments):
        listed, class_id, _, crowd = zip(Segment(0, 0), *segments, strict=True)
        is_crowd = np.array(crowd[1:], np.bool_)
        ids.append(np.array(listed, np.int64))
        sides.append(_Side(np.array(class_id[1:], np.int64), is_crowd, is_crowd))
    counts = count_segments(truth.ids, prediction.ids, ids[1], ids[0])
    if counts.sum() != truth.ids.size:
        raise SegmentationError(
            f"{key}: the maps hold ids that their segments do not list. Was an array changed after the panoptic map was made?"
        )
    return counts, sides[0], sides[1]


def _tally(counts: Array, predicted: _Side, true: _Side, classes: int, true_on_void: Array | int = 0) -> Array:
    """(K, 4) sum of IoU, TP, FP and FN; `true_on_void` are the pixels (G,) to be left out of the union of true segments."""
    on_void, area, true_area = counts[0, 1:], counts.sum(0)[1:], counts.sum(1)[1:]
    rows, columns = np.nonzero(counts[1:, 1:] > 0)  # of a mask: five times as fast as of numbers
    shared = counts[1:, 1:][rows, columns]
    union = (true_area - true_on_void)[rows] + (area - on_void)[columns] - shared
    same = true.class_id[rows] == predicted.class_id[columns]
    match = same & ~true.crowd[rows] & ~predicted.crowd[columns] & (2 * shared > union)
    excused = on_void + np.bincount(columns, shared * (same & true.excuses[rows]), len(area))
    true_excused = true_on_void + np.bincount(rows, shared * (same & predicted.excuses[columns]), len(true_area))
    left = (area > 0) & ~predicted.crowd & (2 * excused <= area)
    true_left = (true_area > 0) & ~true.crowd & (2 * true_excused <= true_area)
    left[columns[match]] = true_left[rows[match]] = False
    found = true.class_id[rows[match]]
    weighted = np.bincount(found, shared[match] / union[match], classes)
    numbers = (np.bincount(ids, minlength=classes) for ids in (found, predicted.class_id[left], true.class_id[true_left]))
    return np.stack([weighted, *numbers], -1)


def _evidence(tallies: Array, truth: Panoptic, key: str) -> PanopticEvidence:
    return PanopticEvidence(("panoptic quality", truth.classes.names, truth.classes.thing_ids), (key,), tallies[None])
