"""Settings of a fully connected CRF that suit a data set: a seeded search on images whose truth is known.

Chen et al., "Semantic image segmentation with deep convolutional nets and fully connected CRFs", ICLR 2015, tune theirs on 100
images of the validation set by a grid. Random search finds as good a place in fewer trials where only some settings matter
(Bergstra, Bengio, JMLR 2012): the first half is drawn from wide ranges, the second around one of the best three so far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from intarsia.core import Dataset, LabelMap, Predictor, Sample, SettingsError
from intarsia.evaluation.semantic import compared_as_labels
from intarsia.inference.refined import predict_with_prob
from intarsia.metrics.confusion import ConfusionEvidence, observe_confusion, score_confusion
from intarsia.postprocess.dense_crf import DEEPLAB, DenseCRF

__all__ = ["RANGES", "Tuned", "mean_iou", "predictions_to_tune_on", "tune_crf"]

RANGES = {
    "spatial_weight": (0.5, 8.0),
    "spatial_xy": (1.0, 5.0),
    "bilateral_weight": (1.0, 12.0),
    "bilateral_xy": (8.0, 100.0),
    "bilateral_rgb": (3.0, 20.0),
}
"""What is searched, on a logarithmic scale: around what DeepLab and pydensecrf use."""
OF_HARD_LABELS = {"confidence": (0.5, 0.95)}
"""What is searched too where a prediction has no probabilities."""
NEAR = 0.25  # standard deviation of the logarithm of a step around the best
LEADERS = 3  # one of which a later trial is near: the best alone may be a lucky one
STARTS = (DenseCRF(), replace(DEEPLAB, normalization="symmetric"))


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    before: mIoU of the predictions as they were.
    trials: settings and their mIoU, in the order in which they were tried, on the very images that chose among them.
    images: how many these were.
    """

    before: float
    trials: tuple[tuple[DenseCRF, float], ...]
    images: int

    @property
    def best(self) -> tuple[DenseCRF, float]:
        """The first of the highest mIoU."""
        return max(self.trials, key=lambda trial: trial[1])


def tune_crf(
    cases: Sequence[tuple[LabelMap, Sample]],
    trials: int = 40,
    *,
    seed: int = 0,
    progress: Callable[[int, int, DenseCRF, float], None] | None = None,
) -> Tuned:
    """Search the settings whose refined predictions have the highest mIoU, all images counted together.

    Filters are normalised symmetrically, and mean field takes 10 steps. The first trials are the defaults and DeepLab's.

    Args:
        cases: predictions, with `prob` where there is one, and their samples.
        trials: how many settings are tried.
        seed: of the search.
        progress: called after each trial with its number, the count, the settings and their mIoU.

    Raises:
        SettingsError: no case or no trial, or no pixel with a truth.
    """
    if not cases or trials < 1:
        raise SettingsError(f"There are {len(cases)} images and {trials} trials; a search needs one of each.")
    before = mean_iou(cases)
    if np.isnan(before):
        raise SettingsError(f"None of the {len(cases)} images has a pixel with a truth, so settings cannot be compared.")
    ranges = RANGES if all(prediction.prob is not None for prediction, _ in cases) else {**RANGES, **OF_HARD_LABELS}
    rng = np.random.default_rng(seed)
    done: list[tuple[DenseCRF, float]] = []
    for number in range(trials):
        if number < len(STARTS):
            field = STARTS[number]
        else:
            leaders = sorted(done, key=lambda trial: -trial[1])[:LEADERS]
            near = leaders[rng.integers(len(leaders))][0]
            field = _draw(rng, ranges, None if number < trials / 2 else near)
        done.append((field, mean_iou((field(prediction, sample.image), sample) for prediction, sample in cases)))
        if progress is not None:
            progress(number + 1, trials, *done[-1])
    return Tuned(before, tuple(done), len(cases))


def predictions_to_tune_on(
    predictor: Predictor,
    dataset: Dataset,
    split: str = "val",
    images: int = 20,
    *,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[tuple[LabelMap, Sample]]:
    """Predictions of some images of a split, drawn by the seed, and their samples; probabilities in half precision.

    Raises:
        SettingsError: no such split, or a predictor whose results are not label maps with classes.
    """
    if not dataset.splits.get(split):
        raise SettingsError(f"{dataset.name} has no images in a split {split!r}. Its splits: {', '.join(dataset.splits)}.")
    keys = dataset.splits[split]
    drawn = sorted(np.random.default_rng(seed).permutation(len(keys))[:images].tolist())
    cases = []
    for number, index in enumerate(drawn, 1):
        sample = dataset.read(keys[index])
        found = predict_with_prob(predictor, sample.image)
        if not isinstance(found, LabelMap) or found.classes is None:
            raise SettingsError(
                f"{predictor.name} does not give each pixel a class, so there is nothing that a CRF could refine."
            )
        cases.append((found if found.prob is None else replace(found, prob=found.prob.astype(np.float16)), sample))
        if progress is not None:
            progress(number, len(drawn), keys[index])
    return cases


def _draw(rng: np.random.Generator, ranges: Mapping[str, tuple[float, float]], near: DenseCRF | None) -> DenseCRF:
    """Settings from anywhere in the ranges, or near others; three digits are enough, and read better."""
    drawn: dict[str, Any] = {}
    for name, (low, high) in ranges.items():
        value = np.exp(
            rng.uniform(np.log(low), np.log(high)) if near is None else np.log(getattr(near, name)) + rng.normal(0, NEAR)
        )
        drawn[name] = float(f"{np.clip(value, low, high):.3g}")
    return DenseCRF(**drawn)


def mean_iou(pairs: Iterable[tuple[LabelMap, Sample]]) -> float:
    """The mIoU of predictions, all images counted together; NaN if no pixel has a truth."""
    rows = []
    for prediction, sample in pairs:
        for truth in sample.truths or (sample.truth,):
            labels, true_labels, _ = compared_as_labels(prediction, truth)
            rows.append(observe_confusion(labels, true_labels, sample.key))
    return float(score_confusion(ConfusionEvidence.concatenate(rows)).miou)
