"""An image in two parts at the least cost: contrast between 8 neighbours, and the exact cut."""

from __future__ import annotations

import numpy as np

from intarsia.classical._grid_cut import grid_cut
from intarsia.classical._mrf_energy import contrast, grid_edges
from intarsia.core import Array, BoolArray

__all__ = ["cut_in_two", "neighbour_weights"]


def neighbour_weights(colors: Array, size_hw: tuple[int, int]) -> tuple[Array, Array]:
    """Pairs of 8 neighbours (E, 2), and exp(-dz^2 / (2 mean dz^2)) / distance of each, (E,).

    Args:
        colors: (H * W, C) float.
        size_hw: H and W.
    """
    edges = grid_edges(size_hw, 8)
    straight = sum(np.prod(shape) for shape in _shapes(size_hw)[:2])
    distance = np.where(np.arange(len(edges)) < straight, 1, np.sqrt(2))
    return edges, contrast(colors, edges) / distance


def cut_in_two(unary: Array, weights: Array, size_hw: tuple[int, int]) -> tuple[float, BoolArray]:
    """The least cost of two labels, and (H, W) where the second is taken; of several cheapest cuts that with the fewest.

    Args:
        unary: (H * W, 2) cost of each label, of any sign.
        weights: (E,) cost where neighbours differ, in the order of `neighbour_weights`.
        size_hw: H and W.
    """
    shapes = _shapes(size_hw)
    parts = np.split(weights, np.cumsum([height * width for height, width in shapes])[:-1])
    pairs = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
    least = unary.min(1)
    stay, turn = (unary - least[:, None]).T
    flow, second = grid_cut(turn.reshape(size_hw), stay.reshape(size_hw), *pairs)
    return flow + float(least.sum()), second


def _shapes(size_hw: tuple[int, int]) -> list[tuple[int, int]]:
    """Of the pairs to the right, down, down and right, down and left."""
    height, width = size_hw
    return [(height, width - 1), (height - 1, width), (height - 1, width - 1), (height - 1, width - 1)]
