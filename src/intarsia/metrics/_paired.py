"""Whether one of two models is better on the same images: a paired permutation test and an interval of the difference."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intarsia.core import Array, SettingsError
from intarsia.metrics._bootstrap import CHUNK_VALUES, Evidence, Intervals, bootstrap
from intarsia.metrics._evidence import RowEvidence
from intarsia.metrics._scores import ratio

__all__ = ["PairedTest", "paired_test"]

ROUNDING = 1e-12
"""Exchanges that give the same difference may differ by the order of their additions."""


@dataclass(frozen=True, eq=False)
class PairedTest:
    """The first model against the second, on the same images.

    Args:
        difference: score name to (), or (K,) for a score of each class: score of the first less that of the second.
        p_value: likewise; the share of exchanges of the two that differ at least as much. NaN where a score is undefined.
        intervals: bootstrap intervals of the difference.
        exact: whether all exchanges were tried, not only a sample.
    """

    difference: Mapping[str, Array]
    p_value: Mapping[str, Array]
    intervals: Intervals
    exact: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN becomes None."""

        def plain(values: Array) -> Any:
            return [plain(value) for value in values] if values.ndim else None if math.isnan(values) else float(values)

        return {
            "difference": {name: plain(values) for name, values in self.difference.items()},
            "p_value": {name: plain(values) for name, values in self.p_value.items()},
            "intervals": self.intervals.to_dict(),
            "exact": self.exact,
        }


def paired_test(
    one: Evidence,
    other: Evidence,
    score: Callable[[Array], Mapping[str, Array]],
    *,
    samples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> PairedTest:
    """Test whether two models differ on images of this kind.

    If they did not, it would not matter which model a result came from. So in each image the tallies of the two are exchanged or
    not, by the toss of a coin, and both are pooled and scored anew; the p value is the share of these exchanges whose difference
    is at least as large as the one observed, either way, which makes no assumption on how scores are distributed. With few images
    all 2^I exchanges are tried. The interval is the bootstrap's, which draws the same images for both.

    The p values of K classes are K tests: multiply the smallest by K before it is believed. Images of one video are alike, so for
    them p values are too small; give them one key in the evidence.

    Source: Noreen, "Computer-Intensive Methods for Testing Hypotheses", 1989 (approximate randomization).

    Args:
        one: evidence of the first model.
        other: evidence of the second, of the same images in any order.
        score: pooled tallies (R, ...) to scores by name, (R,) or (R, K) each, as `intarsia.metrics.bootstrap` takes it.
        samples: exchanges, and resamples of the interval.
        level: share of resamples between the bounds of the interval, in (0, 1).
        seed: of the drawing.

    Raises:
        SettingsError: other images, tallies of another shape, a level outside (0, 1), or no sample.
    """
    one, other = one.by_key(), other.by_key()
    missing = sorted(set(one.keys) ^ set(other.keys))
    if missing or one.tallies.shape != other.tallies.shape:
        shapes = f"tallies have the shapes {one.tallies.shape} and {other.tallies.shape}"
        what = f"only one of the two holds {', '.join(missing[:6])}" if missing else shapes
        raise SettingsError(f"Two models are compared on the same images with the same metric; here {what}.")
    place = {key: index for index, key in enumerate(other.keys)}
    both = np.stack([one.tallies, other.tallies[[place[key] for key in one.keys]]], axis=1)

    def difference(pair: Array) -> dict[str, Array]:
        """Of pooled tallies (R, 2, ...)."""
        ours, theirs = score(pair[:, 0]), score(pair[:, 1])
        return {name: ours[name] - theirs[name] for name in ours}

    intervals = bootstrap(RowEvidence(("pair",), one.keys, both), difference, samples=samples, level=level, seed=seed)
    observed = difference(both.sum(0)[None].astype(np.float64))
    exact = len(one.keys) < math.log2(samples + 1)
    counts = [_count_exchanges(drawn, observed) for drawn in map(difference, _exchanged(both, samples, seed, exact=exact))]
    p_value = {}
    for name, value in observed.items():
        as_large, defined = np.sum([count[name] for count in counts], axis=0)
        # A sample of exchanges counts the one observed too, so that p is never 0; all exchanges hold it already.
        p_value[name] = np.where(np.isnan(value[0]), np.nan, ratio(as_large + (not exact), defined + (not exact)))
    return PairedTest({name: value[0] for name, value in observed.items()}, p_value, intervals, exact)


def _exchanged(both: Array, samples: int, seed: int, *, exact: bool) -> Iterator[Array]:
    """Pooled tallies (R, 2, ...) after exchanging the models in some images, in chunks."""
    images = len(both)
    total = both.sum(0).reshape(2, -1).astype(np.float64)
    gap = (both[:, 1] - both[:, 0]).reshape(images, -1).astype(np.float64)
    rng = np.random.default_rng(seed)
    count = 2**images if exact else samples
    chunk = max(1, CHUNK_VALUES // max(images, gap.shape[1]))
    for start in range(0, count, chunk):
        numbers = np.arange(start, min(start + chunk, count))
        swap = numbers[:, None] >> np.arange(images) & 1 if exact else rng.integers(0, 2, (len(numbers), images))
        moved = swap.astype(np.float64) @ gap
        yield np.stack([total[0] + moved, total[1] - moved], axis=1).reshape(-1, *both.shape[1:])


def _count_exchanges(drawn: Mapping[str, Array], observed: Mapping[str, Array]) -> dict[str, Array]:
    """For each score, (2,) or (2, K): exchanges that differ at least as much as what was observed, and those defined."""
    with np.errstate(invalid="ignore"):
        return {
            name: np.stack([np.abs(values) >= np.abs(observed[name]) - ROUNDING, ~np.isnan(values)]).sum(1)
            for name, values in drawn.items()
        }
