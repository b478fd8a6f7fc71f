"""Transposed convolution in the two ways it is told, and the map of how its kernels overlap.

Both ways give what `torch.nn.functional.conv_transpose2d` does, which is faster; networks use that.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia.ops.convolution_matrix import transposed_size
from intarsia.ops.unpool import bed_of_nails

__all__ = ["fractionally_strided", "overlap_map", "paste_kernels"]


def paste_kernels(
    x: Tensor, weight: Tensor, *, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> Tensor:
    """Paste a copy of the kernel for each value of the map, weighted by it and `stride` apart, and add where copies overlap.

    Args:
        x: (N, C_in, h, w).
        weight: (C_in, C_out, k_h, k_w), as `F.conv_transpose2d` takes it.
        stride: distance of the copies.
        padding: pixels cut off on each side of the result.
        output_padding: pixels that stay at its bottom and on its right.
        dilation: distance between the taps of a copy.

    Returns:
        (N, C_out, H, W).

    Raises:
        SettingsError: see `transposed_size`.
    """
    full: list[int] = []
    border: list[int] = []
    for size, kernel in zip(x.shape[2:], weight.shape[2:], strict=True):
        transposed_size(size, kernel, stride=stride, padding=padding, output_padding=output_padding, dilation=dilation)
        full.append((size - 1) * stride + dilation * (kernel - 1) + 1)
        border = [-padding, output_padding - padding, *border]  # the last axis first
    copies = torch.einsum("nchw,cokl->noklhw", x, weight).flatten(1, 3).flatten(2)  # (N, C_out k_h k_w, h w)
    return F.pad(F.fold(copies, (full[0], full[1]), tuple(weight.shape[2:]), dilation, 0, stride), border)


def fractionally_strided(
    x: Tensor, weight: Tensor, *, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> Tensor:
    """Put `stride` - 1 zeros between the values of the map and convolve it, at stride 1, with the kernel turned round.

    The kernel so moves by 1 / `stride` of a value at each step. Arguments, result and errors as for `paste_kernels`.
    """
    border = []
    for size, kernel in zip(reversed(x.shape[2:]), reversed(weight.shape[2:]), strict=True):
        transposed_size(size, kernel, stride=stride, padding=padding, output_padding=output_padding, dilation=dilation)
        before = dilation * (kernel - 1) - padding
        border += [before, before + output_padding - (stride - 1)]  # the zeros behind the last value are not between two
    spread = F.pad(bed_of_nails(x, stride), border)
    return F.conv2d(spread, weight.flip(2, 3).transpose(0, 1), dilation=dilation)


def overlap_map(
    size_hw: tuple[int, int], kernel: int, *, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> Tensor:
    """How many taps of a transposed convolution reach each pixel of its result: (H, W) int64.

    Where the numbers differ inside, equal inputs make a pattern of squares, the checkerboard: whenever `kernel` is no multiple of
    `stride`. A convolution after resizing (`resize_convolution`) has none.

    Source: Odena, Dumoulin, Olah: Deconvolution and Checkerboard Artifacts, 2016.

    Raises:
        SettingsError: see `transposed_size`.
    """
    ones = paste_kernels(
        torch.ones(1, 1, *size_hw),
        torch.ones(1, 1, kernel, kernel),
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
    )
    return ones[0, 0].long()
