"""Scores of files that any tool made: masks, object numbers, COCO files, regions, against files of the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from intarsia.core import ClassSpace, LabelMap, SettingsError, Task, nearest_names
from intarsia.data.formats import read_mask, read_mask_values
from intarsia.evaluation.file_pairs import annotators_by_name, files_of_both, paired_names
from intarsia.evaluation.refusal import check_meaning
from intarsia.evaluation.score_classes import USUAL_VOID, Ignored, Values, ids_of, ignored_value, label_classes
from intarsia.evaluation.score_objects import open_instances, open_panoptic
from intarsia.evaluation.tallies import InstanceTally, PanopticTally
from intarsia.metrics import Intervals, RowScores, bootstrap
from intarsia.metrics.confusion import ConfusionEvidence, observe_confusion, score_confusion, score_tallies
from intarsia.metrics.region_overlap import RegionEvidence, observe_region_overlap, score_region_overlap
from intarsia.metrics.region_overlap import score_tallies as score_regions

__all__ = ["FileScores", "score_files"]

REMEDY = "`--ignore ID` (ignore=ID) says which value is, `--ignore none` (ignore='none') that none is."

BINARY = (
    "The truth holds 0 and 255 only, and 255 was taken as the value to ignore. Probably it is the object: then say "
    "`--ignore none` (ignore='none')."
)

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class FileScores:
    """What the files of a prediction reached.

    Args:
        task: what was compared.
        images: how many pairs.
        scores: metric to its scores.
        intervals: metric to the 95% intervals of its scores, over images.
        notes: what a reader of the scores should know, one sentence each.
    """

    task: Task
    images: int
    scores: Mapping[str, RowScores]
    intervals: Mapping[str, Intervals]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN becomes None."""
        return {
            "task": self.task,
            "images": self.images,
            "notes": list(self.notes),
            "scores": {name: scores.to_dict() for name, scores in self.scores.items()},
            "intervals": {name: intervals.to_dict() for name, intervals in self.intervals.items()},
        }


def score_files(
    predictions: str | Path,
    truth: str | Path,
    task: Task = "semantic",
    *,
    classes: Sequence[str] | None = None,
    ignore: Ignored = None,
    allow_partial: bool = False,
    progress: Progress | None = None,
) -> FileScores:
    """Score files against files of the truth. A file and its truth have the same name up to the ending.

    * semantic: masks of class ids, whatever wrote them.
    * instance: PNG of object numbers, 0 for none, or COCO JSON, on either side.
    * panoptic: COCO panoptic JSON with its folder of PNG, or PNG files each with the JSON that Intarsia writes beside.
    * regions: PNG of region numbers; NAME_1, NAME_a1 or files in a folder NAME are annotators of NAME.

    Args:
        predictions: a folder, or one file.
        truth: likewise.
        task: what the files hold.
        classes: the names of the class ids 0, 1 ...; None: those stored in files that Intarsia wrote, else one class for each id
            seen.
        ignore: the value of pixels without truth; of a panoptic truth the segment. "none": there is none. None: 255,
            where it occurs in the truth only.
        allow_partial: score semantic masks even if most pixels are ignored or only one class is scored, with a note.
        progress: called after each image with its number, the count and its name.

    Raises:
        DataError: files that cannot be read, or that do not pair; the message names them.
        SettingsError: an unknown task, or options that do not fit the files.
        ClassSpaceError: classes that do not fit together.
        SegmentationError: sizes that differ.
        ScoreRefused: scores of semantic masks that would not mean what they seem to.
    """
    tasks: dict[str, Callable[[Path, Path, Sequence[str] | None, Ignored, Progress], FileScores]] = {
        "semantic": partial(_semantic, allow_partial=allow_partial),
        "instance": _instance,
        "panoptic": _panoptic,
        "regions": _regions,
    }
    if task not in tasks:
        near = nearest_names(task, tasks)
        raise SettingsError(
            f"There is no task {task!r}.{f' Did you mean {near[0]!r}?' if near else ''} Tasks: {', '.join(tasks)}."
        )
    return tasks[task](Path(predictions), Path(truth), classes, ignore, progress or (lambda *_: None))


