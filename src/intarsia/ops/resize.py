"""Bilinear resizing with one rule for all networks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["resize_bilinear"]


def resize_bilinear(x: Tensor, size_hw: Sequence[int], *, align_corners: bool = False) -> Tensor:
    """Resize maps (N, C, h, w) to (N, C, H, W) by bilinear interpolation, without antialiasing.

    Half-precision maps are interpolated in float32 and returned in their own dtype.

    Args:
        x: maps of any floating dtype.
        size_hw: H and W.
        align_corners: False: pixel i has its centre at (i + 0.5) / size of the side, so both images cover the same area.
            True: the centres of the corner pixels coincide, as in Caffe's `Interp` and DeepLab's TensorFlow code.
    """
    working = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    return F.interpolate(working, list(size_hw), mode="bilinear", align_corners=align_corners).to(x.dtype)
