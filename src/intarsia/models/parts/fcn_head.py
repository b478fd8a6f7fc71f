"""The head of a fully convolutional network: a 3x3 convolution to a quarter of the channels, and the scores.

Source: torchvision's `FCNHead`, which is also its auxiliary head.
"""

from __future__ import annotations

from torch import nn

from intarsia.models.parts.conv_norm_relu import conv_norm_relu

__all__ = ["fcn_head"]


def fcn_head(in_channels: int, num_classes: int, *, dropout: float = 0.1) -> nn.Sequential:
    """(N, C, h, w) -> (N, K, h, w) by way of C / 4 channels."""
    channels = in_channels // 4
    return nn.Sequential(conv_norm_relu(in_channels, channels, 3), nn.Dropout(dropout), nn.Conv2d(channels, num_classes, 1))
