"""DANet: every pixel looks at all others, and every channel at all others, and both answers are summed.

Fu, Liu, Tian, Li, Bao, Fang, Lu: Dual Attention Network for Scene Segmentation. CVPR 2019.

Idea: pixels of one class may be far apart and look different. Position attention gives each pixel a mean over all pixels,
weighted by how alike they are; channel attention does the same for channels. Both are added to what was there with a learnt
factor that begins at zero, so that training starts from the plain dilated network.

                               -> 3x3, 512 -> position attention -> 3x3, 512 -> 1x1, K -> auxiliary
    image -> encoder, stride 8                                                | +  -> 1x1, K -> (H, W)
                               -> 3x3, 512 -> channel attention --> 3x3, 512 -> 1x1, K -> auxiliary

Source: section 3, figures 2 and 3; no division by the square root of the key's channels, biases in the 1x1 convolutions, dropout
and the three losses of weight 1 as in the authors' PyTorch code.
Deviations:
    * Channel attention: the paper weighs channels by their likeness, the authors' code by their unlikeness (the largest energy
      of a row minus the energies), and its results are the published ones. The code's is the default, the paper's an option.
    * Any encoder; the rates 4, 8, 16 in its last stage, with which the paper's best network ends, are `multi_grid=(1, 2, 4)`.
    * Images of other sizes than 8 n + 1 are grown to one by reflection, on which the aligned corners are exact.

Memory: position attention compares all pairs of the h w positions at stride 8. Where PyTorch has no fused attention for the
device and its precision, these are (h w)^2 numbers for each image: 0.35 GB in float32 for a crop of 769, and as much for the
gradient.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Auxiliary, Output
from intarsia.encoders import Encoder, set_multi_grid
from intarsia.models.parts.conv_norm_relu import conv_norm_relu
from intarsia.ops.corner_grid import grow_to_corner_grid
from intarsia.ops.full_precision import full_precision
from intarsia.ops.reflect import crop
from intarsia.ops.resize import resize_bilinear

__all__ = ["DANet"]


class DANet(nn.Module):
    """DANet on any encoder, best at output stride 8.

    Args:
        encoder: its last feature is attended to.
        num_classes: K.
        channel_attention: "released" gives most weight to the channels that are least alike, as the authors' code does; "paper"
            to those most alike.
        channels: of both branches; queries and keys have an eighth of them. None: a quarter of the feature's, 512 of a ResNet's.
        multi_grid: factors on the rates of the units in the encoder's last stage; () leaves them as they are.
        dropout: probability, of whole channels, before each of the three scores.
    """

    ENCODER: ClassVar[str] = "resnet101"
    OUTPUT_STRIDE: ClassVar[int] = 8
    TINY: ClassVar[dict[str, Any]] = {"encoder": "test_resnet", "output_stride": 8, "channels": 32}

    def __init__(
        self,
        *,
        encoder: Encoder,
        num_classes: int,
        channel_attention: Literal["released", "paper"] = "released",
        channels: int | None = None,
        multi_grid: tuple[int, ...] = (),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        before, channels = encoder.channels[-1], channels or encoder.channels[-1] // 4
        if multi_grid:
            set_multi_grid(encoder, multi_grid)
        self.encoder = encoder
        self.position = nn.Sequential(
            conv_norm_relu(before, channels, 3), PositionAttention(channels), conv_norm_relu(channels, channels, 3)
        )
        self.channel = nn.Sequential(
            conv_norm_relu(before, channels, 3),
            ChannelAttention(alike=channel_attention == "paper"),
            conv_norm_relu(channels, channels, 3),
        )
        self.head, self.position_head, self.channel_head = (
            nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(channels, num_classes, 1)) for _ in range(3)
        )

    def forward(self, image: Tensor) -> Output:
        grown = grow_to_corner_grid(image, self.encoder.strides[-1], divisor=self.encoder.size_divisor)
        feature = self.encoder(grown)[-1]  # (N, 2048, H/8, W/8)
        position, channel = self.position(feature), self.channel(feature)  # (N, 512, H/8, W/8) each

        def enlarge(scores: Tensor) -> Tensor:
            return crop(resize_bilinear(scores, grown.shape[-2:], align_corners=True), image.shape[-2:])  # (N, K, H, W)

        auxiliary = (
            Auxiliary("position", enlarge(self.position_head(position)), target="label", weight=1.0),
            Auxiliary("channel", enlarge(self.channel_head(channel)), target="label", weight=1.0),
        )
        return Output(enlarge(self.head(position + channel)), auxiliary)


class PositionAttention(nn.Module):
    """x + gamma sum_j softmax_j(q_i . k_j) v_j over all positions j, (N, C, h, w) -> the same; gamma begins at 0.

    Equations 1 and 2 of the paper.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, max(1, channels // 8), 1)
        self.key = nn.Conv2d(channels, max(1, channels // 8), 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        maps = (conv(x) for conv in (self.query, self.key, self.value))
        query, key, value = (y.flatten(2).mT[:, None] for y in maps)  # (N, 1, h w, C/8, C/8 and C): one head
        seen = F.scaled_dot_product_attention(query, key, value, scale=1.0)[:, 0]  # (N, h w, C)
        return x + self.gamma * seen.mT.reshape(x.shape)


class ChannelAttention(nn.Module):
    """x + gamma sum_j softmax_j(e_ij) x_j over all channels j, e_ij = -+ x_i . x_j, (N, C, h, w) -> the same; gamma begins at 0.

    Equations 3 and 4 of the paper, with the sign that it has (`alike`) or that of the authors' code.
    """

    def __init__(self, *, alike: bool) -> None:
        super().__init__()
        self.sign = 1 if alike else -1
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2).to(torch.promote_types(x.dtype, torch.float32))  # (N, C, h w)
        with full_precision(flat):  # energies are large sums over all positions, of which the softmax tells small differences
            weight = (self.sign * (flat @ flat.mT)).softmax(-1)  # (N, C, C)
            seen = (weight @ flat).reshape(x.shape)
        return x + self.gamma * seen.to(x.dtype)
