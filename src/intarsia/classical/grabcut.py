"""GrabCut: cut out what is in a box, by colour mixtures of inside and outside that are fitted and cut in turn.

Rother, Kolmogorov, Blake, "GrabCut: Interactive Foreground Extraction using Iterated Graph Cuts", SIGGRAPH 2004.

Idea: everything outside the box is background, everything inside is foreground to begin with. Each side is a Gaussian mixture of
its colours; a minimum cut between the two, with cheap borders at edges of the image, gives a better foreground, from which the
mixtures are fitted again. No step raises the energy.

Source: equations 2 to 11 and figure 3; each pixel belongs to its cheapest component. The eigenvalues of covariances are kept
above 1 (of 255^2), which is the maximum of the likelihood under that bound, so that the energy still falls.
Deviation: no border matting. Points and scribbles hold a pixel on its side (class 0 is background) and may stand instead of a
box; then all that was not said is open, and the first mixtures come from what was said.
Limits: objects of the same colours as their surroundings; it is a descent, and ends in a local minimum. A box around the
whole image says nothing about the background and is returned as it is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from intarsia.classical._pixels import as_unit_range
from intarsia.classical._two_sides import cut_in_two, neighbour_weights
from intarsia.core import Array, BoolArray, Hints, SettingsError

__all__ = ["GrabCutTrace", "grabcut", "grabcut_trace"]

RESULT = "foreground"
HINTS = ("box", "scribbles", "points")
LEAST_VARIANCE = 1.0


class GrabCutTrace(NamedTuple):
    """foreground: (H, W) bool. energies: after each cut, never rising; empty if there was nothing to cut."""

    foreground: BoolArray
    energies: list[float]


class _Mixture(NamedTuple):
    """cost: (K,) of each component's share and determinant; mean: (K, C); root: (K, C, C), its rows whiten."""

    cost: Array
    mean: Array
    root: Array


def grabcut(image: Array, hints: Hints, *, iterations: int = 5, components: int = 5, gamma: float = 50.0, rng: int = 0) -> Array:
    """Cut the foreground out of an image.

    Args:
        image: (H, W, C), any range of its dtype.
        hints: boxes around the foreground; points and scribbles that are background (class 0) or foreground (any other).
        iterations: at most; it stops when nothing changes.
        components: of each mixture.
        gamma: cost of a border between two like neighbours; colours are compared in 0 to 255.
        rng: seed of the first components (k-means).

    Returns:
        (H, W) bool.

    Raises:
        SettingsError: hints without background or without foreground, a box outside the image, iterations or components below 1.
    """
    return grabcut_trace(image, hints, iterations=iterations, components=components, gamma=gamma, rng=rng).foreground


def grabcut_trace(
    image: Array, hints: Hints, *, iterations: int = 5, components: int = 5, gamma: float = 50.0, rng: int = 0
) -> GrabCutTrace:
    """The foreground and the energy after each cut; arguments as of `grabcut`."""
    if min(iterations, components) < 1 or gamma < 0:
        raise SettingsError(
            f"iterations is {iterations}, components {components} and gamma {gamma}; 1 or more, and 0 or more, fit."
        )
    size = image.shape[0], image.shape[1]
    fixed, sides = _start(hints, size)
    if (fixed >= 0).all() or (sides == 1).all():
        return GrabCutTrace((sides == 1).reshape(size), [])
    colors = as_unit_range(image).reshape(len(fixed), -1).astype(np.float64) * 255
    edges, weights = neighbour_weights(colors, size)
    weights *= gamma
    hard = 1 + np.bincount(edges.ravel(), np.repeat(weights, 2), len(fixed)).max(initial=0)
    belongs = [_first_components(colors[sides == side], components, rng) for side in (0, 1)]
    mixtures = [_fit(colors[sides == side], belongs[side]) for side in (0, 1)]
    energies: list[float] = []
    for _ in range(iterations):
        costs = [_component_costs(colors, mixture) for mixture in mixtures]
        unary = np.stack([cost.min(0) for cost in costs], 1)
        held = unary.copy()
        for side in (0, 1):
            held[fixed == side, 1 - side] = unary[fixed == side, side] + hard
        energy, foreground = cut_in_two(held, weights, size)
        energies.append(energy)
        before, sides = sides, foreground.ravel().astype(np.int8)
        if np.array_equal(sides, before) or not 0 < sides.sum() < len(sides):
            break
        mixtures = [_fit(colors[sides == side], costs[side].argmin(0)[sides == side]) for side in (0, 1)]
    return GrabCutTrace((sides == 1).reshape(size), energies)


def _start(hints: Hints, size: tuple[int, int]) -> tuple[Array, Array]:
    """(N,) what is held on a side, -1 where open, and (N,) the sides to begin with, -1 where a pixel is on neither."""
    seeds = hints.seeds(size).ravel().clip(-1, 1)
    if hints.boxes_xyxy is None:
        for side, name in enumerate(("background (class 0)", "foreground (class 1)")):
            if not (seeds == side).any():
                raise SettingsError(f"The points and scribbles hold no {name}; without a box, both sides need some.")
        return seeds, seeds
    inside = np.zeros(size, np.bool_)
    for x0, y0, x1, y1 in np.rint(hints.boxes_xyxy).astype(np.int64).clip(0):
        inside[y0:y1, x0:x1] = True
    if not inside.any():
        raise SettingsError(
            f"The box {hints.boxes_xyxy[0].tolist()} (x0, y0, x1, y1) lies outside the image of {size[0]} x {size[1]} pixels "
            "(height x width)."
        )
    fixed = np.where((seeds < 0) & ~inside.ravel(), 0, seeds)
    return fixed, np.where(fixed < 0, 1, fixed)


def _first_components(colors: Array, components: int, rng: int) -> Array:
    """(N,) component of each colour, by k-means of at most 20,000 of them."""
    from sklearn.cluster import KMeans

    sample = colors[np.random.default_rng(rng).permutation(len(colors))[:20_000]]
    different = len(np.unique(sample, axis=0))
    return np.asarray(KMeans(min(components, different), n_init=1, max_iter=10, random_state=rng).fit(sample).predict(colors))


def _fit(colors: Array, belongs: Array) -> _Mixture:
    """Share, mean and covariance of each component that has pixels."""
    costs, means, roots = [], [], []
    for number in np.unique(belongs):
        own = colors[belongs == number]
        mean = own.mean(0)
        variances, axes = np.linalg.eigh((own - mean).T @ (own - mean) / len(own))
        variances = variances.clip(LEAST_VARIANCE)
        costs.append(-np.log(len(own) / len(colors)) + 0.5 * np.log(2 * np.pi * variances).sum())
        means.append(mean)
        roots.append(axes.T / np.sqrt(variances)[:, None])
    return _Mixture(np.array(costs), np.array(means), np.array(roots))


def _component_costs(colors: Array, mixture: _Mixture) -> Array:
    """(K, N) D = -log pi_k N(z; mu_k, Sigma_k), equation 9."""
    white = [(colors - mean) @ root.T for mean, root in zip(mixture.mean, mixture.root, strict=True)]
    return np.stack([cost + 0.5 * np.square(part).sum(1) for cost, part in zip(mixture.cost, white, strict=True)])
