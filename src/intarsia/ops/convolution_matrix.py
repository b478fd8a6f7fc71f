"""Convolution written as a matrix, and transposed convolution as the transpose of such a matrix.

To see and to test with, not to compute with: the matrix of a 3x3 layer on a map of 64 x 64 has a hundred million entries.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from intarsia.core import SettingsError

__all__ = ["convolution_matrix", "convolved_size", "transposed_convolution_matrix", "transposed_size"]

LETTERS = "abcdefghijklmnopqrstuvw"


def convolution_matrix(
    weight: Tensor, size: Sequence[int], *, stride: int = 1, padding: int = 0, dilation: int = 1, outputs: Sequence[int] = ()
) -> Tensor:
    """The matrix A for which A x, x a flattened map, is the flattened convolution (cross-correlation, as in `F.conv2d`) of x.

    With one-hot S[o, i, t] = 1 where i = o stride - padding + t dilation for each axis, A is the sum over the kernel's taps t of
    weight[..., t] times the product of the S[..., t].

    Args:
        weight: (C_out, C_in, k) for a signal, (C_out, C_in, k_h, k_w) for maps, or of more axes.
        size: (d,) of a signal, (H, W) of maps.
        stride: on all axes, as is what follows.
        padding: zeros on either side.
        dilation: distance between the kernel's taps.
        outputs: size of the result; by default what fits.

    Returns:
        (C_out * prod(outputs), C_in * prod(size)) in the weight's dtype; its columns run over the channels first.

    Raises:
        SettingsError: as many axes as the kernel has are needed, and room for the kernel.
    """
    if len(size) != weight.ndim - 2:
        raise SettingsError(
            f"A kernel of shape {tuple(weight.shape)} slides over {weight.ndim - 2} axes; {len(size)} sizes were given."
        )
    outputs = outputs or [
        convolved_size(d, k, stride=stride, padding=padding, dilation=dilation)
        for d, k in zip(size, weight.shape[2:], strict=True)
    ]
    taps, rows, columns = (LETTERS[start : start + len(size)] for start in (0, 7, 14))
    terms = [f"xy{taps}"] + [f"{row}{column}{tap}" for tap, row, column in zip(taps, rows, columns, strict=True)]
    factors = [weight]
    for before, after, kernel in zip(size, outputs, weight.shape[2:], strict=True):
        seen = torch.arange(after)[:, None] * stride - padding + torch.arange(kernel) * dilation  # (after, kernel)
        factors.append((seen[:, None] == torch.arange(before)[:, None]).to(weight))
    matrix: Tensor = torch.einsum(f"{','.join(terms)}->x{rows}y{columns}", *factors)
    return matrix.reshape(weight.shape[0] * math.prod(outputs), -1)


def transposed_convolution_matrix(
    weight: Tensor, size: Sequence[int], *, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> Tensor:
    """The matrix of `F.conv_transpose1d`, `conv_transpose2d`: the transpose of the convolution's that has the same weight.

    Args:
        weight: (C_in, C_out, k, ...), as those functions take it.
        size: of the map that comes in; `transposed_size` says what comes out.
        stride: distance of the pasted kernels, on all axes.
        padding: pixels cut off on either side.
        output_padding: pixels that stay at the end.
        dilation: distance between the kernel's taps.

    Returns:
        (C_out * prod(outputs), C_in * prod(size)) in the weight's dtype.

    Raises:
        SettingsError: as in `convolution_matrix`.
    """
    grown = [
        transposed_size(d, k, stride=stride, padding=padding, output_padding=output_padding, dilation=dilation)
        for d, k in zip(size, weight.shape[2:], strict=False)
    ]
    return convolution_matrix(weight, grown, stride=stride, padding=padding, dilation=dilation, outputs=size).T


def convolved_size(size: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Pixels along an axis after a convolution.

    Raises:
        SettingsError: the kernel does not fit.
    """
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if room < 0:
        raise SettingsError(
            f"A kernel of {kernel} taps at dilation {dilation} spans {dilation * (kernel - 1) + 1} pixels and does not fit into "
            f"{size} with a padding of {padding}."
        )
    return room // stride + 1


def transposed_size(
    size: int, kernel: int, *, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> int:
    """Pixels along an axis after a transposed convolution.

    Several sizes shrink to the same one under a stride; `output_padding` chooses among them, and has to be smaller than stride or
    dilation.

    Raises:
        SettingsError: it is not, or nothing is left.
    """
    if not 0 <= output_padding < max(stride, dilation):
        raise SettingsError(
            f"Output padding of {output_padding} for stride {stride} and dilation {dilation}; it has to be smaller."
        )
    grown = (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1
    if grown < 1:
        raise SettingsError(f"A padding of {padding} cuts off all of the {grown + 2 * padding} pixels.")
    return grown
