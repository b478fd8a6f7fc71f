"""Minimisation by exact cuts: of two labels at once, by alpha-expansion and by alpha-beta swap.

Boykov, Veksler, Zabih, "Fast approximate energy minimization via graph cuts", PAMI 2001. A move changes many nodes at once: each
keeps its label or takes alpha (expansion; needs a metric V; ends within the factor 2 max V / min V of the optimum), or the nodes
with labels alpha and beta are shared out anew (swap; any V with V >= V(a, a) = 0). The best move is a cut, built as in
Kolmogorov, Zabih, "What energy functions can be minimized via graph cuts?", PAMI 2004.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np

from intarsia.classical._graph_cut import Arcs, arrange_arcs, graph_cut
from intarsia.classical._mrf_energy import Energy, Labelling
from intarsia.core import Array, SettingsError

__all__ = ["exact_binary", "expansion", "swap"]

NOISE = 1e-10  # share of the energy by which a move must lower it


def exact_binary(energy: Energy) -> Labelling:
    """The cheapest labelling with two labels.

    Raises:
        SettingsError: not two labels; V(0, 0) + V(1, 1) > V(0, 1) + V(1, 0), for which there is no cut.
    """
    _check_one_kind(energy)
    if energy.unary.shape[1] != 2:
        raise SettingsError(f"An exact cut is between two labels, and there are {energy.unary.shape[1]}. Take expansion or swap.")
    cost = energy.label_cost
    if cost[0, 0] + cost[1, 1] > 2 * cost[0, 1]:
        raise SettingsError(
            f"label_cost {cost.tolist()} favours neighbours that differ; only costs that favour like ones have a cut."
        )
    pairs = [energy.weights * cost[a, b] for a, b in ((0, 0), (0, 1), (1, 0), (1, 1))]
    taken = _cut(energy.unary[:, 0], energy.unary[:, 1], pairs, energy.ends, energy.arcs)
    labels = taken.astype(np.int32)
    return Labelling(labels, [energy.cost(energy.start()), energy.cost(labels)])


def expansion(energy: Energy, start: Array | None = None, *, max_sweeps: int = 10) -> Labelling:
    """Let one label after the other take the nodes that it should, until none can.

    Args:
        energy: to minimise, with a metric label cost: V(a, a) = 0 <= V(a, b) <= V(a, c) + V(c, b).
        start: (N,) labels; the cheapest of each node by itself if not given.
        max_sweeps: over all labels.

    Raises:
        SettingsError: the label cost is no metric.
    """
    _check_label_cost(energy, "expansion")
    detour = (energy.label_cost[:, :, None] + energy.label_cost).min(1)
    if (energy.label_cost > detour * (1 + NOISE)).any():
        raise SettingsError("label_cost breaks the triangle inequality V(a, b) <= V(a, c) + V(c, b) of expansion. Take swap.")
    first, second = energy.ends
    everywhere = np.arange(len(energy.unary))

    def expand(labels: Array, move: tuple[int, ...]) -> Array:
        alpha = move[0]
        a, b = labels[first], labels[second]
        pairs = [energy.weights * energy.label_cost[x, y] for x, y in ((a, b), (a, alpha), (alpha, b))]
        stay, take = energy.unary[everywhere, labels], energy.unary[:, alpha]
        taken = _cut(stay, take, [*pairs, np.zeros(len(first))], energy.ends, energy.arcs)
        return np.where(taken, np.int32(alpha), labels)

    return _descend(energy, start, max_sweeps, [(alpha,) for alpha in range(energy.unary.shape[1])], expand)


def swap(energy: Energy, start: Array | None = None, *, max_sweeps: int = 10) -> Labelling:
    """Share out the nodes of two labels anew, pair after pair, until none is lowered.

    Args:
        energy: to minimise, with V(a, b) >= V(a, a) = 0.
        start: (N,) labels; the cheapest of each node by itself if not given.
        max_sweeps: over all pairs of labels.

    Raises:
        SettingsError: the label cost is negative, or not 0 between equal labels.
    """
    _check_label_cost(energy, "swap")
    first, second = energy.ends
    label_cost, weights = energy.label_cost, energy.weights

    def share(labels: Array, move: tuple[int, ...]) -> Array:
        alpha, beta = move
        inside = (labels == alpha) | (labels == beta)
        chosen = np.flatnonzero(inside)
        if not len(chosen):
            return labels
        number = np.cumsum(inside) - 1
        costs = energy.unary[chosen][:, [alpha, beta]].astype(np.float64)
        for here, there in ((first, second), (second, first)):
            rim = inside[here] & ~inside[there]
            for side, label in enumerate(move):
                paid = weights[rim] * label_cost[label, labels[there[rim]]]
                costs[:, side] += np.bincount(number[here[rim]], paid, len(chosen))
        both = inside[first] & inside[second]
        ends = number[first[both]], number[second[both]]
        apart, alike = weights[both] * label_cost[alpha, beta], np.zeros(both.sum())
        taken = _cut(costs[:, 0], costs[:, 1], [alike, apart, apart, alike], ends, arrange_arcs(np.stack(ends, 1), len(chosen)))
        moved = labels.copy()
        moved[chosen] = np.where(taken, beta, alpha)
        return moved

    return _descend(energy, start, max_sweeps, list(combinations(range(energy.unary.shape[1]), 2)), share)


def _descend(
    energy: Energy,
    start: Array | None,
    max_sweeps: int,
    moves: list[tuple[int, ...]],
    change: Callable[[Array, tuple[int, ...]], Array],
) -> Labelling:
    """Make the moves in turn, and keep what they give where it is cheaper, until none of them is."""
    labels = energy.start(start)
    energies = [energy.cost(labels)]
    noise, idle = NOISE * abs(energies[0]), 0
    for move in moves * max_sweeps:
        moved = change(labels, move)
        cost = energy.cost(moved)
        if cost < energies[-1] - noise:
            labels, idle = moved, 1  # the same move again would find nothing
            energies.append(cost)
        else:
            idle += 1
        if idle >= len(moves):
            break
    return Labelling(labels, energies)


def _check_one_kind(energy: Energy) -> None:
    if energy.table is not None:
        raise SettingsError("Cuts are for pairs of one kind, and label_cost has a table. Take icm, min_sum or mean_field.")


def _check_label_cost(energy: Energy, solver: str) -> None:
    _check_one_kind(energy)
    label_cost = energy.label_cost
    if label_cost.min() < 0 or label_cost.diagonal().any():
        raise SettingsError(f"label_cost {label_cost.tolist()} is negative, or not 0 between equal labels, as {solver} needs.")


def _cut(zero: Array, one: Array, pairs: list[Array], ends: tuple[Array, Array], arcs: Arcs) -> Array:
    """(N,) bool, the cheapest choice, where a pair pays A, B, C, D of `pairs` for (0, 0), (0, 1), (1, 0), (1, 1).

    It is A + (C - A) x_p + (D - C) x_q + (B + C - A - D) (1 - x_p) x_q.
    """
    a, b, c, d = pairs
    first, second = ends
    gain = np.subtract(one, zero, dtype=np.float64) + np.bincount(first, c - a, len(zero)) + np.bincount(second, d - c, len(zero))
    apart = np.maximum(b + c - a - d, 0)
    return graph_cut(np.maximum(gain, 0), np.maximum(-gain, 0), arcs, apart, np.zeros(len(apart)))[1]
