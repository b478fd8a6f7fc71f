"""Normalised cuts: the image as a graph, cut where little similarity is lost for what each side holds together.

Shi, Malik, "Normalized cuts and image segmentation", PAMI 2000.

Idea: places that are near and alike are joined by strong edges W. A cut into A and B costs cut(A, B) / assoc(A) + cut(A, B) /
assoc(B), where assoc is all the weight at a side's nodes: small sides are dear. Relaxed to real numbers, the best cut is the
second eigenvector of D^-1/2 W D^-1/2; the best of all thresholds on it is taken. Parts are cut again, the cheapest cut first
(recursive), or k eigenvectors are turned into k parts at once (k-way).

Source: sections 2 and 3; the k-way rounding is Yu, Shi, "Multiclass spectral clustering", ICCV 2003. Deviation: nodes are
superpixels, so that a photograph takes a second; with `superpixels` 0 they are pixels, of the image shrunk to a side of 100.
Limits: a wide smooth area is cut too, since its halves hold much together; thin things go to what is around them.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from intarsia.classical._pixels import as_lab
from intarsia.classical._region_graph import region_sums
from intarsia.classical.slic import slic
from intarsia.core import Array, SettingsError

__all__ = ["normalized_cuts"]

RESULT = "regions"

PIXEL_SIDE = 100  # longest side of the image that is cut pixel by pixel
DENSE = 500  # nodes up to which the dense solver is quicker
LEAST = 1e-6  # similarity that neighbours always have, so that the graph is connected
TINY = np.finfo(np.float64).tiny  # in place of the degree of a node that nothing joins
ROUNDS = 50  # of the k-way rounding, which settles in about ten


def normalized_cuts(
    image: Array,
    *,
    regions: int = 12,
    threshold: float = 0.2,
    method: Literal["recursive", "k_way"] = "recursive",
    superpixels: int = 400,
    color_sigma: float = 15.0,
    position_sigma: float = 2.0,
) -> Array:
    """Cut an image into at most `regions` parts.

    Args:
        image: (H, W, C), any range of its dtype; three channels are colour and are compared in CIELAB.
        regions: parts at most; k-way gives as many, bar empty ones.
        threshold: the dearest cut, 0 to 2, that `recursive` still makes.
        method: cut in two again and again, or all at once.
        superpixels: about how many SLIC superpixels are the nodes; 0 for pixels of the shrunken image.
        color_sigma: colour difference, in units of L*, over which similarity falls to 1/e.
        position_sigma: the same for distance, in steps from node to node; nodes over twice as far apart are not joined.

    Returns:
        (H, W) int32 region numbers from 0.
    """
    if regions < 1 or superpixels < 0 or color_sigma <= 0 or position_sigma < 1:
        raise SettingsError(
            f"regions is {regions}, superpixels {superpixels}, color_sigma {color_sigma} and position_sigma {position_sigma}; at "
            "least 1, 0, more than 0 and 1 are expected."
        )
    pixels = as_lab(image)
    ids = slic(image, segments=superpixels) if superpixels else _coarse_grid(pixels.shape[:2])
    areas = np.bincount(ids.ravel())
    colors = region_sums(ids, pixels) / areas[:, None]
    places = region_sums(ids, np.moveaxis(np.indices(ids.shape), 0, 2)) / areas[:, None]
    weights = _similarity(colors, places / np.sqrt(ids.size / len(areas)), color_sigma, position_sigma)
    parts = _recursive_cuts(weights, regions, threshold) if method == "recursive" else _k_way_cut(weights, regions)
    return parts[ids]


def _coarse_grid(size_hw: tuple[int, ...]) -> Array:
    """(H, W) numbers of the square that each pixel lies in; a square is a pixel of the shrunken image."""
    side = max(1.0, max(size_hw) / PIXEL_SIDE)
    rows, columns = ((np.arange(length) / side).astype(np.int32) for length in size_hw)
    return np.asarray(rows[:, None] * (columns[-1] + 1) + columns, np.int32)


def _similarity(features: Array, places: Array, feature_sigma: float, place_sigma: float) -> Any:
    """Sparse (N, N) exp(-|f_i - f_j|^2 / sigma_f^2 - |x_i - x_j|^2 / sigma_x^2) of nodes nearer than 2 sigma_x; equation 11."""
    from scipy.sparse import csr_array
    from scipy.spatial import cKDTree

    first, second = cKDTree(places).query_pairs(2 * place_sigma + 1e-9, output_type="ndarray").T
    apart = sum(
        ((values[first] - values[second]) ** 2).sum(1) / sigma**2
        for values, sigma in ((features, feature_sigma), (places, place_sigma))
    )
    weights, ends = np.maximum(np.exp(-np.asarray(apart)), LEAST), (np.r_[first, second], np.r_[second, first])
    return csr_array((np.r_[weights, weights], ends), shape=(len(features), len(features)))


class _Part(NamedTuple):
    """nodes: (M,) numbers. side: (M,) bool of its best cut. cost: Ncut of that, infinite for a single node."""

    nodes: Array
    side: Array
    cost: float


def _recursive_cuts(weights: Any, regions: int, threshold: float) -> Array:
    """(N,) part of each node: the part with the cheapest cut is cut, until there are enough or it is too dear."""

    def part(nodes: Array) -> _Part:
        return _Part(nodes, *_best_cut(weights[nodes][:, nodes]))

    parts = [part(np.arange(weights.shape[0]))]
    while len(parts) < regions:
        cheapest = min(range(len(parts)), key=lambda number: parts[number].cost)
        nodes, side, cost = parts[cheapest]
        if cost > threshold:
            break
        parts[cheapest] = part(nodes[~side])
        parts.append(part(nodes[side]))
    labels = np.zeros(weights.shape[0], np.int32)
    for number, (nodes, _, _) in enumerate(parts):
        labels[nodes] = number
    return labels


def _best_cut(weights: Any) -> tuple[Array, float]:
    """(N,) bool, one side of a cut, without the first node; and its Ncut."""
    from scipy.sparse.csgraph import connected_components

    if weights.shape[0] == 1:
        return np.zeros(1, bool), np.inf
    count, component = connected_components(weights, directed=False)
    if count > 1:
        return component != component[0], 0.0
    order = np.argsort(_leading_vectors(weights, 2)[1][:, 1], kind="stable")
    costs = _sweep(weights, order)
    side = np.zeros(len(order), bool)
    side[order[: costs.argmin() + 1]] = True
    return side ^ side[0], float(costs.min())


def _sweep(weights: Any, order: Array) -> Array:
    """(N - 1,) Ncut of the first 1, 2, .. nodes in `order` against the rest."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    pairs = weights.tocoo()
    assoc = np.cumsum(weights.sum(1)[order])
    inside = np.cumsum(np.bincount(np.maximum(place[pairs.row], place[pairs.col]), pairs.data, len(order)))
    cut = np.maximum(assoc - inside, 0)[:-1]
    return np.asarray(cut / assoc[:-1] + cut / (assoc[-1] - assoc[:-1]))


