"""Convolution after resizing: enlarges as a transposed convolution does, without its checkerboard."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.ops.resize import resize_bilinear
from intarsia.ops.unpool import nearest_unpool

__all__ = ["ResizeConvolution", "resize_convolution"]

Mode = Literal["nearest", "bilinear"]


def resize_convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, factor: int = 2, mode: Mode = "nearest"
) -> Tensor:
    """Enlarge maps (N, C_in, h, w) and convolve them: (N, C_out, h * factor, w * factor).

    The border is replicated, so that a constant map stays one up to its edges: every result sees the same number of weights.

    Args:
        x: maps.
        weight: (C_out, C_in, k, k), k odd.
        bias: (C_out,).
        factor: how many times larger.
        mode: how to resize, with half-pixel centres.

    Source: Odena, Dumoulin, Olah: Deconvolution and Checkerboard Artifacts, 2016.
    """
    large = nearest_unpool(x, factor)
    if mode == "bilinear":
        large = resize_bilinear(x, [factor * side for side in x.shape[-2:]])
    rows, columns = (kernel // 2 for kernel in weight.shape[2:])
    return F.conv2d(F.pad(large, (columns, columns, rows, rows), mode="replicate"), weight, bias)


class ResizeConvolution(nn.Conv2d):
    """`resize_convolution` with its weights: takes the place of `nn.ConvTranspose2d(in, out, factor + 1, factor, 1, 1)`.

    Args:
        in_channels: C_in.
        out_channels: C_out.
        kernel_size: of the convolution, odd.
        factor: how many times larger.
        mode: how to resize.
        bias: whether there is one.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        factor: int = 2,
        mode: Mode = "nearest",
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, bias=bias)
        self.factor = factor
        self.mode: Mode = mode

    def forward(self, x: Tensor) -> Tensor:
        return resize_convolution(x, self.weight, self.bias, factor=self.factor, mode=self.mode)
