"""RoIWarp: a bilinear crop of fixed size, differentiable in the map and in the box."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia.ops._boxes import check_boxes

__all__ = ["roi_warp"]


def roi_warp(x: Tensor, boxes: Tensor, size_hw: tuple[int, int], *, scale: float = 1.0) -> Tensor:
    """Sample each box at h x w places: (Q, C, h, w); gradients reach the corners of the box.

    Column j of the result lies at x1 + (x2 - x1) j / w of the map, in pixels of the map counted from the centre of its first one,
    and rows alike. Outside there are zeros. MNC pools the result, of twice the size it needs, by maximum.

    Rounding, which stops the gradient, is no part of this. For the RoIWarp of Mask R-CNN's comparison, which snaps to the map
    as RoIPool does, give boxes that are multiples of 1 / `scale`.

    Args:
        x: maps (N, C, H, W).
        boxes: (Q, 5), rows (image, x1, y1, x2, y2) in pixels of the image.
        size_hw: h and w.
        scale: size of the map over that of the image, 1 / stride.

    Raises:
        SettingsError: other shapes.

    Source: Dai, He, Sun: Instance-aware Semantic Segmentation via Multi-task Network Cascades, 2016, equations 5 to 8.
    """
    check_boxes(x, boxes)
    image, (x1, y1, x2, y2) = boxes[:, 0], (scale * boxes[:, 1:].to(x.dtype)).unbind(1)
    columns, rows = (
        (start[:, None] + (end - start)[:, None] * torch.arange(count, device=x.device) / count, side)
        for start, end, count, side in ((x1, x2, size_hw[1], x.shape[3]), (y1, y2, size_hw[0], x.shape[2]))
    )
    along, down = ((2 * place + 1) / side - 1 for place, side in (columns, rows))  # (Q, w) and (Q, h), -1 to 1 over the map
    grid = torch.stack([along[:, None].expand(-1, size_hw[0], -1), down[:, :, None].expand(-1, -1, size_hw[1])], dim=-1)
    made = x.new_zeros(len(boxes), x.shape[1], *size_hw)
    for number, one in enumerate(x):
        mine = (image == number).nonzero()[:, 0]
        if len(mine):  # all boxes of an image below each other, so that the image is not copied for each
            cut = F.grid_sample(one[None], grid[mine].flatten(0, 1)[None], align_corners=False)[0]
            made = made.index_copy(0, mine, cut.reshape(len(cut), len(mine), *size_hw).transpose(0, 1))
    return made
