"""tune_crf: a model and data in, settings of a fully connected CRF out, in a file that `--refine-file` takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intarsia.core import Dataset, Predictor
from intarsia.workflow.predictors import open_predictor

if TYPE_CHECKING:
    from intarsia.evaluation.tune import Tuned
    from intarsia.postprocess.dense_crf import DenseCRF

__all__ = ["tune_crf"]


def tune_crf(
    model: str | Path | Predictor,
    data: str | Path | Dataset,
    *,
    out: str | Path | None = None,
    split: str = "val",
    trials: int = 40,
    images: int = 20,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    progress: Callable[[int, int, DenseCRF, float], None] | None = None,
) -> Tuned:
    """Search the settings of a CRF that refine a model's predictions best; the model predicts each image once.

    Args:
        model: a model file, a run's folder, the name of a classical method, or a predictor.
        data: what `evaluate` takes.
        out: TOML file for the best settings; None writes nothing.
        split: whose images are used; those of "test" should stay unseen.
        trials: how many settings are tried.
        images: at most so many, drawn by the seed.
        seed: of images and settings.
        options: of a classical method.
        device: where a network runs.
        progress: called after each trial with its number, the count, the settings and their mIoU.

    Raises:
        IntarsiaError: a model or data that cannot be used, in words.
    """
    from intarsia.data.datasets import open_dataset
    from intarsia.evaluation.tune import predictions_to_tune_on
    from intarsia.evaluation.tune import tune_crf as search
    from intarsia.inference.refined import write_refinement

    predictor = open_predictor(model, device=device, options=options)
    dataset = open_dataset(data, view="semantic") if isinstance(data, str | Path) else data
    tuned = search(predictions_to_tune_on(predictor, dataset, split, images, seed=seed), trials, seed=seed, progress=progress)
    if out is not None:
        field, miou = tuned.best
        said = f"{predictor.name} on {tuned.images} images of {dataset.name} {split}: mIoU {tuned.before:.4f}, refined {miou:.4f}"
        write_refinement(out, "crf", field, f"{said}\n{len(tuned.trials)} trials, seed {seed}")
    return tuned
