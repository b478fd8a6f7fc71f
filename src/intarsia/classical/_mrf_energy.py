"""The energy of a labelling with costs of nodes and of neighbours that differ, on grids of pixels and on any graph.

E(x) = sum_p D_p(x_p) + sum_pq w_pq V(x_p, x_q), where pairs may be of several kinds, each with a V of its own. The solvers are
beside it: `_icm`, `_belief_propagation`, `_mean_field`; and `_expansion`, for pairs of one kind.
Szeliski et al., "A comparative study of energy minimization methods for Markov random fields", PAMI 2008.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from intarsia.classical._graph_cut import Arcs, arrange_arcs
from intarsia.core import Array, SettingsError

__all__ = ["Energy", "Labelling", "contrast", "grid_edges", "potts"]


class Labelling(NamedTuple):
    """labels: (N,) int32. energies: of the start and after each step of the solver."""

    labels: Array
    energies: list[float]


@dataclass(frozen=True, eq=False)
class Energy:
    """Costs of labels and of neighbours' labels. For an image, nodes are pixels row by row: `unary.reshape(-1, L)`.

    Args:
        unary: (N, L) cost D of each label at each node.
        edges: (E, 2) integer nodes of each pair of neighbours.
        weights: (E,) of each pair, 0 or more.
        label_cost: (L, L) symmetric cost V of two labels beside each other; with `table`, (T, L, L) costs of any sign of the
            label of a pair's first and of its second node.
        table: (E,) integer, which of the T costs a pair has.

    Raises:
        SettingsError: shapes that do not fit, a negative weight, an asymmetric `label_cost`, a value that is not finite, a table
            that there is not.
    """

    unary: Array
    edges: Array
    weights: Array
    label_cost: Array
    table: Array | None = None

    def __post_init__(self) -> None:
        if self.unary.ndim != 2 or 0 in self.unary.shape:
            raise SettingsError(f"unary has shape {self.unary.shape}; (nodes, labels) is expected, at least one of each.")
        labels, pairs = self.unary.shape[1], (len(self.edges),)
        square = (labels, labels) if self.table is None else (len(self.label_cost), labels, labels)
        for name, shape in (("weights", pairs), ("label_cost", square), ("table", pairs)):
            if getattr(self, name) is not None and getattr(self, name).shape != shape:
                raise SettingsError(f"{name} has shape {getattr(self, name).shape}; {shape} is expected.")
        for name in ("unary", "weights", "label_cost"):
            if not np.isfinite(getattr(self, name)).all():
                raise SettingsError(
                    f"{name} holds a value that is not finite. To forbid a label, make it cost more than all else."
                )
        if self.weights.min(initial=0) < 0:
            raise SettingsError(f"weights hold {self.weights.min():g}; they are 0 or more. A sign belongs into label_cost.")
        if self.table is None:
            if not np.array_equal(self.label_cost, self.label_cost.T):
                raise SettingsError("label_cost is not symmetric; the order of two neighbours has no meaning without a table.")
        elif self.table.size and not 0 <= self.table.min() <= self.table.max() < len(self.label_cost):
            raise SettingsError(
                f"table holds {self.table.min()} to {self.table.max()}, and there are {len(self.label_cost)} costs, from 0."
            )

    @cached_property
    def arcs(self) -> Arcs:
        return arrange_arcs(self.edges, len(self.unary))

    @cached_property
    def arc_weights(self) -> Array:
        """(2 E,) float64 weight of each arc."""
        weights = np.empty(2 * len(self.edges))
        weights[self.arcs.forward] = weights[self.arcs.reverse[self.arcs.forward]] = self.weights
        return weights

    @cached_property
    def arc_costs(self) -> tuple[Array, Array]:
        """(2 E,) int32 table of each arc, and (T, L, L) float64 tables: cost of the label that it leaves and the one it meets."""
        table = np.zeros(2 * len(self.edges), np.int32)
        if self.table is None:
            return table, np.ascontiguousarray(self.label_cost[None], np.float64)
        table[self.arcs.forward] = self.table
        table[self.arcs.reverse[self.arcs.forward]] = self.table + len(self.label_cost)
        return table, np.concatenate([self.label_cost, self.label_cost.transpose(0, 2, 1)]).astype(np.float64)

    @cached_property
    def ends(self) -> tuple[Array, Array]:
        """(E,) first and (E,) second node of each pair."""
        return np.ascontiguousarray(self.edges[:, 0]), np.ascontiguousarray(self.edges[:, 1])

    def start(self, labels: Array | None = None) -> Array:
        """A copy of (N,) labels to start from, as int32; the cheapest label of each node by itself if none are given."""
        if labels is None:
            return np.asarray(self.unary.argmin(1), np.int32)
        if labels.shape != (len(self.unary),) or labels.min() < 0 or labels.max() >= self.unary.shape[1]:
            raise SettingsError(
                f"The start has shape {labels.shape} and labels {labels.min(initial=0)} to {labels.max(initial=0)}; "
                f"{(len(self.unary),)} and 0 to {self.unary.shape[1] - 1} are expected."
            )
        return labels.astype(np.int32)

    def cost(self, labels: Array) -> float:
        """The energy of (N,) labels."""
        first, second = self.ends
        own = np.take_along_axis(self.unary, labels[:, None], 1).sum(dtype=np.float64)
        kind = () if self.table is None else (self.table,)
        pairs = self.label_cost[(*kind, labels[first], labels[second])]
        return float(own + self.weights @ pairs)


def potts(labels: int) -> Array:
    """(L, L) label cost: 1 between any two that differ."""
    return 1.0 - np.eye(labels)


def grid_edges(size_hw: tuple[int, int], connectivity: int = 4) -> Array:
    """(E, 2) int32 pairs of pixels that are neighbours among 4 or among 8."""
    ids = np.arange(size_hw[0] * size_hw[1], dtype=np.int32).reshape(size_hw)
    pairs = [(ids[:, :-1], ids[:, 1:]), (ids[:-1], ids[1:])]
    if connectivity == 8:
        pairs += [(ids[:-1, :-1], ids[1:, 1:]), (ids[:-1, 1:], ids[1:, :-1])]
    elif connectivity != 4:
        raise SettingsError(f"connectivity is {connectivity}; a pixel has 4 or 8 neighbours.")
    return np.concatenate([np.stack([a.ravel(), b.ravel()], 1) for a, b in pairs])


def contrast(features: Array, edges: Array) -> Array:
    """(E,) exp(-|f_p - f_q|^2 / (2 mean |f_p - f_q|^2)): near 1 between like neighbours, small across an edge of the image.

    Args:
        features: (N, C), as colours.
        edges: (E, 2).
    """
    squares = (np.square(features[edges[:, 0]] - features[edges[:, 1]])).sum(1, dtype=np.float64)
    mean = squares.mean() if len(squares) else 0.0
    return np.exp(-squares / (2 * mean)) if mean > 0 else np.ones(len(edges))
