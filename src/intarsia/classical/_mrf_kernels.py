"""The loops over nodes and arcs of iterated conditional modes and belief propagation. Importing this file imports numba.

The arcs of node i are first[i] .. first[i + 1]; `weight` is that of each arc, `label_cost` is V.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from intarsia.core import Array

__all__ = ["decode", "icm_sweep", "pass_messages"]


@njit(cache=True, nogil=True)
def icm_sweep(labels: Array, unary: Array, first: Array, head: Array, weight: Array, label_cost: Array) -> int:
    """Give each node in turn its cheapest label, its own where that is one of them; how many changed."""
    changed = 0
    cost = np.empty(unary.shape[1])
    for i in range(len(unary)):
        cost[:] = unary[i]
        for arc in range(first[i], first[i + 1]):
            beside = label_cost[labels[head[arc]]]
            for label in range(len(cost)):
                cost[label] += weight[arc] * beside[label]
        best = labels[i]
        for label in range(len(cost)):
            if cost[label] < cost[best]:
                best = label
        changed += best != labels[i]
        labels[i] = best
    return changed


@njit(cache=True, nogil=True)
def pass_messages(
    unary: Array,
    first: Array,
    head: Array,
    reverse: Array,
    weight: Array,
    label_cost: Array,
    messages: Array,
    damping: float,
    soft: bool,
    upward: bool,
) -> float:
    """Send the messages to later nodes, in their order, or those to earlier ones, from the last; the largest change."""
    nodes, labels = unary.shape
    belief, said, told = np.empty(labels), np.empty(labels), np.empty(labels)
    change = 0.0
    for step in range(nodes):
        i = step if upward else nodes - 1 - step
        belief[:] = unary[i]
        for arc in range(first[i], first[i + 1]):
            belief += messages[reverse[arc]]
        for arc in range(first[i], first[i + 1]):
            if (head[arc] > i) != upward:
                continue
            for x in range(labels):
                said[x] = belief[x] - messages[reverse[arc], x]
            for y in range(labels):
                least = np.inf
                for x in range(labels):
                    least = min(least, said[x] + weight[arc] * label_cost[x, y])
                if soft:
                    total = 0.0
                    for x in range(labels):
                        total += np.exp(least - said[x] - weight[arc] * label_cost[x, y])
                    least -= np.log(total)
                told[y] = least
            lowest = told.min()
            for y in range(labels):
                new = damping * messages[arc, y] + (1 - damping) * (told[y] - lowest)
                change = max(change, abs(new - messages[arc, y]))
                messages[arc, y] = new
    return change


@njit(cache=True, nogil=True)
def decode(unary: Array, first: Array, head: Array, reverse: Array, weight: Array, label_cost: Array, messages: Array) -> Array:
    """(N,) labels, node by node: the cheapest beside those that have one, and by what the others tell. So ties agree."""
    labels = np.zeros(len(unary), np.int32)
    cost = np.empty(unary.shape[1])
    for i in range(len(unary)):
        cost[:] = unary[i]
        for arc in range(first[i], first[i + 1]):
            if head[arc] < i:
                cost += weight[arc] * label_cost[labels[head[arc]]]
            else:
                cost += messages[reverse[arc]]
        labels[i] = cost.argmin()
    return labels
