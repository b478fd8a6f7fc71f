"""A convolution that starts from normally distributed weights, as the layers that Caffe networks add to a trained trunk do."""

from __future__ import annotations

from torch import nn

__all__ = ["normal_conv"]


def normal_conv(in_channels: int, channels: int, kernel: int = 1, *, std: float, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A convolution with weights drawn from N(0, std) and biases of zero; at stride 1 it keeps the size of its map."""
    conv = nn.Conv2d(in_channels, channels, kernel, stride, padding=dilation * (kernel // 2), dilation=dilation)
    nn.init.normal_(conv.weight, std=std)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
