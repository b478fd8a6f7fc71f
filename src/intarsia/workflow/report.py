"""report: a run's folder in, its report out; what was measured before is not measured again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from intarsia.core import DataError, Dataset, IntarsiaError, Predictor, SettingsError, Task
from intarsia.recipes import load_recipe
from intarsia.recipes.run_files import BEST, RECIPE, REPORT
from intarsia.workflow.predictors import open_predictor
from intarsia.workflow.results import Results, recipe_settings, write_page
from intarsia.workflow.sources import open_truths

if TYPE_CHECKING:
    from intarsia.evaluation import Evaluation, ObjectEvaluation, ScoreRefused

__all__ = ["report"]

COMPARED_IMAGES = 4
"""Images whose saved score is compared with what the model reaches now."""
TOLERANCE = 0.02
"""Of the mIoU, mean precision or PQ of an image: another device rounds differently."""


def report(
    run: str | Path,
    *,
    data: str | Path | None = None,
    device: str = "auto",
    allow_partial: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Build the report of a run again, or of a folder that `evaluate` wrote, from what lies in it.

    Scores are taken from evaluation.json. The model is evaluated again only where there are none, where they do not fit model and
    data as they are now, or where a refused score is asked for by `allow_partial`. Without data or model the report has no
    pictures, and says so.

    Args:
        run: the folder.
        data: where the data are now, if not where they were.
        device: where the network runs.
        allow_partial: as in `evaluate`.
        say: called with a line about what is done and why.

    Returns:
        The HTML file.

    Raises:
        IntarsiaError: a folder with neither scores nor model, or data that cannot be opened where scores are needed.
    """
    out = Path(run)
    saved, why = _saved(out)
    try:
        predictor, dataset = _open(out, saved, data, device)
    except IntarsiaError as error:
        if saved is None:
            raise
        note = f"There are no pictures, since model or data cannot be opened: {error}"
        had_pictures = (out / REPORT).is_file() and "<img" in (out / REPORT).read_text(encoding="utf-8", errors="replace")
        say(f"{note} The report that this one replaces had some." if had_pictures else note)
        return write_page(out, saved, notes=[note])
    why = _outdated(saved.outcome, predictor, dataset, allow_partial, _task(saved)) if saved else why
    if saved is None or why:
        say(f"{why} Evaluating again.")
        saved = _evaluate_again(out, saved, predictor, dataset, allow_partial)
        saved.save(out)
    return write_page(out, saved, predictor, dataset)


def _saved(out: Path) -> tuple[Results | None, str]:
    """What evaluation.json holds, or None and why."""
    try:
        return Results.load(out), ""
    except DataError as error:
        if (out / BEST).is_file():
            return None, str(error)
        raise SettingsError(
            f"There is no run to report in {out}: {error} Nor is there a model, {BEST}. Give the folder of a run, such as "
            "runs/scenes-unet, or one that `intarsia evaluate --out` wrote."
        ) from error


def _open(out: Path, saved: Results | None, data: str | Path | None, device: str) -> tuple[Predictor, Dataset]:
    inputs = saved.inputs if saved else {}
    source = data or inputs.get("data") or (load_recipe(out / RECIPE).data if (out / RECIPE).is_file() else None)
    if source is None:
        raise SettingsError(f"Nothing in {out} says which data were used; name them by --data.")
    refinement = {"refine": inputs.get("refine"), "refine_options": json.loads(inputs.get("refine_options", "{}"))}
    options = json.loads(inputs.get("options", "{}"))
    predictor = open_predictor(
        inputs.get("model", out / BEST), device=device, options=options, semantic=inputs.get("semantic"), **refinement
    )
    try:
        return predictor, open_truths(source, predictor, _task(saved))
    except IntarsiaError as error:
        raise DataError(f"{error} --data says where the data are now.") from error


def _task(saved: Results | None) -> Task | None:
    """What was to be compared, where that was said."""
    tasks: tuple[Task, ...] = ("semantic", "instance", "panoptic")
    return next((task for task in tasks if saved and saved.inputs.get("task") == task), None)


def _outdated(
    outcome: Evaluation | ObjectEvaluation | ScoreRefused,
    predictor: Predictor,
    dataset: Dataset,
    allow_partial: bool,
    task: Task | None,
) -> str:
    """Why what was saved does not do, or nothing."""
    from intarsia.evaluation import ScoreRefused, evaluate

    if isinstance(outcome, ScoreRefused):
        if not dataset.splits.get(outcome.split):
            return f"The data hold no images of split {outcome.split!r} now."
        return "The score was refused and is now asked for." if allow_partial else ""
    if set(outcome.per_image) != set(dataset.splits.get(outcome.split, ())) or outcome.classes.names != dataset.classes.names:
        return "The scores are of other images or classes than the data hold now."
    keys = outcome.ranking[:COMPARED_IMAGES]
    try:
        now = evaluate(predictor, dataset, outcome.split, task=task, keys=keys, allow_partial=True).per_image
    except ScoreRefused:
        return "The truths have changed."
    if any(abs(now[key][0] - outcome.per_image[key][0]) > TOLERANCE for key in keys):  # the score that ranks images
        return "The model does not reach the scores that were saved."
    return ""


def _evaluate_again(out: Path, saved: Results | None, predictor: Predictor, dataset: Dataset, allow_partial: bool) -> Results:
    from intarsia.evaluation import ScoreRefused, evaluate

    outcome: Evaluation | ObjectEvaluation | ScoreRefused
    split = saved.outcome.split if saved else "val"
    try:
        outcome = evaluate(predictor, dataset, split, task=_task(saved), allow_partial=allow_partial)
    except ScoreRefused as refused:
        outcome = refused
    if saved is None:
        settings = recipe_settings(load_recipe(out / RECIPE)) if (out / RECIPE).is_file() else {}
        return Results.now(outcome, predictor, settings=settings)
    now = Results.now(outcome, predictor, settings=saved.settings, inputs=saved.inputs)
    return replace(now, command=f"{saved.command}\n{now.command}")
