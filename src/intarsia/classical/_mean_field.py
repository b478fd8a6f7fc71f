"""Mean field: the product of independent nodes that is nearest to p(x) ~ exp(-E(x)).

Koller, Friedman, "Probabilistic graphical models", MIT Press 2009, section 11.5. Nodes are updated one after the other, each with
what its neighbours have become, so that KL(q || p) never rises. (All at once, as for a fully connected CRF, they may swing.)
"""

from __future__ import annotations

import numpy as np

from intarsia.classical._mrf_energy import Energy
from intarsia.core import Array

__all__ = ["expected_costs", "mean_field"]


def mean_field(energy: Energy, *, iterations: int = 50, settled: float = 1e-4) -> Array:
    """(N, L) probability of each label at each node, from what each thinks by itself.

    Args:
        energy: any.
        iterations: sweeps over all nodes, at most.
        settled: stop after a sweep that changed no probability by as much.
    """
    from intarsia.classical._mrf_kernels import mean_field_sweep

    unary = np.asarray(energy.unary, np.float64)
    prob: Array = np.exp(unary.min(1, keepdims=True) - unary)
    prob /= prob.sum(1, keepdims=True)
    for _ in range(iterations):
        if mean_field_sweep(prob, unary, *energy.arcs[:2], energy.arc_weights, *energy.arc_costs) < settled:
            break
    return prob


def expected_costs(energy: Energy, prob: Array) -> Array:
    """(N, L) what each label costs each node by itself and beside neighbours with probabilities (N, L)."""
    from scipy.sparse import csr_array

    table, tables = energy.arc_costs
    first, head = energy.arcs[:2]
    found = np.array(energy.unary, np.float64)
    for kind, label_cost in enumerate(tables):
        weights = np.where(table == kind, energy.arc_weights, 0)
        found += csr_array((weights, head, first), shape=(len(first) - 1,) * 2) @ prob @ label_cost.T
    return found
