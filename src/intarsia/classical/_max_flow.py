"""Maximum flow by two search trees: one kernel for image grids and for any graph. Importing this file imports numba.

Boykov, Kolmogorov, "An experimental comparison of min-cut/max-flow algorithms for energy minimization in vision", PAMI 2004.

A tree grows from the source and one from the sink along arcs that have capacity left (`_grow`). Where they touch, the path is
filled (`_augment`); nodes behind a filled arc look for another parent in their tree or become free (`_adopt`). A node's `stamp`
and `distance` say when its way to the terminal was last seen whole and how long it is: a search for a parent ends early and
prefers short ways.

Arcs lie beside each other by the node they leave. On a grid each node has K of them: arc K i + d goes from i to i + offset[d],
and its reverse is number K - 1 - d there; a rim of nodes without capacity keeps arcs inside the array, so nothing else is stored.
In a graph the arcs of i are first[i] .. first[i + 1], and `head` and `reverse` are arrays. `Links` is (offset, first, head,
reverse), where a graph has None for the offset and a grid empty arrays for the rest, so that numba drops what does not apply.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from intarsia.core import Array

__all__ = ["SINK", "Links", "max_flow"]

Links = tuple[Array | None, Array, Array, Array]

NODE = np.dtype(
    [("terminal", "f8"), ("parent", "i4"), ("stamp", "i4"), ("distance", "i4"), ("tree", "u1"), ("waiting", "?")], align=True
)
SOURCE, SINK = 1, 2
TERMINAL, ORPHAN, FREE = -1, -2, -3  # in place of a node's arc to its parent
FAR = 2**31 - 1


@njit(cache=True, nogil=True)
def max_flow(capacity: Array, terminal: Array, links: Links) -> tuple[float, Array]:
    """Push all the flow that fits.

    Args:
        capacity: (A,) float64 of the arcs; what is left of it on return.
        terminal: (N,) float64, capacity from the source less that to the sink.
        links: of a grid or a graph.

    Returns:
        The flow, and (N,) uint8: SOURCE where it can still be reached from there, SINK where it still reaches that, else 0.
    """
    nodes = np.zeros(terminal.size, NODE)
    queue = np.empty(nodes.size + 1, np.int32)  # of nodes that may grow; a ring, and so are the orphans
    orphans = np.empty(nodes.size + 1, np.int32)
    start, end = 0, 0
    for i in range(nodes.size):
        node = nodes[i]
        node.terminal = terminal[i]
        node.distance = 1
        node.parent = FREE
        if terminal[i] != 0:
            node.tree = SOURCE if terminal[i] > 0 else SINK
            node.parent = TERMINAL
            end = _wait(i, nodes, queue, end)

    flow, now = 0.0, 0
    while start != end:
        i = queue[start]
        start = _next(start, queue)
        while nodes[i].parent != FREE:
            arc, end = _grow(i, nodes, capacity, links, queue, end)
            if arc == FREE:
                break
            now += 1
            j, back = _follow(arc, i, links)
            if nodes[i].tree == SOURCE:
                filled, lost = _augment(i, j, arc, back, nodes, capacity, links, orphans)
            else:
                filled, lost = _augment(j, i, back, arc, nodes, capacity, links, orphans)
            flow += filled
            end = _adopt(orphans, lost, now, nodes, capacity, links, queue, end)
        nodes[i].waiting = False
    tree = np.zeros(nodes.size, np.uint8)
    for i in range(nodes.size):
        if nodes[i].parent != FREE:
            tree[i] = nodes[i].tree
    return flow, tree


@njit(cache=True)
def _grow(i: int, nodes: Any, capacity: Array, links: Links, queue: Array, end: int) -> tuple[int, int]:
    """Take in free neighbours; the first arc that touches the other tree, else FREE, and the queue's end."""
    node = nodes[i]
    begin, stop = _arcs(i, links)
    for arc in range(begin, stop):
        j, back = _follow(arc, i, links)
        if capacity[arc if node.tree == SOURCE else back] == 0:
            continue
        there = nodes[j]
        free = there.parent == FREE
        if not free and there.tree != node.tree:
            return arc, end
        if free or (there.stamp <= node.stamp and there.distance > node.distance):
            there.tree = node.tree
            there.parent = back
            there.stamp = node.stamp
            there.distance = node.distance + 1
        if free:
            end = _wait(j, nodes, queue, end)
    return FREE, end


