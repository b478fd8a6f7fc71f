"""The cheapest cut of any graph between source and sink, exact; for superpixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from intarsia.core import Array, SettingsError

__all__ = ["Arcs", "arrange_arcs", "check_capacities", "graph_cut"]


class Arcs(NamedTuple):
    """The edges of a graph as arcs both ways, those that leave a node beside each other.

    first: (N + 1,) int32, where the arcs of each node begin.
    head: (2 E,) int32 node that an arc goes to.
    reverse: (2 E,) int32 number of the arc of the other direction.
    forward: (E,) int32 number of each edge's arc from its first to its second node.
    """

    first: Array
    head: Array
    reverse: Array
    forward: Array


def arrange_arcs(edges: Array, nodes: int) -> Arcs:
    """Sort the arcs of (E, 2) edges between `nodes` nodes by the node they leave.

    Raises:
        SettingsError: an edge to a node that there is not.
    """
    if edges.ndim != 2 or edges.shape[1] != 2 or edges.dtype.kind not in "iu":
        raise SettingsError(f"Edges are {edges.dtype} of shape {edges.shape}; integers (E, 2) are expected.")
    if edges.size and (edges.min() < 0 or edges.max() >= nodes):
        raise SettingsError(f"Edges join nodes {edges.min()} to {edges.max()}, and there are {nodes}, numbered from 0.")
    tails, count = edges.T.reshape(-1), len(edges)
    order = np.argsort(tails, kind="stable")
    place = np.empty(2 * count, np.int32)
    place[order] = np.arange(2 * count, dtype=np.int32)
    first = np.zeros(nodes + 1, np.int32)
    np.cumsum(np.bincount(tails, minlength=nodes), out=first[1:])
    head, reverse = np.empty_like(place), np.empty_like(place)
    head[place] = edges[:, ::-1].T.reshape(-1)
    reverse[place] = np.roll(place, count)
    return Arcs(first, head, reverse, place[:count])


def graph_cut(
    source_caps: Array, sink_caps: Array, edges: Array | Arcs, caps: Array, back_caps: Array | None = None
) -> tuple[float, Array]:
    """Cut a graph; what is paid is as in `grid_cut`.

    Args:
        source_caps: (N,) from the source to each node, 0 or more.
        sink_caps: (N,) from each node to the sink.
        edges: (E, 2) integer nodes, or what `arrange_arcs` made of them, for many cuts of one graph.
        caps: (E,) from the first node of each edge to its second.
        back_caps: (E,) the other way; as `caps` if not given.

    Returns:
        The flow and (N,) bool, True on the sink side; of several cheapest cuts the one with the fewest True.

    Raises:
        SettingsError: shapes that do not fit each other; capacities that are negative or not finite.
    """
    from intarsia.classical._max_flow import SINK, max_flow

    arcs = edges if isinstance(edges, Arcs) else arrange_arcs(edges, len(source_caps))
    count = len(arcs.forward)
    capacity = np.empty(2 * count)
    capacity[arcs.forward] = check_capacities("caps", caps, (count,))
    back = caps if back_caps is None else check_capacities("back_caps", back_caps, (count,))
    capacity[arcs.reverse[arcs.forward]] = back
    source = check_capacities("source_caps", source_caps, (len(arcs.first) - 1,))
    sink = check_capacities("sink_caps", sink_caps, (len(arcs.first) - 1,))
    flow, tree = max_flow(capacity, source - sink, (None, arcs.first, arcs.head, arcs.reverse))
    return float(flow + np.minimum(source, sink).sum()), tree == SINK


def check_capacities(name: str, caps: Array, shape: tuple[int, ...]) -> Array:
    """Capacities as float64.

    Raises:
        SettingsError: another shape, or a value that is negative or not finite.
    """
    if caps.shape != shape:
        raise SettingsError(f"{name} has shape {caps.shape}; {shape} is expected.")
    values = caps.astype(np.float64)
    lowest = values.min(initial=0)
    if lowest < 0:
        raise SettingsError(f"{name} holds {lowest:g}; capacities are 0 or more. Add a constant to both terminals of the pixel.")
    if not np.isfinite(values.sum()):
        raise SettingsError(
            f"{name} holds a value that is not finite. To tie a pixel, give more than all other capacities together."
        )
    return values
