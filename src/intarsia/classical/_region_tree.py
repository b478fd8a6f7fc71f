"""Regions of all sizes that may be objects: small ones are merged pair by pair, and all that there were on the way are proposed.

Uijlings, van de Sande, Gevers, Smeulders: Selective Search for Object Recognition. IJCV 2013.

Idea: an object may differ from what is around it by its colour, or only be what fills a box, and it may have any size. So the two
most similar neighbours are merged again and again, and each region in the tree that comes of it is a proposal. Another measure of
similarity makes another tree, and other proposals from the same small regions.

Source: section 3, with colour, size and fill as there, from the small regions of Felzenszwalb and Huttenlocher. Texture and other
colour spaces are left out.
"""

from __future__ import annotations

import warnings
from heapq import heapify, heappop, heappush

import numpy as np

from intarsia.classical._region_graph import region_edges
from intarsia.classical.felzenszwalb import felzenszwalb
from intarsia.core import Array, BoolArray

__all__ = ["merge_regions", "propose_regions"]

BINS = 25
"""Of the histogram of each channel."""
MEASURES = ((1.0, 1.0, 1.0), (1.0, 0.0, 0.0))
"""Weights of colour, size and fill, for a tree each."""


def propose_regions(
    image: Array, *, scale: float = 100.0, sigma: float = 0.8, min_size: int = 50, limit: int = 2000
) -> tuple[Array, BoolArray]:
    """Regions of an image that may be objects, each a union of small ones.

    Args:
        image: (H, W, C) of any range, which is stretched to all there is; at least one pixel.
        scale: of the small regions, see `felzenszwalb`.
        sigma: likewise.
        min_size: likewise.
        limit: at most so many proposals; the smallest are left out.

    Returns:
        (H, W) int32 numbers 0..L - 1 of small regions, and (R, L) bool, which of them each proposal holds: none twice, large ones
        first.
    """
    pixels = image.astype(np.float32)
    low, high = float(pixels.min()), float(pixels.max())
    pixels = (pixels - low) / max(high - low, 1e-12)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Got image with third dimension", RuntimeWarning
        )  # of scikit-image: many bands are meant
        ids = felzenszwalb(pixels, scale=scale, sigma=sigma, min_size=min_size)
    members = np.unique(np.concatenate([merge_regions(ids, pixels, *weights) for weights in MEASURES]), axis=0)
    area = members @ np.bincount(ids.ravel())
    return ids, members[np.argsort(-area, kind="stable")[:limit]]


def merge_regions(ids: Array, pixels: Array, colour: float, size: float, fill: float) -> BoolArray:
    """All regions of the tree that merging the most similar neighbours makes.

    With h the histograms of a region, all channels together of sum 1, n its pixels, N those of the image and B the smallest box
    around both, the similarity of two regions is

        colour sum min(h_a, h_b) + size (1 - (n_a + n_b) / N) + fill (1 - (|B| - n_a - n_b) / N)

    and of equally similar pairs the one of the lower numbers is merged first.

    Args:
        ids: (H, W) region numbers 0..L - 1.
        pixels: (H, W, C) in [0, 1].
        colour: weight.
        size: likewise.
        fill: likewise.

    Returns:
        (M, L) bool, the members of each region: the L themselves, then those that were made, in their order.
    """
    count = int(ids.max()) + 1
    histogram, area, box = (np.concatenate([start, np.zeros_like(start)])[:-1] for start in _features(ids, pixels))
    members = np.concatenate([np.eye(count, dtype=np.bool_), np.zeros((count, count), np.bool_)])[:-1]
    pairs = region_edges(ids)[0]
    near: list[set[int]] = [set() for _ in area]
    for one, other in pairs.tolist():
        near[one].add(other)
        near[other].add(one)

    def similarity(one: Array, other: Array) -> Array:
        common = np.minimum(histogram[one], histogram[other]).sum(-1)
        both = area[one] + area[other]
        corners = np.minimum(box[one, :2], box[other, :2]), np.maximum(box[one, 2:], box[other, 2:])
        gap = (corners[1] - corners[0]).prod(-1) - both
        value: Array = colour * common + size * (1 - both / ids.size) + fill * (1 - gap / ids.size)
        return value

    heap = list(zip((-similarity(*pairs.T)).tolist(), *pairs.T.tolist(), strict=True)) if len(pairs) else []
    heapify(heap)
    gone = [False] * len(area)
    new = count
    while heap:
        _, one, other = heappop(heap)
        if gone[one] or gone[other]:
            continue
        gone[one] = gone[other] = True
        members[new] = members[one] | members[other]
        area[new] = area[one] + area[other]
        histogram[new] = (area[one] * histogram[one] + area[other] * histogram[other]) / area[new]
        box[new] = *np.minimum(box[one, :2], box[other, :2]), *np.maximum(box[one, 2:], box[other, 2:])
        near[new] = {region for region in near[one] | near[other] if not gone[region]}
        around = np.array(sorted(near[new]), np.int64)
        for region, value in zip(around.tolist(), similarity(around, np.full_like(around, new)).tolist(), strict=True):
            near[region].add(new)
            heappush(heap, (-value, region, new))
        new += 1
    return members[:new]


def _features(ids: Array, pixels: Array) -> tuple[Array, Array, Array]:
    """(L, C BINS) histograms, (L,) pixels and (L, 4) boxes (y0, x0, y1, x1), half-open, of each region."""
    count, channels = int(ids.max()) + 1, pixels.shape[2]
    bins = np.minimum((pixels * BINS).astype(np.int64), BINS - 1) + BINS * np.arange(channels)
    place = ids[..., None].astype(np.int64) * (BINS * channels) + bins
    histogram = np.bincount(place.ravel(), minlength=count * BINS * channels).reshape(count, -1).astype(np.float64)
    area = np.bincount(ids.ravel())
    rows, columns = np.indices(ids.shape).reshape(2, -1)
    box = np.empty((count, 4), np.int64)
    for side, values in enumerate((rows, columns)):
        low, high = np.full(count, ids.size), np.zeros(count, np.int64)
        np.minimum.at(low, ids.ravel(), values)
        np.maximum.at(high, ids.ravel(), values + 1)
        box[:, side], box[:, side + 2] = low, high
    return histogram / (area[:, None] * channels), area, box