@njit(cache=True)
def _augment(
    above: int, below: int, arc: int, back: int, nodes: Any, capacity: Array, links: Links, orphans: Array
) -> tuple[float, int]:
    """Fill the path source .. above -> below .. sink; the flow it took, and how many nodes lost their parent."""
    room = capacity[arc]
    i = above
    while nodes[i].parent != TERMINAL:
        i, toward = _follow(nodes[i].parent, i, links)
        room = min(room, capacity[toward])
    room = min(room, nodes[i].terminal)
    i = below
    while nodes[i].parent != TERMINAL:
        room = min(room, capacity[nodes[i].parent])
        i, _ = _follow(nodes[i].parent, i, links)
    room = min(room, -nodes[i].terminal)

    lost = 0
    capacity[arc] -= room
    capacity[back] += room
    for upstream in (True, False):
        i = above if upstream else below
        while nodes[i].parent != TERMINAL:
            away = nodes[i].parent
            j, toward = _follow(away, i, links)
            filled, freed = (toward, away) if upstream else (away, toward)
            capacity[filled] -= room
            capacity[freed] += room
            if capacity[filled] == 0:
                nodes[i].parent = ORPHAN
                orphans[lost] = i
                lost += 1
            i = j
        nodes[i].terminal -= room if upstream else -room
        if nodes[i].terminal == 0:
            nodes[i].parent = ORPHAN
            orphans[lost] = i
            lost += 1
    return room, lost


@njit(cache=True)
def _adopt(orphans: Array, lost: int, now: int, nodes: Any, capacity: Array, links: Links, queue: Array, end: int) -> int:
    """Give each orphan the nearest parent in its tree, or set it free and make orphans of its children; the queue's end."""
    at = 0
    while at != lost:
        i = orphans[at]
        at = _next(at, orphans)
        node = nodes[i]
        best, nearest = FREE, FAR
        begin, stop = _arcs(i, links)
        for arc in range(begin, stop):
            j, back = _follow(arc, i, links)
            if nodes[j].tree != node.tree or nodes[j].parent == FREE or capacity[back if node.tree == SOURCE else arc] == 0:
                continue
            steps = _steps_to_terminal(j, now, nodes, links)
            if steps < nearest:
                best, nearest = arc, steps
        node.parent = best
        if best != FREE:
            node.stamp = now
            node.distance = nearest + 1
            continue
        for arc in range(begin, stop):
            j, back = _follow(arc, i, links)
            if nodes[j].tree != node.tree or nodes[j].parent == FREE:
                continue
            if capacity[back if node.tree == SOURCE else arc] > 0:
                end = _wait(j, nodes, queue, end)
            if nodes[j].parent == back:
                nodes[j].parent = ORPHAN
                orphans[lost] = j
                lost = _next(lost, orphans)
    return end


@njit(cache=True)
def _steps_to_terminal(i: int, now: int, nodes: Any, links: Links) -> int:
    """Length of the way from `i` to its terminal, noted along the way; FAR if it ends in an orphan."""
    steps: int = 0
    j = i
    while nodes[j].stamp != now:
        if nodes[j].parent == ORPHAN:
            return FAR
        if nodes[j].parent == TERMINAL:
            nodes[j].stamp = now
            nodes[j].distance = 1
            break
        steps += 1
        j, _ = _follow(nodes[j].parent, j, links)
    steps += nodes[j].distance
    length, j = steps, i
    while nodes[j].stamp != now:
        nodes[j].stamp = now
        nodes[j].distance = length
        length -= 1
        j, _ = _follow(nodes[j].parent, j, links)
    return steps


@njit(cache=True)
def _next(place: int, ring: Array) -> int:
    return 0 if place + 1 == len(ring) else place + 1


@njit(cache=True)
def _wait(i: int, nodes: Any, queue: Array, end: int) -> int:
    """Put a node at the end of the queue unless it is there; the new end."""
    if nodes[i].waiting:
        return end
    nodes[i].waiting = True
    queue[end] = i
    return _next(end, queue)


@njit(cache=True)
def _arcs(i: int, links: Links) -> tuple[int, int]:
    """The numbers of the arcs of `i`: from, and to before which."""
    return _range_of(i, links[0], links[1])


@njit(cache=True)
def _follow(arc: int, i: int, links: Links) -> tuple[int, int]:
    """Where an arc of `i` goes, and the number of its reverse."""
    return _target_of(arc, i, links[0], links[2], links[3])


# numba drops the branch on None for an argument, and not for an element of a tuple: hence these two.


@njit(cache=True)
def _range_of(i: int, offset: Array | None, first: Array) -> tuple[int, int]:
    if offset is None:
        return first[i], first[i + 1]
    return i * offset.size, (i + 1) * offset.size


@njit(cache=True)
def _target_of(arc: int, i: int, offset: Array | None, head: Array, reverse: Array) -> tuple[int, int]:
    if offset is None:
        return head[arc], reverse[arc]
    j = i + offset[arc - i * offset.size]
    return j, (j + i + 1) * offset.size - 1 - arc
