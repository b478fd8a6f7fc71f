"""Weights of a log-linear field by pseudo-likelihood: each node is judged given the true labels of all others.

Besag, "Statistical analysis of non-lattice data", The Statistician, 1975. For E(x) = w · f(x), the pseudo-likelihood is the
product of p(x_i | others) = exp(-w · f_i(x_i)) / sum_l exp(-w · f_i(l)), where f_i(l) is the part of f that depends on node i, as
it would be with label l there. No sum over labellings is needed, its logarithm is concave in w, and its maximum tends to the
true weights as examples of the field grow in number.
"""

from __future__ import annotations

import numpy as np

from intarsia.core import Array

__all__ = ["learn_weights", "pseudo_likelihood"]


def pseudo_likelihood(weights: Array, costs: Array, labels: Array, worth: Array | None = None) -> tuple[float, Array]:
    """The negative logarithm of the pseudo-likelihood, in nats, and its gradient.

    Args:
        weights: (F,).
        costs: (M, L, F), f_i(l) of each node and label.
        labels: (M,) true label of each node.
        worth: (M,) what each node counts for; 1 if not given.

    Returns:
        The value, and (F,) the features' empirical values less their expected ones.
    """
    nodes = np.arange(len(labels))
    worth = np.ones(len(labels)) if worth is None else worth
    scores = -(costs @ weights)
    scores -= scores.max(1, keepdims=True)
    prob = np.exp(scores)
    totals = prob.sum(1)
    value = float(worth @ (np.log(totals) - scores[nodes, labels]))
    return value, worth @ costs[nodes, labels] - np.tensordot(prob * (worth / totals)[:, None], costs, 2)


def learn_weights(costs: Array, labels: Array, worth: Array | None = None, *, spread: float = 10.0) -> Array:
    """The weights, none below 0, of the largest pseudo-likelihood.

    Args:
        costs: (M, L, F), as of `pseudo_likelihood`.
        labels: (M,).
        worth: (M,).
        spread: standard deviation of the weights' Gaussian prior, which keeps them finite where the labels follow without doubt.

    Returns:
        (F,) float64.
    """
    from scipy.optimize import minimize

    def objective(weights: Array) -> tuple[float, Array]:
        value, gradient = pseudo_likelihood(weights, costs, labels, worth)
        return value + 0.5 * float(weights @ weights) / spread**2, gradient + weights / spread**2

    start = np.ones(costs.shape[2])
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(start))
    return np.asarray(found.x, np.float64)
