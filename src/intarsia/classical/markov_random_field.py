"""Colour classes of an image with smooth borders: a Markov random field over pixels or superpixels.

Boykov, Veksler, Zabih, "Fast approximate energy minimization via graph cuts", PAMI 2001.

Idea: a mixture of colours says what each pixel would be by itself, -log p(colour | class). Two neighbours of different class
pay `smoothness`, less where the image has an edge between them. The cheapest labelling is looked for by a solver of choice:
exact cuts of one class against all (expansion) or of two classes (swap), messages (belief propagation), or pixel by pixel (icm).

Source: the energy of section 1, Potts with the static cues of section 8.1; solvers are in `_expansion`, `_belief_propagation` and
`_icm`. Limits: the number of classes is given, not found, and fewer come out where one is bought out; regions of one class may
lie apart; `min_cut` is exact and takes two classes; belief propagation keeps 64 bytes for each label of each pixel.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal

import numpy as np

from intarsia.classical._belief_propagation import min_sum
from intarsia.classical._expansion import exact_binary, expansion, swap
from intarsia.classical._icm import icm
from intarsia.classical._mrf_energy import Energy, Labelling, contrast, grid_edges, potts
from intarsia.classical._pixels import as_lab
from intarsia.classical._region_graph import region_edges, region_sums
from intarsia.classical.slic import slic
from intarsia.core import Array, SettingsError

__all__ = ["markov_random_field", "markov_random_field_trace"]

RESULT = "regions"

SOLVERS: dict[str, Callable[[Energy], Labelling]] = {
    "icm": icm,
    "belief_propagation": min_sum,
    "expansion": expansion,
    "swap": swap,
    "min_cut": exact_binary,
}
FITTED = 5000  # pixels that the mixture is fitted to
NOISE = 1.0  # variance of colour, in L*^2, that every class has at least


def markov_random_field(
    image: Array,
    *,
    labels: int = 5,
    smoothness: float = 20.0,
    inference: Literal["icm", "belief_propagation", "expansion", "swap", "min_cut"] = "expansion",
    colors: Literal["mixture", "kmeans"] = "mixture",
    connectivity: Literal[4, 8] = 8,
    superpixels: int = 0,
    rng: int = 0,
) -> Array:
    """Group the pixels of an image into `labels` classes of colour with smooth borders.

    Args:
        image: (H, W, C), any range of its dtype; three channels are colour and are compared in CIELAB.
        labels: classes of colour.
        smoothness: what two neighbours pay for different labels where the image is flat, in nats; 0 leaves each to itself.
        inference: the solver.
        colors: a Gaussian mixture, or classes of one round spread by k-means.
        connectivity: neighbours of a pixel, 4 or 8.
        superpixels: about how many SLIC superpixels to label in place of pixels; 0 for pixels.
        rng: seed of where the classes start.

    Returns:
        (H, W) int32 label numbers from 0.
    """
    return markov_random_field_trace(
        image,
        labels=labels,
        smoothness=smoothness,
        inference=inference,
        colors=colors,
        connectivity=connectivity,
        superpixels=superpixels,
        rng=rng,
    )[0]


def markov_random_field_trace(
    image: Array,
    *,
    labels: int,
    smoothness: float,
    inference: str,
    colors: str,
    connectivity: int,
    superpixels: int,
    rng: int,
) -> tuple[Array, Energy, Labelling]:
    """`markov_random_field` with the energy that was minimised and its course: labels (H, W), energy, labelling of its nodes."""
    if labels < 1 or smoothness < 0:
        raise SettingsError(f"labels is {labels} and smoothness {smoothness}; at least 1 and 0 are expected.")
    features = as_lab(image)
    size_hw = features.shape[:2]
    features = features.reshape(-1, features.shape[2])
    costs = _color_costs(features, labels, colors, rng)
    ids = None
    if superpixels:
        ids = slic(image, segments=superpixels)
        edges, lengths = region_edges(ids)
        areas = np.bincount(ids.ravel())
        costs, means = region_sums(ids, costs), region_sums(ids, features) / areas[:, None]
        weights = smoothness * lengths * contrast(means, edges)
    else:
        edges = grid_edges(size_hw, connectivity)
        weights = smoothness * contrast(features, edges)
        weights[len(grid_edges(size_hw)) :] /= np.sqrt(2)  # by how far diagonal neighbours are apart
    energy = Energy(costs, edges, weights, potts(costs.shape[1]))
    labelling = SOLVERS[inference](energy)
    numbers = np.unique(labelling.labels, return_inverse=True)[1].astype(np.int32)
    return (numbers if ids is None else numbers[ids]).reshape(size_hw), energy, labelling


def _color_costs(features: Array, labels: int, colors: str, rng: int) -> Array:
    """(N, L) -log p(colour | class) with the share of the class, up to a constant."""
    from sklearn.cluster import KMeans
    from sklearn.mixture import GaussianMixture

    draw = np.random.default_rng(rng)
    sample = features[draw.permutation(len(features))[:FITTED]]
    labels = min(labels, len(np.unique(sample, axis=0)))
    if labels == 1:
        return np.zeros((len(features), 1))
    if colors == "kmeans":
        centers = KMeans(labels, n_init=1, random_state=rng).fit(sample).cluster_centers_
        squares = ((features[:, None] - centers) ** 2).sum(2)
        variance = max(float(squares.min(1).mean()) / features.shape[1], NOISE)
        return np.asarray(squares / (2 * variance), np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a mixture that has not settled is good enough
        mixture = GaussianMixture(labels, reg_covar=NOISE, max_iter=50, random_state=rng).fit(sample.astype(np.float64))
    return _mixture_costs(features.astype(np.float64), mixture.weights_, mixture.means_, mixture.precisions_cholesky_)


def _mixture_costs(features: Array, shares: Array, means: Array, roots: Array) -> Array:
    """-log(pi_k N(x; mu_k, Sigma_k)) without the constant; `roots` R are such that R R^T is the inverse of Sigma."""
    costs = np.empty((len(features), len(shares)))
    for k, (share, mean, root) in enumerate(zip(shares, means, roots, strict=True)):
        costs[:, k] = 0.5 * (((features - mean) @ root) ** 2).sum(1) - np.log(np.diag(root)).sum() - np.log(share)
    return costs
