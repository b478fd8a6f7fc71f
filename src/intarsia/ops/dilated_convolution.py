"""Dilated (atrous) convolution: taps some pixels apart, so that a kernel sees more without weighing more."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from torch import Tensor
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.ops.unpool import bed_of_nails

__all__ = ["dilate_kernel", "dilated_convolution", "stacked_fields"]


def dilated_convolution(x: Tensor, weight: Tensor, rate: int) -> Tensor:
    """Convolve maps (N, C_in, H, W) with taps `rate` pixels apart, zeros around: (N, C_out, H, W).

    Args:
        x: maps.
        weight: (C_out, C_in, k, k), k odd.
        rate: 1 is the plain convolution.

    Raises:
        SettingsError: a rate below one, or an even kernel, which keeps no size.
    """
    if rate < 1 or any(kernel % 2 == 0 for kernel in weight.shape[2:]):
        raise SettingsError(
            f"Kernels of odd size at rates from 1 up keep the size; {tuple(weight.shape[2:])} at {rate} were given."
        )
    return F.conv2d(x, weight, padding=[rate * (kernel // 2) for kernel in weight.shape[2:]], dilation=rate)


def dilate_kernel(weight: Tensor, rate: int) -> Tensor:
    """The kernel with `rate` - 1 zeros between its taps, of which a plain convolution is the dilated one.

    (C_out, C_in, k, k) to (C_out, C_in, K, K) with K = rate (k - 1) + 1.
    """
    spread = bed_of_nails(weight, rate)
    return spread[..., : spread.shape[-2] - rate + 1, : spread.shape[-1] - rate + 1]


def stacked_fields(rates: Sequence[int], kernel: int = 3) -> list[int]:
    """Side of the receptive field after each of some dilated convolutions of stride 1: 1 + (kernel - 1) * (sum of rates so far).

    For any other network there is `receptive_field`.
    """
    return [1 + (kernel - 1) * total for total in accumulate(rates)]
