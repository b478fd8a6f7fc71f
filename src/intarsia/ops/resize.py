"""Bilinear and bicubic resizing with one rule for all networks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["resize_bicubic", "resize_bilinear"]


def resize_bilinear(x: Tensor, size_hw: Sequence[int], *, align_corners: bool = False) -> Tensor:
    """Resize maps (N, C, h, w) to (N, C, H, W) by bilinear interpolation, without antialiasing.

    Half-precision maps are interpolated in float32 and returned in their own dtype.

    Args:
        x: maps of any floating dtype.
        size_hw: H and W.
        align_corners: False: pixel i has its centre at (i + 0.5) / size of the side, so both images cover the same area.
            True: the centres of the corner pixels coincide, as in Caffe's `Interp` and DeepLab's TensorFlow code.
    """
    return _resize(x, size_hw, "bilinear", align_corners)


def resize_bicubic(x: Tensor, size_hw: Sequence[int], *, align_corners: bool = False) -> Tensor:
    """Resize maps (N, C, h, w) to (N, C, H, W) by bicubic interpolation, without antialiasing; arguments as above.

    Four neighbours per axis, replicated at the border, are weighted by Keys' kernel with a = -0.75, as in OpenCV. Results may
    leave the range of the map. Source: Keys: Cubic Convolution Interpolation for Digital Image Processing, 1981, equation 15.
    """
    return _resize(x, size_hw, "bicubic", align_corners)


def _resize(x: Tensor, size_hw: Sequence[int], mode: str, align_corners: bool) -> Tensor:
    working = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    return F.interpolate(working, list(size_hw), mode=mode, align_corners=align_corners).to(x.dtype)
