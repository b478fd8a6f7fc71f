"""Belief propagation: exact on trees, an approximation on graphs with loops.

Pearl, "Probabilistic reasoning in intelligent systems", 1988; for images: Felzenszwalb, Huttenlocher, "Efficient belief
propagation for early vision", IJCV 2006. Messages are passed in the order of the nodes and then back, so that one iteration
carries news across the image, as along the rows and columns of Tappen, Freeman, ICCV 2003.
"""

from __future__ import annotations

import numpy as np

from intarsia.classical._mrf_energy import Energy, Labelling
from intarsia.core import Array, SettingsError

__all__ = ["marginals", "min_sum"]

SETTLED = 1e-9  # largest change of a message, as a share of the largest cost


def min_sum(energy: Energy, *, iterations: int = 10, damping: float = 0.0) -> Labelling:
    """Look for the cheapest labelling; the best that was met on the way comes back.

    Args:
        energy: to minimise.
        iterations: over all edges, both ways; it ends earlier when messages no longer change.
        damping: share of the old message that is kept, 0 or more and below 1; 0.5 where the result swings.
    """
    from intarsia.classical._mrf_kernels import decode

    messages = _Messages(energy, damping, soft=False)
    best = energy.start()
    energies = [energy.cost(best)]
    lowest = energies[0]
    for _ in range(iterations):
        change = messages.iterate()
        labels = decode(messages.unary, *energy.arcs[:3], energy.arc_weights, *energy.arc_costs, messages.values)
        energies.append(energy.cost(labels))
        if energies[-1] < lowest:
            best, lowest = labels, energies[-1]
        if change <= SETTLED * messages.scale:
            break
    return Labelling(best, energies)


def marginals(energy: Energy, *, iterations: int = 10, damping: float = 0.0) -> Array:
    """(N, L) probability of each label at each node under p(x) ~ exp(-E(x)), by sum-product; arguments as in `min_sum`."""
    messages = _Messages(energy, damping, soft=True)
    for _ in range(iterations):
        if messages.iterate() <= SETTLED * messages.scale:
            break
    beliefs = messages.unary.copy()
    np.add.at(beliefs, energy.arcs.head, messages.values)
    prob = np.exp(beliefs.min(1, keepdims=True) - beliefs)
    return np.asarray(prob / prob.sum(1, keepdims=True))


class _Messages:
    """What each node tells each neighbour: (2 E, L), 0 at its least."""

    def __init__(self, energy: Energy, damping: float, *, soft: bool) -> None:
        if not 0 <= damping < 1:
            raise SettingsError(f"damping is {damping}; it is 0 or more and below 1.")
        self.unary = np.asarray(energy.unary, np.float64)
        self.values = np.zeros((2 * len(energy.edges), self.unary.shape[1]))
        self.scale = float(max(np.ptp(self.unary), np.ptp(energy.label_cost) * energy.weights.max(initial=0)))
        self._given = (self.unary, *energy.arcs[:3], energy.arc_weights, *energy.arc_costs, self.values, damping, soft)

    def iterate(self) -> float:
        """Pass all messages once, in the order of the nodes and back; the largest change."""
        from intarsia.classical._mrf_kernels import pass_messages

        return float(max(pass_messages(*self._given, True), pass_messages(*self._given, False)))
