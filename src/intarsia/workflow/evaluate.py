"""evaluate: a predictor and a data set in, scores with intervals and a report out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intarsia.classical import Method
from intarsia.core import Dataset, Predictor, SettingsError, Task
from intarsia.inference.refined import Refined
from intarsia.workflow.predictors import open_predictor
from intarsia.workflow.results import Results, write_page
from intarsia.workflow.run_folder import RunFolder
from intarsia.workflow.sources import lasting_source, open_truths

if TYPE_CHECKING:
    from intarsia.evaluation import Evaluation, ObjectEvaluation

__all__ = ["evaluate"]


def evaluate(
    data: str | Path | Dataset,
    *,
    model: str | Path | Predictor,
    split: str = "val",
    task: Task | None = None,
    options: Mapping[str, Any] | None = None,
    semantic: str | Path | Predictor | None = None,
    device: str = "auto",
    out: str | Path | None = None,
    allow_partial: bool = False,
    hints: str | None = None,
    refine: str | None = None,
    refine_options: Mapping[str, Any] | None = None,
    refine_file: str | Path | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Evaluation | ObjectEvaluation:
    """Score a predictor on a split, at the images' own size.

    Args:
        data: what `train` takes.
        model: a model file, a run's folder, or a predictor.
        split: "val", "test", "train".
        task: what is compared: "instance", "panoptic" or "semantic"; None: what the predictor makes. Regions and maps of classes
            can be scored as objects too, and a note says how they were read.
        options: of a classical method, or of what decodes the objects of an instance or panoptic network.
        semantic: a model or classical method that tells an instance network where the classes are, if it was trained to be told.
        device: where a network runs.
        out: folder for evaluation.json and report.html, not that of a run, which has its own; None writes nothing. A score that
            is refused is reported there too.
        allow_partial: score although more than half of the pixels are ignored or the truth holds one class only, with a warning.
        hints: for interactive methods, what is simulated from the truth: "box", "clicks=5" (in each class) or "contour=8" (along
            each outline); None takes what suits the method. The name in the results and a note say so.
        refine: how predictions are refined by the image, such as "crf"; None leaves them. See `intarsia.inference.refined`.
        refine_options: settings of the refinement, such as `bilateral_xy`.
        refine_file: TOML of such settings, which `tune_crf` writes; it also says which refinement they are for.
        progress: called with number, count and key.

    Raises:
        ScoreRefused: a score that would not mean what it seems to; see `allow_partial`.
        SettingsError: a run lies in `out`.
        IntarsiaError: data or files that cannot be used, in words.
    """
    from intarsia.evaluation import ScoreRefused
    from intarsia.evaluation import evaluate as run

    if out is not None and RunFolder(Path(out)).holds_run():
        raise SettingsError(
            f"There is a run in {out}, whose own scores and report would be replaced. Choose another --out; `intarsia report "
            f"{out}` builds the run's report again."
        )
    opened = open_predictor(
        model,
        device=device,
        options=options,
        semantic=semantic,
        refine=refine,
        refine_options=refine_options,
        refine_file=refine_file,
    )
    predictor = _guided(opened, hints)
    dataset = open_truths(data, predictor, task) if isinstance(data, str | Path) else data
    outcome: Evaluation | ObjectEvaluation | ScoreRefused
    try:
        outcome = run(predictor, dataset, split, task=task, allow_partial=allow_partial, progress=progress)
    except ScoreRefused as refused:
        outcome = refused
    if out is not None:
        inputs = {"data": lasting_source(data)} if isinstance(data, str | Path) else {}
        if isinstance(model, str | Path):
            inputs["model"] = str(Path(model).absolute() if Path(model).exists() else model)
            inputs |= {"options": json.dumps(dict(options))} if options else {}
            inputs |= {"task": task} if task else {}
            inputs |= {"semantic": str(semantic)} if isinstance(semantic, str | Path) else {}
            if isinstance(opened, Refined):
                inputs["refine"], inputs["refine_options"] = opened.refinement_name, json.dumps(vars(opened.refinement))
        results = Results.now(outcome, predictor, settings={"data": " ".join(dataset.notes)}, inputs=inputs)
        results.save(Path(out))
        write_page(Path(out), results, predictor, dataset)
    if isinstance(outcome, ScoreRefused):
        raise outcome
    return outcome


def _guided(predictor: Predictor, hints: str | None) -> Predictor:
    """An interactive predictor with simulated hints: of what it takes, a box rather than clicks, and outlines if points alone."""
    from intarsia.evaluation import Guided

    method = predictor.predictor if isinstance(predictor, Refined) else predictor
    needed = method.about["hints"] if isinstance(method, Method) else ()
    usable = (*needed, *(method.about["optional_hints"] if isinstance(method, Method) else ()))
    if hints is not None and not usable:
        raise SettingsError(f"{predictor.name} takes no hints, and {hints!r} was to be simulated; leave it out.")
    if hints is None and needed:
        hints = "box" if "box" in needed else "clicks=5" if "scribbles" in needed else "contour=8"
    return predictor if hints is None else Guided(predictor, hints)
