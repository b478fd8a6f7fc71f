"""The cheapest cut of a grid of pixels between source and sink, exact."""

from __future__ import annotations

import numpy as np

from intarsia.classical._graph_cut import check_capacities
from intarsia.core import Array, SettingsError

__all__ = ["grid_cut"]


def grid_cut(
    source_caps: Array,
    sink_caps: Array,
    right_caps: Array,
    down_caps: Array,
    down_right_caps: Array | None = None,
    down_left_caps: Array | None = None,
    *,
    left_caps: Array | None = None,
    up_caps: Array | None = None,
    up_left_caps: Array | None = None,
    up_right_caps: Array | None = None,
) -> tuple[float, Array]:
    """Cut a grid of pixels, each joined to 4 neighbours, or to 8 where diagonal capacities are given.

    A pixel pays `source_caps` where it is True (on the sink side) and `sink_caps` where it is False; a pair whose pixels differ
    pays its forward capacity if the first is False, its backward one if the first is True.

    Args:
        source_caps: (H, W) from the source to each pixel, 0 or more; a pixel is tied by more than all else together.
        sink_caps: (H, W) from each pixel to the sink.
        right_caps: (H, W - 1) from (y, x) to (y, x + 1).
        down_caps: (H - 1, W) from (y, x) to (y + 1, x).
        down_right_caps: (H - 1, W - 1) from (y, x) to (y + 1, x + 1).
        down_left_caps: (H - 1, W - 1) from (y, x + 1) to (y + 1, x).
        left_caps: (H, W - 1) from (y, x + 1) to (y, x); as `right_caps` if not given. The following likewise.
        up_caps: (H - 1, W).
        up_left_caps: (H - 1, W - 1), reverse of `down_right_caps`.
        up_right_caps: (H - 1, W - 1), reverse of `down_left_caps`.

    Returns:
        The flow, which is what the cut costs (exact for integer capacities with a sum below 2^53), and (H, W) bool, True on the
        sink side. Of several cheapest cuts it is the one with the fewest True.

    Raises:
        SettingsError: shapes that do not fit each other; capacities that are negative or not finite.
    """
    from intarsia.classical._max_flow import SINK, max_flow

    if source_caps.ndim != 2:
        raise SettingsError(f"source_caps has shape {source_caps.shape}; (H, W) is expected.")
    height, width = source_caps.shape
    pairs = [("right", 0, 1, right_caps, left_caps), ("down", 1, 0, down_caps, up_caps)]
    if down_right_caps is not None or down_left_caps is not None:
        none = np.zeros((max(height - 1, 0), max(width - 1, 0)))
        pairs.insert(1, ("down_left", 1, -1, none if down_left_caps is None else down_left_caps, up_right_caps))
        pairs.append(("down_right", 1, 1, none if down_right_caps is None else down_right_caps, up_left_caps))
    degree = 2 * len(pairs)
    offset = np.zeros(degree, np.int32)
    capacity = np.zeros((height + 2, width + 2, degree))
    for number, (name, dy, dx, there, back) in enumerate(pairs, len(pairs)):
        step = dy * (width + 2) + dx
        offset[number], offset[degree - 1 - number] = step, -step
        shape = (max(height - dy, 0), max(width - abs(dx), 0))
        y, x = 1, 1 + (dx < 0)
        tail = capacity[y : y + shape[0], x : x + shape[1], number]
        head = capacity[y + dy : y + dy + shape[0], x + dx : x + dx + shape[1], degree - 1 - number]
        tail[:] = check_capacities(f"{name}_caps", there, shape)
        head[:] = tail if back is None else check_capacities(f"the reverse of {name}_caps", back, shape)
    source = check_capacities("source_caps", source_caps, (height, width))
    sink = check_capacities("sink_caps", sink_caps, (height, width))
    terminal = np.zeros((height + 2, width + 2))
    terminal[1:-1, 1:-1] = source - sink
    unused = np.zeros(0, np.int32)
    flow, tree = max_flow(capacity.reshape(-1), terminal.reshape(-1), (offset, unused, unused, unused))
    return float(flow + np.minimum(source, sink).sum()), tree.reshape(height + 2, width + 2)[1:-1, 1:-1] == SINK
