"""Scores of the usual kind: numbers by name, of all classes together or of each, and the divisions they come from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from intarsia.core import Array
from intarsia.metrics._evidence import RowEvidence

__all__ = ["RowScores", "mean_defined", "ratio"]


@dataclass(frozen=True, eq=False)
class RowScores:
    """Scores of a `RowEvidence`; NaN where nothing defines one.

    Args:
        pooling: how images combine, in words.
        columns: K names, of classes mostly, that the scores of each belong to; empty where there are none.
        values: score name to (), or (K,) for a score of each column.
        rows: rows of evidence: images, times annotators where there are several.
    """

    pooling: str
    columns: tuple[str, ...]
    values: Mapping[str, Array]
    rows: int

    @classmethod
    def of_evidence(
        cls,
        evidence: RowEvidence,
        score: Callable[[Array], Mapping[str, Array]],
        pooling: str,
        columns: object = (),
    ) -> Self:
        """`score` of the pooled tallies, (1, ...) in and (1,) or (1, K) out, as `intarsia.metrics.bootstrap` takes it."""
        values = {name: of_one[0] for name, of_one in score(evidence.pooled[None]).items()}
        return cls(pooling, tuple(map(str, columns)) if isinstance(columns, tuple) else (), values, len(evidence.keys))

    def __getitem__(self, name: str) -> float:
        """A score of all columns together."""
        return float(self.values[name])

    def of(self, name: str, column: str) -> float:
        """A score of one column, such as a class."""
        return float(self.values[name][self.columns.index(column)])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN becomes None."""
        alone = {name: _plain(value) for name, value in self.values.items() if not value.ndim}
        each = [
            {"name": column, **{name: _plain(value[index]) for name, value in self.values.items() if value.ndim}}
            for index, column in enumerate(self.columns)
        ]
        return {"pooling": self.pooling, **alone, "rows": self.rows, **({"classes": each} if each else {})}


def ratio(part: Array, whole: Array) -> Array:
    """`part / whole`, NaN where `whole` is 0."""
    quotient = np.full(np.broadcast_shapes(np.shape(part), np.shape(whole)), np.nan)
    np.divide(part, whole, out=quotient, where=whole > 0)
    return quotient


def mean_defined(values: Array) -> Array:
    """Mean over the last axis without NaN; NaN where nothing is left."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0.0).sum(-1), defined.sum(-1))


def _plain(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)
