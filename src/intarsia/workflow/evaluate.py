"""evaluate: a predictor and a data set in, scores with intervals and a report out."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from intarsia.core import Dataset, Predictor, Sample, Segmentation
from intarsia.workflow.predictors import open_predictor

if TYPE_CHECKING:
    from intarsia.evaluation import Evaluation

__all__ = ["evaluate", "report_pictures"]

EXAMPLES = 4
"""Pictures of the best and of the worst images in a report."""


def evaluate(
    data: str | Path | Dataset,
    *,
    model: str | Path | Predictor,
    split: str = "val",
    device: str = "auto",
    out: str | Path | None = None,
    title: str | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Evaluation:
    """Score a predictor on a split, at the images' own size.

    Args:
        data: what `train` takes.
        model: a model file or a predictor.
        split: "val", "test", "train".
        device: where a network runs.
        out: folder for evaluation.json and report.html; None writes nothing.
        title: of the report.
        progress: called with number, count and key.
    """
    from intarsia.data.datasets import open_dataset
    from intarsia.evaluation import evaluate as run

    predictor = open_predictor(model, device=device)
    dataset = open_dataset(data, view="semantic") if isinstance(data, str | Path) else data
    evaluation = run(predictor, dataset, split, progress=progress)
    if out is not None:
        _write(Path(out), evaluation, predictor, dataset, title or f"{predictor.name} on {dataset.name} {split}")
    return evaluation
