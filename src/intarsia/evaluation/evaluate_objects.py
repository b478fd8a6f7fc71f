"""A predictor over the images of a data set, by its objects or panoptic maps, one image at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from intarsia.core import Dataset, Panoptic, Predictor
from intarsia.data.stats import LEAST_SCORED
from intarsia.evaluation.evaluation import ScoreRefused
from intarsia.evaluation.kinds import compared_as_objects, compared_as_panoptic
from intarsia.evaluation.object_evaluation import ObjectEvaluation
from intarsia.evaluation.official import OfficialTally
from intarsia.evaluation.simulated_hints import predict_sample
from intarsia.evaluation.tallies import InstanceTally, PanopticTally

__all__ = ["evaluate_objects"]

Progress = Callable[[int, int, str], None]


def evaluate_objects(
    predictor: Predictor,
    dataset: Dataset,
    split: str,
    keys: Sequence[str],
    *,
    task: Literal["instance", "panoptic"],
    allow_partial: bool = False,
    progress: Progress | None = None,
) -> ObjectEvaluation:
    """Score a predictor by objects or panoptic maps, at the images' own size; see `evaluate`, which calls this.

    An image is read, predicted, counted and forgotten. What is kept of it for AP are the run lengths of its true objects, and of
    the best hundred predicted ones of each class.

    Raises:
        SettingsError: a truth or a prediction that is not of the task.
        ClassSpaceError: classes that do not fit together.
        ScoreRefused: nothing to find in any image, or, unless `allow_partial`, most pixels of panoptic truths are void.
    """
    objects, segments, official = InstanceTally(), PanopticTally(), OfficialTally(dataset)
    said_first = getattr(predictor, "note", "")
    notes: dict[str, None] = {said_first: None} if said_first else {}
    seconds, true, void, pixels, classes = 0.0, 0, 0, 0, dataset.classes
    for number, key in enumerate(keys, 1):
        sample = dataset.read(key)
        truths = sample.truths or (sample.truth,)
        start = time.perf_counter()
        prediction = predict_sample(predictor, sample)
        seconds += time.perf_counter() - start
        for truth in truths:
            if task == "instance":
                found, wanted, said = compared_as_objects(prediction, truth)
                objects.observe(found, wanted, key)
                official.observe_objects(found, wanted, key)
                true += len(wanted) if wanted.is_crowd is None else int((~wanted.is_crowd).sum())
                classes = wanted.classes
            else:
                mapped, wanted_map, said = compared_as_panoptic(prediction, truth)
                segments.observe(mapped, wanted_map, key)
                true += sum(not segment.is_crowd for segment in wanted_map.segments)
                void += _void_pixels(wanted_map)
                pixels += wanted_map.ids.size
                classes = wanted_map.classes
            notes.update(dict.fromkeys(said))
        if progress is not None:
            progress(number, len(keys), key)
    where = f"{dataset.name} {split}".rstrip()
    warnings = _check_meaning(predictor.name, dataset.name, split, where, task, true, void, pixels, allow_partial)
    tally = objects if task == "instance" else segments
    scores, intervals = tally.score()
    if task == "instance":
        notes.update(dict.fromkeys(objects.notes()))
    first = next(iter(intervals.values()))
    notes.update({first.note: None} if first.note else {})
    return ObjectEvaluation(
        task=task,
        predictor=predictor.name,
        dataset=dataset.name,
        split=split,
        classes=classes,
        scores=scores,
        intervals=intervals,
        per_image=tally.per_image(),
        seconds=seconds,
        notes=tuple(notes),
        warnings=warnings,
        official=official.of_objects(scores) if task == "instance" else {},
    )


def _void_pixels(truth: Panoptic) -> int:
    return int(np.count_nonzero(truth.ids == 0))


def _check_meaning(
    predictor: str, dataset: str, split: str, where: str, task: str, true: int, void: int, pixels: int, allow_partial: bool
) -> tuple[str, ...]:
    """Why the scores mean little; see `intarsia.evaluation.refusal`."""
    if true == 0:
        kind = "object" if task == "instance" else "segment"
        raise ScoreRefused(
            f"No score is given. There is not one {kind} in the truth of {where}, so nothing could be found. Choose images that "
            "show some, or look at the data with `intarsia check`.",
            predictor,
            dataset,
            split,
        )
    if not pixels or 1 - void / pixels >= LEAST_SCORED:
        return ()
    reason = f"Only {1 - void / pixels:.1%} of the pixels of {where} belong to a segment of the truth; the others are void."
    if not allow_partial:
        raise ScoreRefused(
            f"No score is given. {reason} Probably classes are missing. If it is meant so, `intarsia evaluate ... "
            "--allow-partial` (allow_partial=True) scores what there is and keeps this warning.",
            predictor,
            dataset,
            split,
        )
    return (reason,)
