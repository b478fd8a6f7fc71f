"""Upsampling by a transposed convolution with a bilinear kernel, as the networks born in Caffe do it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["TransposedBilinear", "bilinear_kernel", "fill_bilinear_", "interpolate_transposed", "transposed_bilinear"]


def bilinear_kernel(size: int) -> Tensor:
    """The (size, size) float32 kernel w(i, j) = (1 - |i - c| / f)(1 - |j - c| / f) with f = (size + 1) // 2.

    The centre c is f - 1 for an odd size and f - 0.5 for an even one. Source: the `bilinear` filler of Caffe, as in the
    `surgery.py` of the FCN reference.
    """
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 else factor - 0.5
    weight = 1 - (torch.arange(size, dtype=torch.float32) - centre).abs() / factor
    return weight[:, None] * weight


@torch.no_grad()
def fill_bilinear_(weight: Tensor) -> Tensor:
    """Make a transposed convolution's dense weight (C, C, k, k) interpolate each channel by itself; in place."""
    weight.zero_()
    weight.diagonal().copy_(bilinear_kernel(weight.shape[-1]).to(weight)[..., None].expand(-1, -1, weight.shape[0]))
    return weight


def transposed_bilinear(x: Tensor, stride: int, size: int | None = None) -> Tensor:
    """Upsample maps (N, C, h, w) to (N, C, (h + 1) * stride, (w + 1) * stride) with the kernel of size 2 * stride.

    With the odd `size` 2 * stride - 1, of FCN-AlexNet, sides are a pixel shorter and pixel `o` lies at (o + 1) / stride - 1.

    Outside the map there are zeros, so the outer `stride` pixels fade out. The pixel `o` of the result lies at
    (o + 0.5) / stride - 1 of the map, in pixels counted from the centre of its first one.
    """
    kernel = bilinear_kernel(size or 2 * stride).to(x)
    return F.conv_transpose2d(x, kernel.expand(x.shape[1], 1, -1, -1), stride=stride, groups=x.shape[1])


def interpolate_transposed(x: Tensor, factor: int, *, align_corners: bool = False) -> Tensor:
    """Bilinear interpolation of maps (N, C, h, w) by a transposed convolution, equal to `resize_bilinear` up to rounding.

    With aligned corners, the kernel of size 2 * factor - 1 meets the pixels, and the result is ((h - 1) * factor + 1, ...) large.
    Else it is (h * factor, ...) large: the kernel of size 2 * factor (odd factors: 2 * factor - 1) is right in the interior, and
    at the border as well after the map's edge was replicated by one pixel.
    """
    if align_corners:
        full, cut = transposed_bilinear(x, factor, 2 * factor - 1), factor - 1
    else:
        edged = F.pad(x, (1, 1, 1, 1), mode="replicate")
        full, cut = transposed_bilinear(edged, factor, 2 * factor - factor % 2), (3 * factor - factor % 2) // 2
    return full[..., cut : full.shape[-2] - cut, cut : full.shape[-1] - cut]


class TransposedBilinear(nn.Module):
    """`transposed_bilinear` with its kernel kept; it has no parameter and leaves no trace in the state dict."""

    kernel: Tensor

    def __init__(self, stride: int, size: int | None = None) -> None:
        super().__init__()
        self.stride = stride
        self.register_buffer("kernel", bilinear_kernel(size or 2 * stride), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.kernel.to(x.dtype).expand(x.shape[1], 1, -1, -1)
        return F.conv_transpose2d(x, weight, stride=self.stride, groups=x.shape[1])