def _semantic(
    predictions: Path,
    truth: Path,
    names: Sequence[str] | None,
    ignore: Ignored,
    progress: Progress,
    *,
    allow_partial: bool,
) -> FileScores:
    files, true_files = files_of_both(predictions, truth)
    keys = paired_names(files, true_files, predictions, truth)
    values, true_values = Values.of(files.values()), Values.of(true_files.values())
    stored = (true_values.stored or values.stored) if names is None else None
    if stored is not None and ignore == "none" and true_values.stored is None:
        names, stored = stored.names, None  # names alone: what the truth's values mean is not stored, and 255 shall be a class
    if stored is not None:
        space = replace(stored, ignore_sources=(*stored.ignore_sources, ignore)) if isinstance(ignore, int) else stored
        notes = [f"The classes are those stored in the files, and {stored.ignore_id} is ignored."]
    else:
        void, notes = ignored_value(ignore, true_values, values)
        space = label_classes(names, void, true_values, values)
    rows = []
    for number, key in enumerate(keys, 1):
        rows.append(observe_confusion(read_mask(files[key], space), read_mask(true_files[key], space), key))
        progress(number, len(keys), key)
    evidence = ConfusionEvidence.concatenate(rows)
    scored = score_confusion(evidence)
    notes.append(f"{scored.share_scored:.1%} of the pixels were scored.")
    void_object = true_values.stored is None and true_values.found == {0, USUAL_VOID} and ignore is None
    notes += check_meaning(
        scored,
        predictor=str(predictions),
        dataset=str(truth),
        allow_partial=allow_partial,
        command="score",
        remedy=REMEDY,
        cause=BINARY if void_object and space.id_of_source.get(USUAL_VOID) == space.ignore_id else "",
    )
    of_one = {name: row[0] for name, row in score_tallies(evidence.tallies.sum(0)[None]).items()}
    scores = RowScores("pixels of all images counted together", space.names, of_one, len(rows))
    intervals = bootstrap(evidence, score_tallies)
    return FileScores("semantic", len(keys), {"confusion": scores}, {"confusion": intervals}, tuple(notes))


def _instance(predictions: Path, truth: Path, names: Sequence[str] | None, ignore: Ignored, progress: Progress) -> FileScores:
    objects = open_instances(predictions, truth, names, ignore)
    keys = paired_names(objects.predicted, objects.true, predictions, truth)
    tally = InstanceTally()
    for number, key in enumerate(keys, 1):
        tally.observe(objects.predicted[key](), objects.true[key](), key)
        progress(number, len(keys), key)
    return FileScores("instance", len(keys), *tally.score(), (*objects.notes, *tally.notes()))


def _panoptic(predictions: Path, truth: Path, names: Sequence[str] | None, ignore: Ignored, progress: Progress) -> FileScores:
    if names is not None:
        raise SettingsError(f"The classes {', '.join(names)} are given, and panoptic files say theirs. Leave --classes out.")
    segments = open_panoptic(predictions, truth, ignore)
    keys = paired_names(segments.predicted, segments.true, predictions, truth)
    tally = PanopticTally()
    for number, key in enumerate(keys, 1):
        tally.observe(segments.predicted[key](), segments.true[key](), key)
        progress(number, len(keys), key)
    return FileScores("panoptic", len(keys), *tally.score())


def _regions(predictions: Path, truth: Path, names: Sequence[str] | None, ignore: Ignored, progress: Progress) -> FileScores:
    if names is not None:
        raise SettingsError(f"The classes {', '.join(names)} are given, and regions have none. Leave --classes out.")
    files, single = files_of_both(predictions, truth)
    true_files = annotators_by_name(files, single)
    keys = paired_names(files, true_files, predictions, truth)
    values, true_values = Values.of(files.values()), Values.of(single.values())
    void, notes = ignored_value(ignore, true_values, values, numbers=True)
    rows = []
    for number, key in enumerate(keys, 1):
        truths = [_region_map(path, void) for path in true_files[key]]
        rows.append(observe_region_overlap(_region_map(files[key], None), truths, key))
        progress(number, len(keys), key)
    evidence = RegionEvidence.concatenate(rows)
    if len(single) > len(keys):
        notes.append(f"The {len(keys)} images have {len(single)} truths; an image counts by the mean over its own.")
    scores = score_region_overlap(evidence)
    return FileScores("regions", len(keys), {"regions": scores}, {"regions": bootstrap(evidence, score_regions)}, tuple(notes))


def _region_map(path: Path, void: int | None) -> LabelMap:
    """The regions in a file; where one value is to be ignored, as classes, which know such a value."""
    ids = ids_of(read_mask_values(path), path)
    if void is None or not (ids == void).any():
        return LabelMap(ids)
    kept = np.unique(ids[ids != void])
    space = ClassSpace.from_names([str(value) for value in kept] or ["none"], ignore_id=65535)
    return LabelMap(np.where(ids == void, space.ignore_id, np.searchsorted(kept, ids)).astype(np.int32), space)
