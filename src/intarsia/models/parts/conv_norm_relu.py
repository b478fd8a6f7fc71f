"""Convolution, batch normalisation, ReLU; plain or split into depthwise and pointwise."""

from __future__ import annotations

from torch import nn

__all__ = ["conv_norm_relu", "separable_conv_norm_relu"]


def conv_norm_relu(in_channels: int, channels: int, kernel: int, *, dilation: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution without bias that keeps the size of its map, batch normalisation, ReLU."""
    padding = dilation * (kernel - 1) // 2
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, kernel, padding=padding, dilation=dilation, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


def separable_conv_norm_relu(
    in_channels: int, channels: int, kernel: int, *, dilation: int = 1, between: bool = True
) -> nn.Sequential:
    """The same split in two: one kernel per channel, then 1x1 across channels, each with its normalisation and ReLU.

    `between=False` leaves those of the first out.

    Source: the separable convolution of DeepLab v3+ (2018, section 3.1), with a ReLU in between as its released code has.
    """
    depthwise = conv_norm_relu(in_channels, in_channels, kernel, dilation=dilation, groups=in_channels)
    return nn.Sequential(depthwise if between else depthwise[0], conv_norm_relu(in_channels, channels, 1))
