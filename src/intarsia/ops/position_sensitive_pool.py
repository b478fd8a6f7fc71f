"""Position-sensitive pooling: each part of a box reads maps of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from intarsia.core import SettingsError
from intarsia.ops._boxes import check_boxes

__all__ = ["position_sensitive_pool"]


def position_sensitive_pool(x: Tensor, boxes: Tensor, *, group: int = 7, size: int = 21, scale: float = 1.0) -> Tensor:
    """Pool each box by average to `size` x `size` bins; those in part (i, j) of `group` x `group` parts read the maps of (i, j).

    Map (k group + i) group + j is part (i, j) of output k. FCIS asks for 7 x 7 parts of 3 x 3 bins; with `size` = `group` this is
    the pooling of R-FCN. `torchvision.ops.ps_roi_pool` has no bins within parts and rounds boxes on the map.

    Corners are rounded to pixels of the image, the last one belonging to the box; a box is at least 0.1 pixels of the map long; a
    bin is what pixels of the map it touches; bins outside the map are zero. Sums over bins come from an integral image in
    float64, so the cost does not depend on the sizes of the boxes.

    Args:
        x: maps (N, K * group^2, H, W).
        boxes: (Q, 5), rows (image, x1, y1, x2, y2) in pixels of the image.
        group: parts per axis.
        size: bins per axis, a multiple of `group`.
        scale: size of the map over that of the image, 1 / stride.

    Returns:
        (Q, K, size, size) in the dtype of the maps.

    Raises:
        SettingsError: other shapes, or numbers that do not divide.

    Source: Li, Qi, Dai, Ji, Wei: Fully Convolutional Instance-aware Semantic Segmentation, 2017, section 3, and its operator for
    rounding; Dai, Li, He, Sun: R-FCN, 2016, equation 1.
    """
    check_boxes(x, boxes)
    channels, height, width = x.shape[1:]
    if size % group or channels % group**2:
        raise SettingsError(
            f"{group} x {group} parts need a multiple of {group} bins and of {group**2} maps; "
            f"{size} bins and {channels} maps were given."
        )
    corners = (boxes[:, 1:].double() + 0.5).floor()
    start, end = corners[:, :2] * scale, (corners[:, 2:] + 1) * scale
    top, bottom = _edges(start[:, 1], end[:, 1], size, height)  # (Q, size) each
    left, right = _edges(start[:, 0], end[:, 0], size, width)
    part = torch.arange(size, device=x.device) * group // size
    output = torch.arange(channels // group**2, device=x.device)[:, None, None]
    channel = (output * group + part[:, None]) * group + part  # (K, size, size)
    integral = torch.nn.functional.pad(x.double().cumsum(-1).cumsum(-2), (1, 0, 1, 0))
    lines = (boxes[:, 0].long()[:, None, None, None] * channels + channel) * (height + 1)

    def corner(row: Tensor, column: Tensor) -> Tensor:
        """The sum over all pixels above and to the left."""
        return integral.take((lines + row[:, None, :, None]) * (width + 1) + column[:, None, None, :])

    total = corner(bottom, right) - corner(top, right) - corner(bottom, left) + corner(top, left)
    area = (bottom - top)[:, None, :, None] * (right - left)[:, None, None, :]
    return (total / area.clamp_min(1)).to(x.dtype)


def _edges(start: Tensor, end: Tensor, bins: int, side: int) -> tuple[Tensor, Tensor]:
    """First pixel of each bin, and the one after its last: (Q, bins) both, within the map."""
    step = ((end - start).clamp_min(0.1) / bins)[:, None]
    place = torch.arange(bins, device=start.device)
    first = (start[:, None] + place * step).floor().long()
    last = (start[:, None] + (place + 1) * step).ceil().long()
    return first.clamp(0, side), last.clamp(0, side)
