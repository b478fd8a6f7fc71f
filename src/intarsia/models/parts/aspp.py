"""Atrous spatial pyramid pooling: one map seen at several dilations and as a whole.

Chen, Papandreou, Schroff, Adam: Rethinking Atrous Convolution for Semantic Image Segmentation. 2017.

            -> 1x1 ------------------------------->
            -> 3x3, dilation rates[0] ------------>
    feature -> 3x3, dilation rates[1] ------------> concat -> 1x1 -> dropout
            -> 3x3, dilation rates[2] ------------>
            -> mean over the image -> 1x1 -> resize ->

Source: section 3.3. Each convolution is followed by batch normalisation and ReLU.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.models.parts.conv_norm_relu import conv_norm_relu, separable_conv_norm_relu

__all__ = ["ASPP", "ImagePooling"]


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling, (N, C, h, w) -> (N, channels, h, w).

    Args:
        in_channels: C.
        channels: of each branch and of the result.
        rates: dilations of the 3x3 branches. The paper takes 6, 12, 18 at output stride 16 and twice that at 8.
        separable: splits the 3x3 convolutions into depthwise and pointwise.
        between: normalisation and ReLU between those two.
        dropout: probability, on the result.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        channels: int = 256,
        rates: tuple[int, ...],
        separable: bool = False,
        between: bool = True,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        conv = partial(separable_conv_norm_relu, between=between) if separable else conv_norm_relu
        self.branches = nn.ModuleList(
            [
                conv_norm_relu(in_channels, channels, 1),
                *(conv(in_channels, channels, 3, dilation=rate) for rate in rates),
                ImagePooling(in_channels, channels),
            ]
        )
        self.project = conv_norm_relu(len(self.branches) * channels, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, feature: Tensor) -> Tensor:
        pyramid = torch.cat([branch(feature) for branch in self.branches], dim=1)  # (N, 5 channels, h, w)
        projected: Tensor = self.dropout(self.project(pyramid))
        return projected


class ImagePooling(nn.Module):
    """The mean over the whole map, 1x1 convolution, normalisation, ReLU, and the same value at every pixel.

    One image has one mean, and no variance can be taken of it: in training with batches of one image the normalisation uses its
    running statistics, which then stay as they are.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, feature: Tensor) -> Tensor:
        x = self.conv(feature.mean((-2, -1), keepdim=True))  # (N, channels, 1, 1)
        if self.training and len(x) == 1:
            norm = self.norm
            x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        else:
            x = self.norm(x)
        return F.relu(x).expand(-1, -1, *feature.shape[-2:])  # bilinear interpolation of a single pixel
