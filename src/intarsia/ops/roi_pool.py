"""RoIPool: the maxima of a box's cells, box and cells snapped to whole pixels of the map."""

from __future__ import annotations

from torch import Tensor
from torchvision import ops

from intarsia.ops._boxes import check_boxes

__all__ = ["roi_pool"]


def roi_pool(x: Tensor, boxes: Tensor, size_hw: tuple[int, int], *, scale: float = 1.0) -> Tensor:
    """Pool each box to h x w cells by maximum: (Q, C, h, w); cells without a pixel are zero.

    Corners are rounded to pixels of the map, the last one belonging to the box, and the edges of cells are rounded outwards, so
    that cells overlap: two quantisations, of up to half a pixel of the map each.

    Args:
        x: maps (N, C, H, W).
        boxes: (Q, 5), rows (image, x1, y1, x2, y2) in pixels of the image.
        size_hw: h and w.
        scale: size of the map over that of the image, 1 / stride.

    Raises:
        SettingsError: other shapes.

    Source: Girshick: Fast R-CNN, 2015, section 2.1; computed by torchvision.
    """
    check_boxes(x, boxes)
    pooled: Tensor = ops.roi_pool(x, boxes.to(x.dtype), size_hw, scale)
    return pooled
