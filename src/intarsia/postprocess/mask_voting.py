"""Regions to objects: candidates that overlap vote on the mask of the best of them.

Source: Dai, He, Sun: Instance-aware Semantic Segmentation via Multi-task Network Cascades, CVPR 2016 (inference); Li et al.:
Fully Convolutional Instance-aware Semantic Segmentation, CVPR 2017, which does the same.

Of each class, the candidates without duplicates are objects. The mask of an object is the mean of the decided masks of all
candidates whose boxes overlap its own, weighed by how likely each is of that class, and decided by the same threshold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from intarsia.core import Array, BoolArray, InstanceMasks
from intarsia.postprocess.paste_masks import paste_mask

__all__ = ["decode_mask_voting"]


def decode_mask_voting(
    logits: Array,
    parts: Mapping[str, Array],
    size_hw: tuple[int, int],
    *,
    scale_yx: tuple[float, float] = (1.0, 1.0),
    min_score: float = 0.001,
    nms_threshold: float = 0.3,
    vote_threshold: float = 0.5,
    mask_threshold: float = 0.4,
    max_objects: int = 100,
) -> tuple[InstanceMasks, Array, Array]:
    """Objects of one image from a network's candidates, best score first.

    Objects are voted on one at a time, so memory follows the area of the largest and the number of its voters.

    Args:
        logits: (D, T + 1) class scores of the candidates, 0 being the background.
        parts: "boxes_xyxy" (D, 4) float in pixels of the network's input and "mask_logits" (D, m, m), of this image alone.
        size_hw: of the network's input.
        scale_yx: from there to the image; boxes are enlarged before grids are.
        min_score: objects less likely of their class are left out.
        nms_threshold: greatest IoU of the boxes of two objects of a class.
        vote_threshold: least IoU of boxes from which a candidate votes.
        mask_threshold: least probability of a pixel of a candidate, and least share of the votes for one of the object.
        max_objects: at most so many, of the highest scores.

    Returns:
        masks at `size_hw` times `scale_yx`, without those that cover no pixel; (Q,) class index and (Q,) float32 score.
    """
    height, width = (max(1, round(side * scale)) for side, scale in zip(size_hw, scale_yx, strict=True))
    small = parts["boxes_xyxy"].astype(np.float64)
    boxes, overlap, prob = small * (*scale_yx[::-1], *scale_yx[::-1]), _overlaps(small), _softmax(logits)
    leaders = [
        (index, of)
        for of in range(prob.shape[1])
        for index in _without_duplicates(prob[:, of], overlap, np.flatnonzero(prob[:, of] >= min_score), nms_threshold)
    ]
    leaders = sorted(leaders, key=lambda leader: -prob[leader])[:max_objects]
    kept: list[tuple[int, int]] = []

    def crops() -> Iterator[tuple[tuple[int, int], BoolArray]]:
        for index, of in leaders:
            voters = np.flatnonzero(overlap[index] >= vote_threshold)
            grids = 1 / (1 + np.exp(-parts["mask_logits"][voters].astype(np.float64)))
            pasted = [
                paste_mask(grid, box, (height, width), threshold=mask_threshold)
                for grid, box in zip(grids, boxes[voters], strict=True)
            ]
            corner, crop = _vote(pasted, prob[voters, of], mask_threshold)
            if crop.any():
                kept.append((index, of))
                yield corner, crop

    masks = InstanceMasks.pack_crops(crops(), (height, width))
    rows, classes = np.array(kept, np.int64).reshape(-1, 2).T
    return masks, classes, prob[rows, classes].astype(np.float32)


def _vote(pasted: list[tuple[tuple[int, int], BoolArray]], weights: Array, threshold: float) -> tuple[tuple[int, int], BoolArray]:
    """Where at least `threshold` of the weights is for a pixel, in the smallest window around all crops."""
    covering = [(corner, crop, weight) for (corner, crop), weight in zip(pasted, weights, strict=True) if crop.size]
    if not covering:
        return (0, 0), np.zeros((0, 0), np.bool_)
    top, left = (min(corner[axis] for corner, _, _ in covering) for axis in (0, 1))
    bottom, right = (max(corner[axis] + crop.shape[axis] for corner, crop, _ in covering) for axis in (0, 1))
    share = np.zeros((bottom - top, right - left), np.float32)
    for (y, x), crop, weight in covering:
        share[y - top : y - top + crop.shape[0], x - left : x - left + crop.shape[1]] += np.float32(weight / weights.sum()) * crop
    return (top, left), share >= np.float32(threshold) - 1e-6  # sums of float32


def _without_duplicates(score: Array, overlap: Array, among: Array, threshold: float) -> list[int]:
    """Of the positions `among`, best first, such as overlap no more than the threshold; of equal scores the earlier is better."""
    left = among[np.argsort(-score[among], kind="stable")]
    kept = []
    while len(left):
        kept.append(int(left[0]))
        left = left[1:][overlap[left[0], left[1:]] <= threshold]
    return kept


def _overlaps(boxes: Array) -> Array:
    """(D, D) IoU of boxes; 0 of one without area, with itself too."""
    corner = np.maximum(boxes[:, None, :2], boxes[:, :2])
    both = (np.minimum(boxes[:, None, 2:], boxes[:, 2:]) - corner).clip(0).prod(2)
    area = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1)
    union = area[:, None] + area - both
    overlap: Array = np.divide(both, union, out=np.zeros_like(both), where=union > 0)
    return overlap


def _softmax(logits: Array) -> Array:
    """(D, T) float64 probabilities without that of the background."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True, initial=-np.inf))
    prob: Array = (shifted / shifted.sum(1, keepdims=True))[:, 1:]
    return prob
