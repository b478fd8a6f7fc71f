"""Iterated conditional modes: each node takes the label that is cheapest beside its neighbours', until none changes.

Besag, "On the statistical analysis of dirty pictures", Journal of the Royal Statistical Society B, 1986.
"""

from __future__ import annotations

import numpy as np

from intarsia.classical._mrf_energy import Energy, Labelling
from intarsia.core import Array

__all__ = ["icm"]


def icm(energy: Energy, start: Array | None = None, *, max_sweeps: int = 100) -> Labelling:
    """Descend to a labelling that no change of a single node makes cheaper.

    Args:
        energy: to minimise.
        start: (N,) labels; the cheapest of each node by itself if not given.
        max_sweeps: over all nodes in their order; it ends earlier when none changes.
    """
    from intarsia.classical._mrf_kernels import icm_sweep

    labels = energy.start(start)
    unary = np.asarray(energy.unary, np.float64)
    energies = [energy.cost(labels)]
    for _ in range(max_sweeps):
        if not icm_sweep(labels, unary, energy.arcs.first, energy.arcs.head, energy.arc_weights, *energy.arc_costs):
            break
        energies.append(energy.cost(labels))
    return Labelling(labels, energies)
