"""A log-linear random field over the pixels or superpixels of an image: what its energy is made of, and the energy.

E(x) = sum_f w_f f(x), with the six features of `FEATURES`. Regions that touch are neighbours; every two regions are a pair,
related or not. Between pixels only the eight next to each other are pairs, and related where one is right above the other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from intarsia.classical._mrf_energy import Energy, contrast, grid_edges, potts
from intarsia.classical._pixels import as_lab
from intarsia.classical._region_graph import region_edges, region_sums
from intarsia.classical._relations import ABOVE, INSIDE, UNRELATED, relations
from intarsia.core import Array

__all__ = ["FEATURES", "Field", "energy", "field_of_pixels", "field_of_regions", "local_costs", "statistics"]

FEATURES = ("unary", "smooth", "contrast", "together", "above", "inside")
"""What the prediction says; borders; borders where the image has no edge; and less the potentials of classes that are in one
image, above one another, inside one another."""
KINDS = (UNRELATED, ABOVE, INSIDE)  # of a pair, as its nodes are ordered; a pair of any kind is together
PIXEL_PAIRS = 8  # of a pixel


class Field(NamedTuple):
    """What the field of one image is made of.

    nodes: (H, W) int32 node of each pixel.
    unary: (N, K) mean of -log p in each node, times its area as a share of the mean area.
    edges: (E, 2) int32 nodes that touch.
    border: (E,) how much they touch; about 1.
    contrast: (E,) 1 between nodes of like colour, down to 0.
    pairs: (P, 2) int32; the first is above the second, or inside it, if they are related.
    kind: (P,) int8, index in `KINDS`.
    share: what a pair counts for: 1 of the number of pairs that a node has, about.
    """

    nodes: Array
    unary: Array
    edges: Array
    border: Array
    contrast: Array
    pairs: Array
    kind: Array
    share: float


def field_of_regions(ids: Array, image: Array, unary: Array) -> Field:
    """The field of superpixels or any regions.

    Args:
        ids: (H, W) int32 region numbers from 0, each in use.
        image: (H, W, C).
        unary: (K, H, W) -log p.
    """
    areas = np.bincount(ids.ravel())
    edges, lengths = region_edges(ids)
    colors = region_sums(ids, as_lab(image)) / areas[:, None]
    costs = region_sums(ids, np.moveaxis(unary, 0, 2)) / areas.mean()
    found = relations(ids)
    ends = [np.argwhere(np.triu(found == UNRELATED, 1)), np.argwhere(found == ABOVE), np.argwhere(found == INSIDE)]
    kind = np.repeat(np.arange(3, dtype=np.int8), [len(one) for one in ends])
    border = lengths / lengths.mean() if len(lengths) else lengths.astype(float)
    return Field(ids, costs, edges, border, contrast(colors, edges), np.concatenate(ends).astype(np.int32), kind, 1 / len(areas))


def field_of_pixels(image: Array, unary: Array) -> Field:
    """The field whose nodes are the pixels of an image (H, W, C), with unaries (K, H, W)."""
    size_hw = image.shape[:2]
    edges, straight = grid_edges(size_hw, 8), grid_edges(size_hw)
    colors = as_lab(image).reshape(unary[0].size, -1)
    border = np.where(np.arange(len(edges)) < len(straight), 1, np.sqrt(0.5))  # by how far diagonal neighbours are apart
    kind = (edges[:, 1] - edges[:, 0] == size_hw[1]).astype(np.int8)
    nodes = np.arange(len(colors), dtype=np.int32).reshape(size_hw)
    costs = unary.reshape(len(unary), -1).T.astype(np.float64)
    return Field(nodes, costs, edges, border, contrast(colors, edges), edges, kind, 1 / PIXEL_PAIRS)


def energy(field: Field, weights: Array, potentials: Array) -> Energy:
    """The energy of a field, with Potts' cost alone where no potential has a weight.

    Args:
        field: of an image.
        weights: (6,) of `FEATURES`, 0 or more.
        potentials: (3, K, K): together; above, by the class above and the one below; inside, by the class inside and around.
    """
    unary, labels = weights[0] * field.unary, field.unary.shape[1]
    smooth = field.border * (weights[1] + weights[2] * field.contrast)
    together, above, inside = weights[3:, None, None] * potentials
    if not (together.any() or above.any() or inside.any()):
        return Energy(unary, field.edges, smooth, potts(labels))
    return Energy(
        unary,
        np.concatenate([field.edges, field.pairs]),
        np.concatenate([smooth, np.full(len(field.pairs), field.share)]),
        np.stack([potts(labels), -together, -together - above, -together - inside]),
        np.concatenate([np.zeros(len(field.edges), np.int8), field.kind + np.int8(1)]),
    )


def statistics(field: Field, labels: Array, potentials: Array) -> Array:
    """(6,) features f(x) of (N,) labels: the energy is their sum by the weights."""
    a, b = labels[field.edges].T
    apart = field.border * (a != b)
    first, second = labels[field.pairs].T
    felt = [
        field.share * potential[first, second][chosen].sum()
        for potential, chosen in zip(potentials, (slice(None), field.kind == 1, field.kind == 2), strict=True)
    ]
    own = np.take_along_axis(field.unary, labels[:, None], 1).sum()
    return np.array([own, apart.sum(), apart @ field.contrast, *(-value for value in felt)])


def local_costs(field: Field, labels: Array, potentials: Array, rows: Array) -> Array:
    """(R, K, 6) part of the features that depends on each of `rows`, by the label it would have beside the others'.

    Args:
        field: of an image.
        labels: (N,) of all nodes, -1 where it is not known: such a node is not there.
        potentials: (3, K, K), as of `energy`.
        rows: (R,) nodes.
    """
    each = (labels[:, None] == np.arange(field.unary.shape[1])).astype(np.float64)

    def heard(pairs: Array, weights: Array, potential: Array) -> Array:
        """What the rows hear from the second nodes of pairs whose first they are."""
        from scipy.sparse import csr_array

        matrix = csr_array((weights, (pairs[:, 0], pairs[:, 1])), shape=(len(labels), len(labels)))
        return np.asarray(matrix[rows] @ each @ potential.T)

    def both_ways(pairs: Array, weights: Array, potential: Array) -> Array:
        return heard(pairs, weights, potential) + heard(pairs[:, ::-1], weights, potential.T)

    apart, shares = potts(each.shape[1]), np.full(len(field.pairs), field.share)
    costs = [
        field.unary[rows],
        both_ways(field.edges, field.border, apart),
        both_ways(field.edges, field.border * field.contrast, apart),
        -both_ways(field.pairs, shares, potentials[0]),
    ]
    for kind in (1, 2):
        of_kind = field.kind == kind
        costs.append(-both_ways(field.pairs[of_kind], shares[of_kind], potentials[kind]))
    return np.stack(costs, 2)
