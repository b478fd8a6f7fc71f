"""Affine layers: the dense flow between frames as a few layers, each moving by an affine map of its own.

Wang, Adelson, "Representing Moving Images with Layers", IEEE Transactions on Image Processing 1994.

Idea: an affine motion (6 numbers) is fitted to the flow in each block of a grid; blocks that it does not explain lie across
layers and are left out. Clusters of the others are hypotheses; each pixel takes the motion that predicts its flow best, the
motions are fitted again to their pixels, and so on; motions that say the same of their pixels are one.

Source: section V. Clusters compare motions by the root mean square difference of their flow over the whole image, which is the
Euclidean distance of parameters about the centre, scaled by the spread of rows and columns. A frame begins with the motions of
the one before, whose numbers its layers keep by overlap.
Deviation: pixels that no motion explains take the nearest at the end, where the paper compares images; the flow is OpenCV's (DIS:
Kroeger et al. 2016), smoothed by a median of each layer map.
Limits: the number of layers is found, up to `layers` at the start; depth with much parallax is not affine.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from intarsia.classical._motion import Flow, dense_flow
from intarsia.classical._pixels import as_gray
from intarsia.core import Array, SettingsError

__all__ = ["Layers", "affine_layers", "layers_of_flow"]

RESULT = "regions"
SEQUENCE = True


class Layers(NamedTuple):
    """ids: (H, W) int32 from 0. motions: (K, 2, 3), so that (dx, dy) = motion @ (1, x, y), x and y in pixels from the corner."""

    ids: Array
    motions: Array


def affine_layers(
    frames: Array,
    *,
    layers: int = 6,
    block: int = 20,
    merge: float = 0.75,
    tolerance: float = 1.0,
    min_share: float = 0.01,
    smooth: int = 9,
    flow: Flow = "dis",
    rng: int = 0,
) -> Array:
    """Part frames into layers of affine motion.

    Args:
        frames: (T, H, W, C), any range of their dtype; colour is read as luma. The last frame is compared with the one before.
        layers: hypotheses at the start, at most.
        block: side of the blocks in which motions are first fitted, in pixels.
        merge: layers whose motions differ by less over their pixels are one, in pixels per frame.
        tolerance: a flow further from all motions is not used to fit them, in pixels per frame.
        min_share: layers of a smaller share of the image are dropped.
        smooth: side of the median over each layer map, in pixels; 0 leaves it.
        flow: how the flow is found.
        rng: seed of the clusters.

    Returns:
        (T, H, W) int32 layer numbers; a layer keeps its number from frame to frame. All 0 for a single frame.

    Raises:
        SettingsError: layers or block below 1, or a negative number.
    """
    if min(layers, block) < 1 or min(merge, tolerance, min_share, smooth) < 0:
        raise SettingsError(
            f"layers is {layers}, block {block}, merge {merge}, tolerance {tolerance}, min_share {min_share}, smooth {smooth}; "
            "the first two are 1 or more, none is negative."
        )
    grays = [np.rint(as_gray(frame) * 255).astype(np.uint8) for frame in frames]
    all_ids: list[Array] = []
    motions = None
    for number, gray in enumerate(grays):
        if len(grays) == 1:
            return np.zeros(frames.shape[:3], np.int32)
        last = number == len(grays) - 1
        moved = -dense_flow(gray, grays[-2], flow) if last else dense_flow(gray, grays[number + 1], flow)
        ids, motions = layers_of_flow(
            moved, layers=layers, block=block, merge=merge, tolerance=tolerance, min_share=min_share, start=motions, rng=rng
        )
        ids = _smooth(ids, len(motions), smooth)
        all_ids.append(_numbered_as(all_ids[-1], ids) if all_ids else ids)
    return np.stack(all_ids)


def layers_of_flow(
    flow: Array,
    *,
    layers: int = 6,
    block: int = 20,
    merge: float = 0.75,
    tolerance: float = 1.0,
    min_share: float = 0.01,
    iterations: int = 20,
    start: Array | None = None,
    rng: int = 0,
) -> Layers:
    """Layers of one flow (H, W, 2), (dx, dy) in pixels; `start` are motions (K, 2, 3) that may be among them.

    The largest layer comes first.
    """
    height, width = flow.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float64)
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    spread = np.array([max(x.std(), 1e-9), max(y.std(), 1e-9)])
    basis = np.stack([np.ones_like(x), (x - center[0]) / spread[0], (y - center[1]) / spread[1]], 2).reshape(-1, 3)
    target = flow.reshape(-1, 2).astype(np.float64)
    scaled = _hypotheses(basis, target, (height, width), layers, block, tolerance, rng)
    if start is not None:
        here = start[:, :, 1:] * spread
        offset = start[:, :, 0] + start[:, :, 1:] @ center
        scaled = np.concatenate([np.concatenate([offset[..., None], here], 2).transpose(0, 2, 1), scaled])
    ids = np.full(len(basis), -1)
    for _ in range(iterations):
        before = ids
        nearest, misses = _nearest(basis, target, scaled)
        ids = np.where(misses <= tolerance, nearest, -1)
        refitted = _refit(basis, target, ids, scaled, merge, max(3, min_share * len(basis)))
        settled = len(refitted) == len(scaled) and np.array_equal(ids, before)
        scaled = refitted
        if settled:
            break
    nearest, _ = _nearest(basis, target, scaled)
    order = np.argsort(-np.bincount(nearest, minlength=len(scaled)), kind="stable")
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order))
    slopes = scaled[order].transpose(0, 2, 1)
    slopes = np.concatenate([slopes[..., :1], slopes[..., 1:] / spread], 2)
    slopes[..., 0] -= slopes[..., 1:] @ center
    return Layers(rank[nearest].reshape(height, width), slopes)


def _hypotheses(basis: Array, target: Array, size: tuple[int, int], layers: int, block: int, tolerance: float, rng: int) -> Array:
    """(K, 3, 2) cluster means of the affine motions of blocks that such a motion explains; of the whole image if of none."""
    from sklearn.cluster import KMeans

    y, x = np.divmod(np.arange(len(basis)), size[1])
    number = (y // block) * (size[1] // block + 1) + x // block
    motions = []
    for pixels in np.split(np.argsort(number, kind="stable"), np.flatnonzero(np.diff(np.sort(number))) + 1):
        if len(pixels) >= max(6, block**2 // 2):
            motion = np.linalg.lstsq(basis[pixels], target[pixels], rcond=None)[0]
            if np.square(target[pixels] - basis[pixels] @ motion).sum(1).mean() <= (tolerance / 2) ** 2:
                motions.append(motion)
    if not motions:
        return np.linalg.lstsq(basis, target, rcond=None)[0][None]
    points = np.stack(motions).reshape(len(motions), 6)
    different = len(np.unique(points.round(9), axis=0))
    return np.asarray(KMeans(min(layers, different), n_init=3, random_state=rng).fit(points).cluster_centers_).reshape(-1, 3, 2)


def _nearest(basis: Array, target: Array, motions: Array) -> tuple[Array, Array]:
    """(N,) the motion that predicts the flow best, and by how many pixels it misses it."""
    misses = np.stack([np.square(target - basis @ motion).sum(1) for motion in motions])
    return misses.argmin(0), np.sqrt(misses.min(0))


def _refit(basis: Array, target: Array, ids: Array, motions: Array, merge: float, least: float) -> Array:
    """Motions fitted to their pixels; without those of fewer than `least`, and those that say the same as a larger one.

    Two say the same if they differ by less than `merge` over the pixels of the smaller, root mean square.
    """
    sizes = np.bincount(ids[ids >= 0], minlength=len(motions))
    fitted: list[Array] = []
    for number in np.argsort(-sizes, kind="stable")[: max(1, (sizes >= least).sum())]:
        own = np.flatnonzero(ids == number)
        motion = np.linalg.lstsq(basis[own], target[own], rcond=None)[0] if len(own) else motions[number]
        apart = [np.sqrt(np.square(basis[own] @ (motion - other)).sum(1).mean()) for other in fitted]
        if not apart or min(apart) >= merge:
            fitted.append(motion)
    return np.stack(fitted)


def _smooth(ids: Array, count: int, side: int) -> Array:
    """Each pixel takes the layer that is most frequent in the square around it."""
    from scipy.ndimage import uniform_filter

    if side < 2 or count < 2:
        return ids
    shares = np.stack([uniform_filter((ids == number).astype(np.float32), side, mode="nearest") for number in range(count)])
    return np.asarray(shares.argmax(0), np.int32)


def _numbered_as(before: Array, ids: Array) -> Array:
    """Numbers of the frame before for the layers that overlap most, new ones for the rest."""
    from scipy.optimize import linear_sum_assignment

    count, known = int(ids.max()) + 1, int(before.max()) + 1
    overlap = np.bincount((ids.astype(np.int64) * known + before).ravel(), minlength=count * known).reshape(count, known)
    number_of = np.full(count, -1)
    for new, old in zip(*linear_sum_assignment(-overlap), strict=True):
        if overlap[new, old]:
            number_of[new] = old
    fresh = np.flatnonzero(number_of < 0)
    unused = np.setdiff1d(np.arange(known + count), number_of)
    number_of[fresh] = unused[: len(fresh)]
    return np.asarray(number_of[ids], np.int32)
