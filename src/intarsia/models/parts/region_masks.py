"""Masks of objects as regions see them: on a grid of cells in a box.

Dai, He, Sun: Instance-aware Semantic Segmentation via Multi-task Network Cascades. CVPR 2016.

    masks (Q, H, W), boxes (P, 4) -> share of each cell that the object covers (P, m, m) -> IoU with a predicted grid (P,)

Source: section 3.2. The authors resize masks to the grid and grids to the box; here both meet on the grid, whose cells are
counted with the share of them that is covered.
"""

from __future__ import annotations

import torch
from torch import Tensor

from intarsia.ops.roi_align import roi_align

__all__ = ["grid_overlap", "masks_in_boxes"]


def masks_in_boxes(masks: Tensor, place: Tensor, boxes_xyxy: Tensor, side: int) -> Tensor:
    """(P, side, side) float32, the share of each cell of a box that its object covers; to rounding where cells are whole pixels.

    Args:
        masks: (Q, H, W) of 0 and 1.
        place: (P,) which of them each box looks at.
        boxes_xyxy: (P, 4) pixels.
        side: cells per axis.
    """
    used, index = torch.unique(place, return_inverse=True)  # only these are made floats
    boxes = torch.cat([index[:, None].float(), boxes_xyxy.detach().float()], 1)
    return roi_align(masks[used, None].float(), boxes, (side, side), samples=0)[:, 0]


def grid_overlap(grid: Tensor, covered: Tensor, boxes_xyxy: Tensor, area: Tensor) -> Tensor:
    """(P,) IoU of predicted grids with whole objects, also with what of them lies outside the box.

    Args:
        grid: (P, m, m) bool.
        covered: (P, m, m) of `masks_in_boxes`.
        boxes_xyxy: (P, 4).
        area: (P,) pixels of the objects, at least 1.
    """
    cell = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).detach().prod(1) / grid[0].numel() if len(grid) else area
    both = cell * (grid * covered).sum((1, 2))
    return both / (cell * grid.sum((1, 2)) + area - both)
