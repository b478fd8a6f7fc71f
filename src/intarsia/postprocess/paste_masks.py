"""Detections to objects: the mask grid of each box, enlarged to the pixels of the image and then decided.

Source: He et al., "Mask R-CNN", ICCV 2017, section 3.1 (inference): the m x m output is resized to the box and binarised at 0.5.

A pixel belongs to the object if its centre lies in the box and the grid, read there bilinearly, is at least the threshold; grid
values are probabilities in the middle of their cells, and the outermost reach to the border of the box. So a grid of ones fills
the pixels whose centres lie in the box. Pixel centres are those of detectron2; the older rule, of whole pixels of an enlarged
box, loses up to one. Programs that read zeros beside the grid round off the corners of the box by up to half a cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from intarsia.core import Array, BoolArray, InstanceMasks

__all__ = ["decode_paste_masks", "paste_mask"]

STRIP_PIXELS = 1 << 22
"""Most pixels of a box whose probabilities exist at a time, 16 MB."""


def decode_paste_masks(
    logits: Array,
    parts: Mapping[str, Array],
    size_hw: tuple[int, int],
    *,
    scale_yx: tuple[float, float] = (1.0, 1.0),
    min_score: float = 0.0,
    mask_threshold: float = 0.5,
    max_objects: int = 1000,
) -> tuple[InstanceMasks, Array, Array]:
    """Objects of one image from a detector's final detections, best score first.

    One box at a time is made into pixels, so memory follows the area of the objects and not their number times the image.

    Args:
        logits: not looked at.
        parts: "boxes_xyxy" (D, 4) float in pixels of the network's input, "class_index" (D,), "score" (D,) and "mask_logits"
            (D, m, m), of this image alone.
        size_hw: of the network's input.
        scale_yx: from there to the image; boxes are enlarged before grids are.
        min_score: objects below are left out, beside those that the network left out itself.
        mask_threshold: least probability of a pixel of an object.
        max_objects: at most so many, of the highest scores.

    Returns:
        masks at `size_hw` times `scale_yx`, without those that cover no pixel; (Q,) class index and (Q,) float32 score.
    """
    height, width = (max(1, round(side * scale)) for side, scale in zip(size_hw, scale_yx, strict=True))
    boxes = parts["boxes_xyxy"].astype(np.float64) * (*scale_yx[::-1], *scale_yx[::-1])
    score = parts["score"].astype(np.float32)
    order = np.argsort(-score, kind="stable")
    order = order[score[order] >= min_score][:max_objects]
    kept: list[int] = []

    def crops() -> Iterator[tuple[tuple[int, int], BoolArray]]:
        for index in order.tolist():
            grid = 1 / (1 + np.exp(-parts["mask_logits"][index].astype(np.float64)))
            corner, crop = paste_mask(grid, boxes[index], (height, width), threshold=mask_threshold)
            if crop.any():
                kept.append(index)
                yield corner, crop

    masks = InstanceMasks.pack_crops(crops(), (height, width))
    return masks, parts["class_index"][kept].astype(np.int64), score[kept]


def paste_mask(
    grid: Array, box_xyxy: Array, size_hw: tuple[int, int], *, threshold: float = 0.5
) -> tuple[tuple[int, int], BoolArray]:
    """One grid as ((y, x) of its top left corner, (h, w) bool), for `InstanceMasks.pack_crops`.

    Args:
        grid: (m, n) probabilities.
        box_xyxy: (4,) where the grid lies, in pixels of the image; it may leave the image, which cuts it.
        size_hw: of the image.
        threshold: least probability of a pixel of the object.
    """
    x0, y0, x1, y1 = box_xyxy.tolist()
    top, rows = _weights(y0, y1, size_hw[0], grid.shape[0])
    left, columns = _weights(x0, x1, size_hw[1], grid.shape[1])
    half = (grid @ columns.T).astype(np.float32)
    step = max(1, STRIP_PIXELS // max(1, len(columns)))
    strips = [rows[start : start + step].astype(np.float32) @ half >= threshold for start in range(0, len(rows), step)]
    return (top, left), np.concatenate(strips) if strips else np.zeros((0, len(columns)), np.bool_)


def _weights(low: float, high: float, side: int, cells: int) -> tuple[int, Array]:
    """The first pixel whose centre lies in [low, high], and (pixels, cells) bilinear weights of the cells at each of them."""
    if not high > low:
        return 0, np.zeros((0, cells))
    first = min(max(0, int(np.ceil(low - 0.5))), side)
    last = min(side, int(np.floor(high - 0.5)) + 1)
    place = ((np.arange(first, max(first, last)) + 0.5 - low) * cells / (high - low) - 0.5).clip(0, cells - 1)
    return first, np.clip(1 - np.abs(place[:, None] - np.arange(cells)), 0, None)
