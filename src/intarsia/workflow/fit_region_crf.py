"""fit_region_crf: a model and data in, a field over superpixels out, in a file that `--refine-file` takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from intarsia.core import Dataset, LabelMap, Predictor, SettingsError
from intarsia.workflow.predictors import open_predictor

if TYPE_CHECKING:
    from intarsia.postprocess.region_crf import RegionCRF

__all__ = ["FittedField", "fit_region_crf"]


@dataclass(frozen=True)
class FittedField:
    """A field, and the mIoU of the predictions that it was learnt from, as they were and refined; of how many images."""

    field: RegionCRF
    before: float
    after: float
    images: int


def fit_region_crf(
    model: str | Path | Predictor,
    data: str | Path | Dataset,
    *,
    out: str | Path | None = None,
    split: str = "val",
    images: int = 20,
    segments: int = 300,
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[int, int, str], None] | None = None,
) -> FittedField:
    """Learn a field over superpixels that refines a model's predictions: which classes are together, above and inside others.

    Args:
        model: a model file, a run's folder or a predictor.
        data: what `evaluate` takes.
        out: TOML file for the field; None writes nothing.
        split: whose images are used: not those that the model was trained on, nor those of "test", which should stay unseen.
        images: at most so many, drawn by the seed.
        segments: about how many superpixels an image is cut into; 0 for pixels.
        seed: of the images.
        device: where a network runs.
        progress: called after each prediction with its number, the count and the image's key.

    Raises:
        IntarsiaError: a model or data that cannot be used, in words.
    """
    from intarsia.data.datasets import open_dataset
    from intarsia.evaluation.tune import mean_iou, predictions_to_tune_on
    from intarsia.inference.refined import write_refinement
    from intarsia.postprocess.fit_region_crf import fit_region_crf as fit

    predictor = open_predictor(model, device=device)
    dataset = open_dataset(data, view="semantic") if isinstance(data, str | Path) else data
    cases = predictions_to_tune_on(predictor, dataset, split, images, seed=seed, progress=progress)
    examples = []
    for prediction, sample in cases:
        if not isinstance(sample.truth, LabelMap):
            raise SettingsError(
                f"{sample.key} has a truth of kind {type(sample.truth).__name__}; a field is learnt from label maps."
            )
        examples.append((prediction, sample.image, sample.truth))
    field = fit(examples, segments=segments, rng=seed)
    before, after = mean_iou(cases), mean_iou([(field(prediction, sample.image), sample) for prediction, sample in cases])
    if out is not None:
        said = f"{predictor.name} on {len(cases)} images of {dataset.name} {split}: mIoU {before:.4f}, refined {after:.4f}"
        write_refinement(out, "region_crf", field, said)
    return FittedField(field, before, after, len(cases))
