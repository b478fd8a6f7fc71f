"""evaluate: a predictor and a data set in, scores with intervals and a report out."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from intarsia.core import Dataset, Predictor
from intarsia.recipes.run_files import EVALUATION, REPORT
from intarsia.workflow.environment import environment
from intarsia.workflow.predictors import open_predictor

if TYPE_CHECKING:
    from intarsia.evaluation import Evaluation

__all__ = ["evaluate", "write_results"]

EXAMPLES = 4
"""Pictures of the best and of the worst images in a report, each."""


def evaluate(
    data: str | Path | Dataset,
    *,
    model: str | Path | Predictor,
    split: str = "val",
    device: str = "auto",
    out: str | Path | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Evaluation:
    """Score a predictor on a split, at the images' own size.

    Args:
        data: what `train` takes.
        model: a model file, a run's folder, or a predictor.
        split: "val", "test", "train".
        device: where a network runs.
        out: folder for evaluation.json and report.html; None writes nothing.
        progress: called with number, count and key.

    Raises:
        IntarsiaError: data or files that cannot be used, in words.
    """
    from intarsia.data.datasets import open_dataset
    from intarsia.evaluation import evaluate as run

    predictor = open_predictor(model, device=device)
    dataset = open_dataset(data, view="semantic") if isinstance(data, str | Path) else data
    evaluation = run(predictor, dataset, split, progress=progress)
    if out is not None:
        write_results(Path(out), evaluation, predictor, dataset)
    return evaluation


def write_results(
    out: Path,
    evaluation: Evaluation,
    predictor: Predictor,
    dataset: Dataset,
    *,
    history: list[dict[str, float]] | None = None,
    settings: Mapping[str, str] | None = None,
) -> None:
    """Write evaluation.json and report.html, with the best and the worst images as pictures."""
    from intarsia.evaluation import write_report

    out.mkdir(parents=True, exist_ok=True)
    (out / EVALUATION).write_text(json.dumps(evaluation.to_dict(), indent=2) + "\n", encoding="utf-8")
    ranked = evaluation.ranking
    keys = dict.fromkeys((*ranked[:EXAMPLES], *ranked[max(EXAMPLES, len(ranked) - EXAMPLES) :]))
    samples = [dataset.read(key) for key in keys]
    write_report(
        out / REPORT,
        title=f"{predictor.name} on {dataset.name}",
        command=command_line(),
        evaluation=evaluation,
        examples=[(sample.key, sample.image, sample.truth, predictor.predict(sample.image)) for sample in samples],
        history=history,
        settings={"data": " ".join(dataset.notes), **(settings or {})},
        environment=environment(),
    )


def command_line() -> str:
    """The command that runs now, as a person would type it."""
    name = Path(sys.argv[0]).name
    return shlex.join(["intarsia" if name in ("intarsia", "__main__.py") else name, *sys.argv[1:]])
