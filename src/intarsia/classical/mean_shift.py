"""Mean shift: pixels climb to the modes of their density in colour and position, and those of one mode are a region.

Comaniciu, Meer, "Mean Shift: A Robust Approach Toward Feature Space Analysis", PAMI 2002.

Idea: every pixel moves to the mean of the pixels within a window in place and colour until it stays; flat areas take the colour
of their mode and edges stand. Neighbours whose modes are close in colour are joined to regions, then regions closer than that
to a neighbour are fused, nearest pair first, and those too small are given to the neighbour of the nearest colour.

Source: sections 3 and 4; the filtering is OpenCV's, joining, fusion and pruning are ours.
Limits: colour images are filtered in 8 bits and in RGB; cost grows with the window.
"""

from __future__ import annotations

import heapq

import numpy as np

from intarsia.classical._pixels import as_byte_color, as_lab
from intarsia.core import Array, SettingsError

__all__ = ["fuse_regions", "mean_shift"]

RESULT = "regions"


def mean_shift(image: Array, *, spatial: float = 8.0, color: float = 16.0, fuse: float = 6.0, min_size: int = 50) -> Array:
    """Cut an image into regions.

    Args:
        image: (H, W, C), any range of its dtype.
        spatial: radius of the window in pixels.
        color: radius of the window in colour, in units of 1/255.
        fuse: neighbours whose mean colours differ by less, in CIELAB, become one region.
        min_size: regions of fewer pixels go to the neighbour of the nearest colour.

    Returns:
        (H, W) int32 region numbers from 0, each region connected.

    Raises:
        SettingsError: a window of no size, or a negative setting.
    """
    import cv2

    if spatial <= 0 or color <= 0 or min(fuse, min_size) < 0:
        raise SettingsError(
            f"spatial is {spatial}, color {color}, fuse {fuse} and min_size {min_size}; the windows are larger than 0 and the "
            "others not negative."
        )
    filtered = cv2.pyrMeanShiftFiltering(as_byte_color(image), spatial, color, maxLevel=0)
    lab = as_lab(filtered)
    return fuse_regions(_joined(lab, color * 100 / 255), lab, distance=fuse, min_size=min_size)


def _joined(colors: Array, distance: float) -> Array:
    """(H, W) numbers of the components of 4-neighbours whose colours differ by less than `distance`."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    height, width = colors.shape[:2]
    number = np.arange(height * width).reshape(height, width)
    down = ((colors[1:] - colors[:-1]) ** 2).sum(2) < distance**2
    right = ((colors[:, 1:] - colors[:, :-1]) ** 2).sum(2) < distance**2
    one = np.concatenate([number[:-1][down], number[:, :-1][right]])
    other = np.concatenate([number[1:][down], number[:, 1:][right]])
    graph = coo_array((np.ones(len(one), np.bool_), (one, other)), (height * width,) * 2)
    return np.asarray(connected_components(graph, directed=False)[1].reshape(height, width), np.int32)


def fuse_regions(ids: Array, colors: Array, *, distance: float, min_size: int = 0) -> Array:
    """Join neighbouring regions, the pair of nearest mean colours first, until all neighbours are `distance` apart.

    Then regions below `min_size` are joined to the neighbour of the nearest colour, the smallest first.

    Args:
        ids: (H, W) region numbers from 0 without gaps.
        colors: (H, W, C), such as CIELAB.
        distance: between mean colours.
        min_size: in pixels.

    Returns:
        (H, W) int32 region numbers from 0, in the order of their first pixels.
    """
    count = int(ids.max()) + 1
    sizes = np.bincount(ids.ravel(), minlength=count).astype(np.float64)
    means = (
        np.stack([np.bincount(ids.ravel(), colors[..., c].ravel(), count) for c in range(colors.shape[2])], 1) / sizes[:, None]
    )
    pairs = np.concatenate(
        [np.stack([ids[:-1], ids[1:]], -1).reshape(-1, 2), np.stack([ids[:, :-1], ids[:, 1:]], -1).reshape(-1, 2)]
    )
    neighbours: list[set[int]] = [set() for _ in range(count)]
    for a, b in np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], 1), axis=0).tolist():
        neighbours[a].add(b)
        neighbours[b].add(a)
    owner = np.arange(count)
    version = np.zeros(count, np.int64)

    def gap(a: int, b: int) -> float:
        return float(np.sqrt(((means[a] - means[b]) ** 2).sum()))

    def join(a: int, b: int) -> None:
        """Region b becomes part of region a."""
        means[a] = (sizes[a] * means[a] + sizes[b] * means[b]) / (sizes[a] + sizes[b])
        sizes[a] += sizes[b]
        owner[b] = a
        version[[a, b]] += 1
        for other in neighbours[b]:
            neighbours[other].discard(b)
            if other != a:
                neighbours[other].add(a)
                neighbours[a].add(other)
        neighbours[b].clear()

    queue = [(gap(a, b), a, b, 0) for a in range(count) for b in neighbours[a] if a < b]
    heapq.heapify(queue)
    while queue and queue[0][0] < distance:
        _, a, b, when = heapq.heappop(queue)
        if owner[a] != a or owner[b] != b or version[a] + version[b] != when:
            continue  # one of them has changed since
        join(a, b)
        for other in neighbours[a]:
            low, high = min(a, other), max(a, other)
            heapq.heappush(queue, (gap(a, other), low, high, int(version[a] + version[other])))

    small = [(sizes[a], a) for a in range(count) if owner[a] == a and sizes[a] < min_size]
    heapq.heapify(small)
    while small:
        size, a = heapq.heappop(small)
        if owner[a] != a or sizes[a] != size or not neighbours[a]:
            continue
        into = min(neighbours[a], key=lambda other: (gap(a, other), other))
        join(into, a)
        if sizes[into] < min_size:
            heapq.heappush(small, (sizes[into], into))

    for a in range(count):  # follow the chain of owners to its end
        while owner[owner[a]] != owner[a]:
            owner[a] = owner[owner[a]]
    final = owner[ids]
    _, first, inverse = np.unique(final, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.asarray(rank[inverse].reshape(ids.shape))
