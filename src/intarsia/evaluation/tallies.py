"""What is counted of objects and of panoptic maps, image by image: the metrics of a task, together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from intarsia.core import Array, InstanceMasks, Instances, Panoptic
from intarsia.metrics import Intervals, RowScores, bootstrap
from intarsia.metrics.aji import AjiEvidence, observe_aji, score_aji, score_shares
from intarsia.metrics.coco_ap import CocoApEvidence, coco_ap_of_draws, observe_coco_ap, score_coco_ap
from intarsia.metrics.mean_precision import MeanPrecisionEvidence, observe_mean_precision, score_precisions
from intarsia.metrics.panoptic_quality import (
    PanopticEvidence,
    observe_panoptic_quality,
    score_panoptic_quality,
    score_qualities,
)
from intarsia.metrics.voc_ap import VocApEvidence, observe_voc_ap, score_voc_ap, voc_ap_of_draws

__all__ = ["COCO_LIMIT", "DECIDED", "ImageObjects", "InstanceTally", "PanopticTally", "without_overlaps"]

RANKED_SAMPLES = 200
"""Resamples of scores for each of which the objects are ranked again, which takes its time."""
COCO_LIMIT = 100
"""Objects of a class and image that COCO's AP looks at."""
DECIDED = 0.5
"""Least score of an object for metrics that do not look at scores: mean precision and AJI."""

Scored = tuple[dict[str, RowScores], dict[str, Intervals]]


class ImageObjects(NamedTuple):
    """What was found in one image.

    score: mean precision or PQ; NaN where nothing defines it.
    true: objects or segments of the truth.
    found: those of them that a predicted one matches at IoU 0.5.
    invented: predicted ones that match none.
    """

    score: float
    true: int
    found: int
    invented: int


class InstanceTally:
    """COCO's AP by masks and boxes, VOC's AP, mean precision and AJI.

    AP ranks all objects by their scores. The others take the objects of score `DECIDED` and more, without their overlaps.
    """

    def __init__(self) -> None:
        self.scored, self.crowded = False, 0
        self._masks: list[CocoApEvidence] = []
        self._boxes: list[CocoApEvidence] = []
        self._voc: list[VocApEvidence] = []
        self._precision: list[MeanPrecisionEvidence] = []
        self._aji: list[AjiEvidence] = []

    def observe(self, prediction: Instances, truth: Instances, key: str) -> None:
        """Take down one image."""
        self.scored |= prediction.score is not None
        self.crowded += max(len(prediction), len(truth)) > COCO_LIMIT
        ranked = _best(prediction)
        self._masks.append(observe_coco_ap(ranked, truth, key))
        self._boxes.append(observe_coco_ap(ranked, truth, key, shape="box"))
        self._voc.append(observe_voc_ap(prediction, truth, key))
        decided = without_overlaps(prediction)
        self._precision.append(observe_mean_precision(decided, truth, key))
        self._aji.append(observe_aji(decided, truth, key))

    def score(self) -> Scored:
        """Scores and intervals of all images, by metric."""
        scores: dict[str, RowScores] = {}
        intervals: dict[str, Intervals] = {}
        for name, rows in (("coco_mask_ap", self._masks), ("coco_box_ap", self._boxes)):
            evidence = CocoApEvidence.concatenate(rows)
            scores[name] = score_coco_ap(evidence)
            intervals[name] = bootstrap(evidence.draws, coco_ap_of_draws(evidence), samples=RANKED_SAMPLES)
        ranks = VocApEvidence.concatenate(self._voc)
        scores["voc_ap"] = score_voc_ap(ranks)
        intervals["voc_ap"] = bootstrap(ranks.draws, voc_ap_of_draws(ranks), samples=RANKED_SAMPLES)
        precisions, shares = MeanPrecisionEvidence.concatenate(self._precision), AjiEvidence.concatenate(self._aji)
        scores["mean_precision"] = RowScores.of_evidence(precisions, score_precisions, "mean over images")
        intervals["mean_precision"] = bootstrap(precisions, score_precisions)
        scores["aji"], intervals["aji"] = score_aji(shares), bootstrap(shares, score_shares)
        return scores, intervals

    def per_image(self) -> dict[str, ImageObjects]:
        """By key, annotators together."""
        evidence = MeanPrecisionEvidence.concatenate(self._precision).by_key()
        rows = zip(evidence.keys, evidence.tallies, strict=True)
        return {key: _of_tally(row[1:11].mean() / row[0], *row[11:14]) for key, row in rows}

    def notes(self) -> list[str]:
        """What a reader of the scores should know, one sentence each."""
        said = [
            f"Mean precision and AJI are of the objects with a score of {DECIDED} and more, without their overlaps."
            if self.scored
            else "The predictions carry no scores, so their objects rank alike; AP then depends on the order of the objects."
        ]
        if self.crowded:
            said.append(
                f"{self.crowded} images hold more than {COCO_LIMIT} objects, of which COCO's AP sees {COCO_LIMIT} of each class."
            )
        return said


class PanopticTally:
    """Panoptic quality, of all classes, of things and of stuff."""

    def __init__(self) -> None:
        self._rows: list[PanopticEvidence] = []

    def observe(self, prediction: Panoptic, truth: Panoptic, key: str) -> None:
        """Take down one image."""
        self._rows.append(observe_panoptic_quality(prediction, truth, key))

    def score(self) -> Scored:
        """Scores and intervals of all images, by metric."""
        evidence = PanopticEvidence.concatenate(self._rows)
        intervals = bootstrap(evidence, partial(score_qualities, thing_ids=evidence.thing_ids))
        return {"panoptic_quality": score_panoptic_quality(evidence)}, {"panoptic_quality": intervals}

    def per_image(self) -> dict[str, ImageObjects]:
        """By key, annotators together."""
        evidence = PanopticEvidence.concatenate(self._rows).by_key()
        score: Callable[[Array], Mapping[str, Array]] = partial(score_qualities, thing_ids=evidence.thing_ids)
        of_image = zip(evidence.keys, score(evidence.tallies)["pq"].tolist(), evidence.tallies.sum(1), strict=True)
        return {key: _of_tally(pq, found, invented, missed) for key, pq, (_, found, invented, missed) in of_image}


def without_overlaps(objects: Instances, least_score: float = DECIDED) -> Instances:
    """The objects of at least this score; where they overlap the one of higher score is kept. Without scores all are meant."""
    chosen = np.arange(len(objects)) if objects.score is None else np.flatnonzero(objects.score >= least_score)
    kept = objects if len(chosen) == len(objects) else objects.select(chosen)
    ids = kept.to_ids()
    if np.count_nonzero(ids) == kept.masks.areas().sum():
        return kept
    crops = (
        ((int(y.start), int(x.start)), crop & (ids[y, x] == number))
        for number, ((y, x), crop) in enumerate(kept.masks.crops(), 1)
    )
    return replace(kept, masks=InstanceMasks.pack_crops(crops, kept.size_hw))


def _best(objects: Instances) -> Instances:
    """Those that COCO's AP looks at, so that no others are kept in memory."""
    if objects.score is None or len(objects) <= COCO_LIMIT:
        return objects
    order = np.argsort(-objects.score, kind="stable")
    rank = np.zeros(len(objects), np.int64)
    for class_id in np.unique(objects.class_id):
        of_class = order[objects.class_id[order] == class_id]
        rank[of_class] = np.arange(len(of_class))
    return objects.select(rank < COCO_LIMIT)


def _of_tally(score: float, found: float, invented: float, missed: float) -> ImageObjects:
    return ImageObjects(float(score), int(found + missed), int(found), int(invented))
