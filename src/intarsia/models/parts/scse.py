"""Concurrent spatial and channel squeeze and excitation: maps weighed by channel, by pixel, or both.

Roy, Navab, Wachinger: Concurrent Spatial and Channel Squeeze & Excitation in Fully Convolutional Networks. MICCAI 2018;
Recalibrating Fully Convolutional Networks with Spatial and Channel Squeeze & Excitation Blocks. IEEE TMI 2019.

    cSE   U -> mean over the image -> C/2, ReLU -> C, sigmoid -> times U
    sSE   U -> 1x1, one channel, sigmoid ---------------------> times U
    scSE  both, joined by maximum, sum, product or concatenation

Source: section 2 of 2018, section III of 2019, where the maximum is preferred; reduction 2. The layers have no bias, as in the
equations and in the paper's count of 3.3e4 weights for eight blocks of 64 channels (with biases it would be 3.4e4, as in the
authors' later code).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["SCSE", "ChannelSE", "SpatialSE", "recalibrated_channels", "recalibration"]

Combination = Literal["max", "add", "multiply", "concat"]


class SCSE(nn.Module):
    """Both recalibrations of one map, joined: (N, C, H, W) to the same, or to (N, 2C, H, W) for "concat".

    Args:
        channels: C.
        combine: maximum, sum or product of the two, or both one after the other.
        reduction: C over the width of the bottleneck of the channel branch.
    """

    def __init__(self, channels: int, combine: Combination = "max", *, reduction: int = 2) -> None:
        super().__init__()
        self.combine = combine
        self.channel = ChannelSE(channels, reduction=reduction)
        self.spatial = SpatialSE(channels)

    def forward(self, x: Tensor) -> Tensor:
        by_channel, by_pixel = self.channel(x), self.spatial(x)
        if self.combine == "max":
            return torch.maximum(by_channel, by_pixel)
        if self.combine == "add":
            return torch.add(by_channel, by_pixel)
        if self.combine == "multiply":
            return torch.mul(by_channel, by_pixel)
        return torch.cat([by_channel, by_pixel], dim=1)


class ChannelSE(nn.Module):
    """cSE: each channel is scaled by a number in (0, 1) that follows from the means of all channels."""

    def __init__(self, channels: int, *, reduction: int = 2) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.squeeze = nn.Linear(channels, hidden, bias=False)
        self.excite = nn.Linear(hidden, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        weight: Tensor = self.excite(F.relu(self.squeeze(x.mean((-2, -1))))).sigmoid()  # (N, C)
        return x * weight[..., None, None]


class SpatialSE(nn.Module):
    """sSE: each pixel is scaled by a number in (0, 1) that follows from its channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.excite = nn.Conv2d(channels, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        weight: Tensor = self.excite(x).sigmoid()  # (N, 1, H, W)
        return x * weight


def recalibration(channels: int, se: str) -> nn.Module:
    """The block for an architecture's option `se`: "none", "cse", "sse", or "scse_" and how the two are joined."""
    if se == "none":
        return nn.Identity()
    if se == "cse":
        return ChannelSE(channels)
    if se == "sse":
        return SpatialSE(channels)
    combinations: dict[str, Combination] = {
        "scse_max": "max",
        "scse_add": "add",
        "scse_multiply": "multiply",
        "scse_concat": "concat",
    }
    return SCSE(channels, combinations[se])


def recalibrated_channels(channels: int, se: str) -> int:
    """How many channels leave `recalibration(channels, se)`."""
    return 2 * channels if se == "scse_concat" else channels