def _leading_vectors(weights: Any, count: int) -> tuple[Array, Array]:
    """The `count` smallest eigenvalues of (D - W) y = lambda D y, rising, and (N, count) their vectors y."""
    from scipy.linalg import eigh
    from scipy.sparse import diags_array
    from scipy.sparse.linalg import eigsh

    nodes = weights.shape[0]
    root = np.sqrt(np.maximum(weights.sum(1), TINY))
    normal = diags_array(1 / root) @ weights @ diags_array(1 / root)
    if nodes <= DENSE:
        values, vectors = eigh(normal.toarray(), subset_by_index=[nodes - count, nodes - 1])
    else:
        # The start is neither random nor the first eigenvector, from which no other would be found.
        values, vectors = eigsh(normal, count, which="LA", v0=root * np.linspace(1, 2, nodes), tol=1e-5)
    rising = np.argsort(-values)
    return 1 - values[rising], vectors[:, rising] / root[:, None]


def _k_way_cut(weights: Any, regions: int) -> Array:
    """(N,) part of each node, from as many eigenvectors as parts."""
    _, vectors = _leading_vectors(weights, min(regions, weights.shape[0]))
    return np.unique(_discretise(vectors), return_inverse=True)[1].astype(np.int32)


def _discretise(vectors: Array) -> Array:
    """(N,) axis nearest to each node's eigenvector entries (N, K), under the rotation that brings all nearest to axes."""
    rows = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), TINY)
    count = rows.shape[1]
    chosen = [0]
    likeness = np.zeros(len(rows))
    for _ in range(count - 1):  # start from rows that are as orthogonal as can be
        likeness += np.abs(rows @ rows[chosen[-1]])
        chosen.append(int(likeness.argmin()))
    rotation, fit = rows[chosen].T, 0.0
    for _ in range(ROUNDS):
        nearest = np.asarray((rows @ rotation).argmax(1))
        left, singular, right = np.linalg.svd(np.eye(count)[nearest].T @ rows)
        rotation = (left @ right).T
        if singular.sum() <= fit * (1 + 1e-9):
            break
        fit = singular.sum()
    return nearest
