"""RoIAlign: samples of a box on a regular grid, nothing snapped to pixels."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional as F
from torchvision import ops

from intarsia.core import SettingsError
from intarsia.ops._boxes import check_boxes

__all__ = ["roi_align"]


def roi_align(
    x: Tensor,
    boxes: Tensor,
    size_hw: tuple[int, int],
    *,
    scale: float = 1.0,
    samples: int = 2,
    aligned: bool = True,
    reduce: Literal["mean", "max"] = "mean",
) -> Tensor:
    """Divide each box into h x w equal cells, sample each bilinearly on a grid, and take mean or maximum: (Q, C, h, w).

    Args:
        x: maps (N, C, H, W).
        boxes: (Q, 5), rows (image, x1, y1, x2, y2) in pixels of the image, whose first pixel spans 0 to 1.
        size_hw: h and w.
        scale: size of the map over that of the image, 1 / stride.
        samples: per cell and axis; 0: as many as the cell has pixels of the map, with the mean only.
        aligned: the value of a pixel of the map is that at its centre, half a pixel behind its corner. False, as in the first
            implementations, takes it for that at its corner, which moves everything by half a pixel of the map, and boxes have
            sides of one pixel of the map or more.
        reduce: of the samples of a cell.

    Raises:
        SettingsError: other shapes, less than no sample, or the maximum of an unknown number of them.

    Source: He, Gkioxari, Dollar, Girshick: Mask R-CNN, 2017, section 3; computed by torchvision.
    """
    check_boxes(x, boxes)
    if samples < (reduce == "max"):
        raise SettingsError(
            f"RoIAlign takes {reduce} of {samples} samples; give 1 or more, or 0 for as many as a cell has pixels."
        )
    boxes = boxes.to(x.dtype)
    if reduce == "mean":
        mean: Tensor = ops.roi_align(x, boxes, size_hw, scale, samples or -1, aligned)
        return mean
    fine = ops.roi_align(x, boxes, (samples * size_hw[0], samples * size_hw[1]), scale, 1, aligned)
    return F.max_pool2d(fine, samples)
