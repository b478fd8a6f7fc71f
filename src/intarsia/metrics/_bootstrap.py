"""How far a pooled score would move with other images: percentile bootstrap over images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from intarsia.core import Array, SettingsError

__all__ = ["Evidence", "Intervals", "bootstrap"]

CHUNK_VALUES = 1 << 22


class Evidence(Protocol):
    """Evidence whose images add up."""

    def by_key(self) -> Self:
        """One row for each image."""

    @property
    def keys(self) -> tuple[str, ...]: ...

    @property
    def tallies(self) -> Array:
        """(I, ...) numbers that pool by addition over images."""


@dataclass(frozen=True, eq=False)
class Intervals:
    """Confidence intervals of scores.

    Args:
        bounds: score name to (2,), lower and upper, or (2, K) for a score of each class; NaN where there is none.
        level: the share of resamples inside.
        samples: the number of resamples.
        images: the number of images drawn from.
        note: why there is no interval, or empty.
    """

    bounds: Mapping[str, Array]
    level: float
    samples: int
    images: int
    note: str = ""

    def of(self, name: str, index: int | None = None) -> tuple[float, float]:
        """Lower and upper bound of a score, or of class `index` of a score of each class."""
        low, high = self.bounds[name] if index is None else self.bounds[name][:, index]
        return float(low), float(high)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN becomes None."""

        def plain(bounds: Array) -> list[Any]:
            return [plain(row) if row.ndim else None if math.isnan(row) else float(row) for row in bounds]

        return {
            "level": self.level,
            "samples": self.samples,
            "images": self.images,
            "note": self.note,
            "bounds": {name: plain(bounds.T if bounds.ndim == 2 else bounds) for name, bounds in self.bounds.items()},
        }


def bootstrap(
    evidence: Evidence,
    score: Callable[[Array], Mapping[str, Array]],
    *,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Intervals:
    """Percentile intervals of pooled scores over images drawn with replacement.

    Rows of one key (annotators, tiles) are drawn together, since they are not independent. A resample in which a score is
    undefined, say a class that none of its images contains, does not count for that score. Frames of one video are alike, so for
    them the intervals are too narrow; nothing in the evidence tells. Frames that are given one key are drawn together.

    Source: Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979; percentile method.

    Args:
        evidence: such as `ConfusionEvidence`.
        score: pooled tallies (R, ...) to scores by name, (R,) or (R, K) each, such as `score_tallies`.
        samples: number of resamples.
        level: share of resamples between the bounds, in (0, 1).
        seed: of the drawing.

    Raises:
        SettingsError: a level outside (0, 1), or no sample.
    """
    if not 0 < level < 1 or samples < 1:
        raise SettingsError(
            f"The level is {level} and the number of samples {samples}; a level in (0, 1) and at least 1 sample fit."
        )
    evidence = evidence.by_key()
    tallies = evidence.tallies
    images = len(evidence.keys)
    if images < 2:
        undefined = {name: np.full((2, *values.shape[1:]), np.nan) for name, values in score(tallies.sum(0)[None]).items()}
        return Intervals(undefined, level, samples, images, f"No interval: it needs at least 2 images, and there is {images}.")

    rng = np.random.default_rng(seed)
    flat = tallies.reshape(images, -1).astype(np.float64)
    chunk = max(1, CHUNK_VALUES // max(images, flat.shape[1]))
    drawn: list[Mapping[str, Array]] = []
    for start in range(0, samples, chunk):
        # How often each image is drawn: one matrix product adds up all resamples. Float64 holds these integers exactly.
        times = rng.multinomial(images, np.full(images, 1 / images), size=min(chunk, samples - start))
        drawn.append(score((times.astype(np.float64) @ flat).reshape(-1, *tallies.shape[1:])))
    tails = ((1 - level) / 2, (1 + level) / 2)
    bounds = {name: _quantiles(np.concatenate([values[name] for values in drawn]), tails) for name in drawn[0]}
    return Intervals(bounds, level, samples, images)


def _quantiles(values: Array, tails: tuple[float, float]) -> Array:
    """(R, ...) to (2, ...), leaving out NaN; NaN where all are."""
    columns = [column[~np.isnan(column)] for column in values.reshape(len(values), -1).T]
    bounds = [np.quantile(column, tails) if column.size else np.full(2, np.nan) for column in columns]
    return np.stack(bounds, axis=-1).reshape(2, *values.shape[1:])
