"""A fully connected layer is a convolution in disguise: of 1x1 at each position, or of the whole map at one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intarsia.core import SettingsError

__all__ = ["convolution_of", "linear_of", "linear_per_position"]


def linear_per_position(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Apply a linear layer to the channels of each pixel: maps (N, C_in, H, W) to (N, C_out, H, W).

    Args:
        x: maps.
        weight: (C_out, C_in), as of `nn.Linear`.
        bias: (C_out,).
    """
    return nn.functional.conv2d(x, weight[:, :, None, None], bias)


@torch.no_grad()
def convolution_of(linear: nn.Linear, size_hw: tuple[int, int] = (1, 1)) -> nn.Conv2d:
    """The convolution that gives what a linear layer gives for flattened maps of `size_hw`, and that slides over larger ones.

    Raises:
        SettingsError: the layer's inputs are no whole number of such maps.
    """
    area = size_hw[0] * size_hw[1]
    if linear.in_features % area:
        raise SettingsError(f"A layer of {linear.in_features} inputs does not read maps of {size_hw[0]} x {size_hw[1]} pixels.")
    conv = nn.Conv2d(linear.in_features // area, linear.out_features, size_hw, bias=linear.bias is not None)
    conv.to(linear.weight)
    conv.weight.copy_(linear.weight.reshape(conv.weight.shape))
    if conv.bias is not None:
        conv.bias.copy_(linear.bias)
    return conv


@torch.no_grad()
def linear_of(conv: nn.Conv2d) -> nn.Linear:
    """The linear layer that gives, for flattened maps of the kernel's size, what a convolution without groups gives."""
    linear = nn.Linear(conv.weight[0].numel(), conv.out_channels, bias=conv.bias is not None).to(conv.weight)
    linear.weight.copy_(conv.weight.flatten(1))
    if conv.bias is not None:
        linear.bias.copy_(conv.bias)
    return linear
