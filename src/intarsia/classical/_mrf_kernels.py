"""The loops over nodes and arcs of iterated conditional modes, messages and mean field. Importing this file imports numba.

The arcs of node i are first[i] .. first[i + 1]; `weight` is that of each arc, and `table` which of the costs `label_cost`,
(T, L, L), it has: by the label of the node it leaves and then of the one it meets.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from intarsia.core import Array

__all__ = ["decode", "icm_sweep", "mean_field_sweep", "pass_messages"]


@njit(cache=True, nogil=True)
def icm_sweep(labels: Array, unary: Array, first: Array, head: Array, weight: Array, table: Array, label_cost: Array) -> int:
    """Give each node in turn its cheapest label, its own where that is one of them; how many changed."""
    changed = 0
    cost = np.empty(unary.shape[1])
    for i in range(len(unary)):
        cost[:] = unary[i]
        for arc in range(first[i], first[i + 1]):
            beside = label_cost[table[arc], :, labels[head[arc]]]
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
    table: Array,
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
            costs = label_cost[table[arc]]
            for y in range(labels):
                least = np.inf
                for x in range(labels):
                    least = min(least, said[x] + weight[arc] * costs[x, y])
                if soft:
                    total = 0.0
                    for x in range(labels):
                        total += np.exp(least - said[x] - weight[arc] * costs[x, y])
                    least -= np.log(total)
                told[y] = least
            lowest = told.min()
            for y in range(labels):
                new = damping * messages[arc, y] + (1 - damping) * (told[y] - lowest)
                change = max(change, abs(new - messages[arc, y]))
                messages[arc, y] = new
    return change


@njit(cache=True, nogil=True)
def decode(
    unary: Array,
    first: Array,
    head: Array,
    reverse: Array,
    weight: Array,
    table: Array,
    label_cost: Array,
    messages: Array,
) -> Array:
    """(N,) labels, node by node: the cheapest beside those that have one, and by what the others tell. So ties agree."""
    labels = np.zeros(len(unary), np.int32)
    cost = np.empty(unary.shape[1])
    for i in range(len(unary)):
        cost[:] = unary[i]
        for arc in range(first[i], first[i + 1]):
            if head[arc] < i:
                cost += weight[arc] * label_cost[table[arc], :, labels[head[arc]]]
            else:
                cost += messages[reverse[arc]]
        labels[i] = cost.argmin()
    return labels


@njit(cache=True, nogil=True)
def mean_field_sweep(
    prob: Array, unary: Array, first: Array, head: Array, weight: Array, table: Array, label_cost: Array
) -> float:
    """Make each node's probabilities those that fit its neighbours', in turn; the largest change."""
    kinds, labels = label_cost.shape[:2]
    heard, cost = np.empty((kinds, labels)), np.empty(labels)
    change = 0.0
    for i in range(len(unary)):
        heard[:] = 0
        for arc in range(first[i], first[i + 1]):
            for y in range(labels):
                heard[table[arc], y] += weight[arc] * prob[head[arc], y]
        cost[:] = unary[i]
        for kind in range(kinds):
            for x in range(labels):
                for y in range(labels):
                    cost[x] += label_cost[kind, x, y] * heard[kind, y]
        new = np.exp(cost.min() - cost)
        new /= new.sum()
        change = max(change, np.abs(new - prob[i]).max())
        prob[i] = new
    return change
