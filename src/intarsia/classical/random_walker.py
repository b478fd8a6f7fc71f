"""Random walker: each pixel takes the class of the scribble that a walker from it reaches first, most likely.

Grady, "Random Walks for Image Segmentation", IEEE Transactions on Pattern Analysis and Machine Intelligence 2006.

Idea: neighbours are joined by w = exp(-beta dz^2), so that a walker seldom crosses an edge of the image. The probability to
meet the seeds of a class first is harmonic: it solves a sparse linear system with 1 at these seeds and 0 at all others.

Source: equations 1, 9 and 10; squared differences are divided by their largest, as in section IV, and 1e-6 is added to each
weight so that no pixel is cut off. The matrix of the free pixels is factorised once and serves all classes (K - 1 solves; the
last class is what remains).
Limits: a sparse factorisation takes about 1 kB per pixel, so a picture of several megapixels should be made smaller first. In a
constant image all weights are equal, and the nearest seeds win. Ties go to the smaller class id.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from intarsia.classical._mrf_energy import grid_edges
from intarsia.classical._pixels import as_lab
from intarsia.core import Array, Hints, SettingsError

__all__ = ["WalkerProbabilities", "random_walker", "random_walker_probabilities"]

RESULT = "hinted"
HINTS = ("scribbles", "points")
LEAST_WEIGHT = 1e-6


class WalkerProbabilities(NamedTuple):
    """classes: (K,) ids found in the hints, ascending. prob: (K, H, W) float64, summing to 1 at each pixel."""

    classes: Array
    prob: Array


def random_walker(image: Array, hints: Hints, *, beta: float = 400.0) -> Array:
    """Give each pixel the class whose seeds a random walker meets first.

    Args:
        image: (H, W, C), any range of its dtype; three channels are compared in CIELAB.
        hints: points and scribbles with class ids.
        beta: how strongly edges of the image hold the walker back; 0 ignores the image.

    Returns:
        (H, W) int32 class ids, those of the hints.

    Raises:
        SettingsError: a negative beta, or hints without any point or scribbled pixel.
    """
    classes, prob = random_walker_probabilities(image, hints, beta=beta)
    return np.asarray(classes[prob.argmax(0)], np.int32)


def random_walker_probabilities(image: Array, hints: Hints, *, beta: float = 400.0) -> WalkerProbabilities:
    """The probability of each class at each pixel; arguments as of `random_walker`."""
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import splu

    if beta < 0:
        raise SettingsError(f"beta is {beta}; it is 0 or more.")
    size = image.shape[0], image.shape[1]
    seeds = hints.seeds(size).ravel()
    classes = np.unique(seeds[seeds >= 0])
    if not len(classes):
        raise SettingsError("The hints hold no point and no scribbled pixel; a random walker needs one of each class at least.")
    prob = (seeds == classes[:, None]).astype(np.float64)
    free = np.flatnonzero(seeds < 0)
    if len(free) and len(classes) > 1:
        edges, count = grid_edges(size), len(seeds)
        weights = _edge_weights(as_lab(image).reshape(count, -1).astype(np.float64), edges, beta)
        ends = np.concatenate([edges, edges[:, ::-1]]).T
        adjacency = csc_array((np.tile(weights, 2), (ends[0], ends[1])), shape=(count, count))
        degree = np.asarray(adjacency.sum(0))[free]
        rows = adjacency[free]
        laplacian = csc_array((degree, (range(len(free)), range(len(free))))) - rows[:, free]
        solve = splu(laplacian.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}).solve
        prob[:-1, free] = solve(rows @ prob[:-1].T).T  # free entries of prob are still 0: this is B M of equation 10
        prob[-1, free] = 1 - prob[:-1, free].sum(0)
        prob = prob.clip(0, 1)
    elif len(free):
        prob[:] = 1
    return WalkerProbabilities(classes, prob.reshape(-1, *size))


def _edge_weights(colors: Array, edges: Array, beta: float) -> Array:
    """(E,) exp(-beta |z_i - z_j|^2 / max), equation 1."""
    squares = np.square(colors[edges[:, 0]] - colors[edges[:, 1]]).sum(1)
    largest = squares.max(initial=0)
    exponent: Array = beta * squares / largest if largest > 0 else 0 * squares
    return np.asarray(np.exp(-exponent) + LEAST_WEIGHT)
