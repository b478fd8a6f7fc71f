"""Gradient-vector-flow snake: edges pull from afar, and into concavities.

Xu, Prince, "Snakes, shapes, and gradient vector flow", IEEE Transactions on Image Processing 1998.

Idea: a snake feels the gradient of its edge map only beside edges. Spread that gradient over the whole image, by the field v that
minimises int mu |grad v|^2 + |grad f|^2 |v - grad f|^2: it is grad f where that is large, and as smooth as can be elsewhere.

Source: equations 10 to 13; the Euler equations (mu Laplace - |grad f|^2) v = -|grad f|^2 grad f are solved by a sparse direct
solver instead of iterated. The field is normalised to length 1. The curve and its start are those of snake.
Limits: one curve, which neither parts nor joins; every edge pulls, those of the background too. The solver takes about a second
for 150,000 pixels, and memory in proportion.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from intarsia.classical._contour import filled, follow, starting_contour
from intarsia.classical.snake import edge_map, gradient
from intarsia.core import Array, Hints

__all__ = ["gradient_vector_flow", "gvf_snake"]

RESULT = "foreground"
OPTIONAL_HINTS = ("box", "scribbles", "points")


def gvf_snake(
    image: Array,
    hints: Hints | None = None,
    *,
    alpha: float = 0.2,
    beta: float = 0.2,
    gamma: float = 1.0,
    mu: float = 0.005,
    sigma: float = 3.0,
    points: int = 200,
    iterations: int = 500,
) -> Array:
    """Let a closed curve follow gradient vector flow to edges, and fill it.

    Args:
        image: (H, W, C), any range of its dtype.
        hints: where the curve starts.
        alpha: tension.
        beta: rigidity.
        gamma: 1 over the length of a step in time; a step is at most 1 / gamma pixels of the field.
        mu: smoothness of the field.
        sigma: of the blur before slopes are taken, in pixels.
        points: of the curve.
        iterations: how many steps.

    Returns:
        (H, W) bool, the inside.
    """
    size_hw = (image.shape[0], image.shape[1])
    flow = gradient_vector_flow(edge_map(image, sigma), mu)
    force = flow / np.maximum(np.hypot(*flow), 1e-12)
    return filled(follow(starting_contour(size_hw, hints, points), force, alpha, beta, gamma, 0.0, iterations), size_hw)


def gradient_vector_flow(edges: Array, mu: float) -> Array:
    """Solve the Euler equations of gradient vector flow, with borders that nothing flows through.

    Args:
        edges: (H, W) f, in 0..1.
        mu: smoothness, above 0.

    Returns:
        (2, H, W) float64 along y and x; 0 where f is flat all over.
    """
    from scipy import sparse
    from scipy.sparse.linalg import splu

    pull = gradient(edges)
    weight = (pull**2).sum(0).ravel()
    if not weight.any():
        return pull
    rows, columns = (_second_difference(side) for side in edges.shape)
    laplace = sparse.kron(rows, sparse.eye_array(edges.shape[1])) + sparse.kron(sparse.eye_array(edges.shape[0]), columns)
    system = sparse.csc_array(sparse.diags_array(weight) - mu * laplace)
    solve = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}).solve
    return np.stack([solve(weight * part.ravel()).reshape(edges.shape) for part in pull])


def _second_difference(side: int) -> Any:
    """(side, side) sparse x[i - 1] - 2 x[i] + x[i + 1], the border repeated."""
    from scipy import sparse

    ends = np.full(side, -2.0)
    ends[0] += 1
    ends[-1] += 1
    off = np.ones(side - 1)
    return sparse.diags_array([off, ends, off], offsets=[-1, 0, 1], shape=(side, side))
