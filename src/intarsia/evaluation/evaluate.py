"""A predictor over the images of a data set: pooled scores, intervals over images, and the score of each image."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from intarsia.core import Dataset, Predictor, SettingsError, Task, nearest_names
from intarsia.evaluation.evaluate_objects import evaluate_objects
from intarsia.evaluation.evaluation import Evaluation, ImageScore
from intarsia.evaluation.object_evaluation import ObjectEvaluation
from intarsia.evaluation.official import OfficialTally
from intarsia.evaluation.refusal import absent_note, check_meaning
from intarsia.evaluation.semantic import compared_as_labels
from intarsia.evaluation.simulated_hints import predict_sample
from intarsia.metrics import bootstrap
from intarsia.metrics.confusion import ConfusionEvidence, observe_confusion, score_confusion, score_tallies
from intarsia.metrics.size_recall import SizeRecallEvidence, observe_size_recall, score_size_recall

__all__ = ["evaluate"]


def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    split: str = "val",
    *,
    task: Task | None = None,
    keys: Sequence[str] | None = None,
    allow_partial: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Evaluation | ObjectEvaluation:
    """Score a predictor on the images of a split, at their own size.

    Each annotator of an image is a row of evidence of its own. Classes are matched by name. Truths of objects and panoptic maps
    are scored as such where the predictor makes the same, or `task` says so; else by the class of each pixel, which a note says.

    Args:
        predictor: any; a `Guided` one is given hints from the truth. What a predictor says as its `note` is among the notes.
        dataset: any with truths.
        split: "val", "test", "train" or what the data set has.
        task: what is compared: "instance", "panoptic" or "semantic"; None: objects or panoptic maps where truth and predictor
            both hold them, else "semantic".
        keys: these images of the split alone.
        allow_partial: score although more than half of the pixels are ignored or the truth holds one class only; the evaluation's
            `warnings` then say so.
        progress: called after each image with its number, the count and its key.

    Raises:
        SettingsError: no such split, no image, or kinds of segmentation that cannot be compared.
        ClassSpaceError: classes that do not fit together.
        DataError: an image without truth.
        ScoreRefused: not one pixel to score, or a score that would not mean what it seems to; see `allow_partial`.
    """
    keys = list(_keys_of(dataset, split) if keys is None else keys)
    if not keys:
        raise SettingsError(f"There is no image to score: the split {split!r} of {dataset.name} is empty.")
    task = task or _shared_task(predictor.task, dataset.task)
    if task == "instance" or task == "panoptic":
        return evaluate_objects(predictor, dataset, split, keys, task=task, allow_partial=allow_partial, progress=progress)
    rows: list[ConfusionEvidence] = []
    sizes: list[SizeRecallEvidence] = []
    official = OfficialTally(dataset)
    said_first = getattr(predictor, "note", "")  # of simulated hints, or of what was measured while it was fitted
    notes: dict[str, None] = {said_first: None} if said_first else {}
    seconds = 0.0
    for number, key in enumerate(keys, 1):
        sample = dataset.read(key)
        truths = sample.truths or (sample.truth,)  # the second says in words that there is none
        start = time.perf_counter()
        prediction = predict_sample(predictor, sample)
        seconds += time.perf_counter() - start
        for truth in truths:
            labels, true_labels, said = compared_as_labels(prediction, truth)
            notes.update(dict.fromkeys(said))
            rows.append(observe_confusion(labels, true_labels, key))
            sizes.append(observe_size_recall(labels, true_labels, key))
            official.observe_labels(labels, true_labels, key)
        if progress is not None:
            progress(number, len(keys), key)
    evidence = ConfusionEvidence.concatenate(rows)
    scores = score_confusion(evidence)
    warnings = check_meaning(scores, predictor=predictor.name, dataset=dataset.name, split=split, allow_partial=allow_partial)
    evaluation = Evaluation(
        predictor=predictor.name,
        dataset=dataset.name,
        split=split,
        confusion=evidence.pooled,
        ignored_pixels=int(evidence.ignored.sum()),
        scores=scores,
        intervals=bootstrap(evidence, score_tallies),
        sizes=score_size_recall(SizeRecallEvidence.concatenate(sizes)),
        per_image=_per_image(evidence),
        seconds=seconds,
        warnings=warnings,
        official=official.of_labels(scores),
    )
    said = [absent_note(evaluation.absent, len(evaluation.classes))] if evaluation.absent else []
    said += [evaluation.intervals.note] if evaluation.intervals.note else []
    return replace(evaluation, notes=(*notes, *said))


def _shared_task(predicted: Task, true: Task) -> Task:
    """Panoptic maps where both sides are, objects where both sides hold some or regions could be such, else classes of pixels."""
    if predicted == true == "panoptic":
        return "panoptic"
    holds_objects = ("instance", "panoptic")
    if true in holds_objects and (predicted in holds_objects or (predicted, true) == ("regions", "instance")):
        return "instance"
    return "semantic"


def _per_image(evidence: ConfusionEvidence) -> dict[str, ImageScore]:
    evidence = evidence.by_key()
    scores = score_tallies(evidence.tallies)
    pairs = zip(scores["miou"].tolist(), scores["pixel_accuracy"].tolist(), strict=True)
    return {key: ImageScore(*pair) for key, pair in zip(evidence.keys, pairs, strict=True)}


def _keys_of(dataset: Dataset, split: str) -> Sequence[str]:
    if split not in dataset.splits:
        near = nearest_names(split, dataset.splits)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise SettingsError(f"{dataset.name} has no split {split!r}.{hint} Its splits: {', '.join(dataset.splits)}.")
    return dataset.splits[split]
