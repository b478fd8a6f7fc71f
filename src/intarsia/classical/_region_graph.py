"""Regions as the nodes of a graph: which touch, along how much, and what they hold."""

from __future__ import annotations

import numpy as np

from intarsia.core import Array

__all__ = ["region_edges", "region_sums"]


def region_edges(ids: Array) -> tuple[Array, Array]:
    """Pairs of regions that touch.

    Args:
        ids: (H, W) region numbers from 0.

    Returns:
        (E, 2) int32 region numbers, the smaller first, in order; and (E,) int64 length of their common border, in pixel sides.
    """
    count = int(ids.max(initial=0)) + 1
    beside = [(ids[:, :-1], ids[:, 1:]), (ids[:-1], ids[1:])]
    one, other = (np.concatenate([pair[side].ravel() for pair in beside]).astype(np.int64) for side in (0, 1))
    apart = one != other
    keys, lengths = np.unique(np.minimum(one, other)[apart] * count + np.maximum(one, other)[apart], return_counts=True)
    return np.stack([keys // count, keys % count], 1).astype(np.int32), lengths


def region_sums(ids: Array, values: Array) -> Array:
    """(R, C) float64 sums of (H, W, C) or (P, C) values over the regions of `ids`, (H, W) or (P,)."""
    flat, columns = ids.ravel(), values.reshape(ids.size, -1).T
    return np.stack([np.bincount(flat, column) for column in columns], 1)
