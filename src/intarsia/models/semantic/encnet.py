"""EncNet: the scene, summed up in codewords, decides how much each channel counts.

Zhang, Dana, Shi, Zhang, Wang, Tyagi, Agrawal: Context Encoding for Semantic Segmentation. CVPR 2018.

Idea: what a pixel can be depends on the scene. An encoding layer learns codewords and sums up, over the whole image, how far the
features lie from each. From this summary follow a weight for each channel, and a guess which classes the image holds at all,
which is trained beside: small objects count there as much as large ones.

    image -> encoder, stride 8 -> 3x3, 512 -> [with stages 2, 3] -> x (1 + gate) -> 1x1, K -> (H, W)
                     |                          `-> 1x1 -> encoding -> mean, 512 --^  `-> K, presence
                     `-> last stage but one -> 3x3, 256 -> 1x1, K -> auxiliary

Source: section 3, figures 2 and 3; what differs between paper and code (the mean of the codewords' answers for their sum, x + x
gate for x gate, normalisation over codewords) as in the authors' PyTorch code, from which the results are.
Deviations:
    * `gate="softmax"` is no part of the paper: weights of the channels that sum to 1, as some lectures have it.
    * Any encoder. `lateral`, the authors' setting for PASCAL and COCO and not for ADE20K, joins the features of the stage at
      stride 8 (512 channels of a ResNet-50) and of the one after it.
    * The auxiliary weight is the 0.4 of the authors' class; their training script gives 0.2.
    * Images of other sizes than 8 n + 1 are grown to one by reflection, on which the aligned corners are exact.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Auxiliary, Output, SettingsError
from intarsia.encoders import Encoder
from intarsia.models.parts.conv_norm_relu import conv_norm_relu
from intarsia.ops.corner_grid import grow_to_corner_grid
from intarsia.ops.full_precision import full_precision
from intarsia.ops.reflect import crop
from intarsia.ops.resize import resize_bilinear

__all__ = ["EncNet"]


class EncNet(nn.Module):
    """EncNet on any encoder, best at output stride 8.

    Args:
        encoder: its last feature is encoded, its last but one has the auxiliary classifier.
        num_classes: K.
        gate: how channels are weighed: "sigmoid", each by itself, or "softmax" over all.
        lateral: join the two features before the last, which must then have its size.
        channels: of the features that are encoded.
        codewords: how many there are.
        auxiliary_channels: of the layer before the auxiliary scores.
        dropout: probability, before the scores.

    Raises:
        SettingsError: `lateral` with an encoder whose last three features differ in stride.
    """

    ENCODER: ClassVar[str] = "resnet50"
    OUTPUT_STRIDE: ClassVar[int] = 8
    TINY: ClassVar[dict[str, Any]] = {
        "encoder": "test_resnet",
        "output_stride": 8,
        "channels": 32,
        "codewords": 8,
        "auxiliary_channels": 16,
    }

    def __init__(
        self,
        *,
        encoder: Encoder,
        num_classes: int,
        gate: Literal["sigmoid", "softmax"] = "sigmoid",
        lateral: bool = False,
        channels: int = 512,
        codewords: int = 32,
        auxiliary_channels: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if lateral and len(set(encoder.strides[-3:])) > 1:
            raise SettingsError(
                f"EncNet with lateral=True joins the encoder's last three features, and their strides "
                f"{', '.join(map(str, encoder.strides[-3:]))} differ. Use output_stride=8, or lateral=False."
            )
        *_, second, third, last = encoder.channels
        self.encoder = encoder
        self.reduce = conv_norm_relu(last, channels, 3)
        self.lateral = nn.ModuleList(conv_norm_relu(before, channels, 1) for before in ((second, third) if lateral else ()))
        self.fuse = conv_norm_relu(3 * channels, channels, 3) if lateral else nn.Identity()
        self.encoding = nn.Sequential(
            conv_norm_relu(channels, channels, 1), Encoding(channels, codewords), nn.BatchNorm1d(codewords), nn.ReLU(inplace=True)
        )
        self.weigh = nn.Linear(channels, channels)
        self.softmax = gate == "softmax"
        self.presence = nn.Linear(channels, num_classes)
        self.head = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(channels, num_classes, 1))
        self.auxiliary = nn.Sequential(
            conv_norm_relu(third, auxiliary_channels, 3), nn.Dropout2d(dropout), nn.Conv2d(auxiliary_channels, num_classes, 1)
        )

    def forward(self, image: Tensor) -> Output:
        grown = grow_to_corner_grid(image, self.encoder.strides[-1], divisor=self.encoder.size_divisor)
        *_, second, third, last = self.encoder(grown)
        side = [conv(feature) for conv, feature in zip(self.lateral, (second, third), strict=False)]
        x = self.fuse(torch.cat([self.reduce(last), *side], dim=1))  # (N, 512, H/8, W/8)
        scene = self.encoding(x).mean(1)  # (N, 512), the mean of what all codewords say
        weight = self.weigh(scene)
        weight = weight.softmax(1) if self.softmax else weight.sigmoid()
        logits = self.head(F.relu(x + x * weight[:, :, None, None]))  # (N, K, H/8, W/8)

        def enlarge(scores: Tensor) -> Tensor:
            return crop(resize_bilinear(scores, grown.shape[-2:], align_corners=True), image.shape[-2:])  # (N, K, H, W)

        auxiliary = (
            Auxiliary("presence", self.presence(scene), target="presence", weight=0.2),
            Auxiliary("auxiliary", enlarge(self.auxiliary(third)), target="label", weight=0.4),
        )
        return Output(enlarge(logits), auxiliary)


class Encoding(nn.Module):
    """e_k = sum_i a_ik (x_i - d_k) with a_ik = softmax_k(s_k |x_i - d_k|^2), (N, D, h, w) -> (N, K, D).

    Codewords d_k begin uniform in +-1 / sqrt(K D), scales s_k in (-1, 0): the nearer, the greater the weight. The differences
    of all pixels with all codewords are never in memory: |x - d|^2 = |x|^2 - 2 x d + |d|^2, and the sum over pixels splits
    alike.

    Equations 1 and 2 of the paper.
    """

    def __init__(self, channels: int, codewords: int) -> None:
        super().__init__()
        bound = (codewords * channels) ** -0.5
        self.codewords = nn.Parameter(torch.empty(codewords, channels).uniform_(-bound, bound))
        self.scale = nn.Parameter(torch.empty(codewords).uniform_(-1, 0))

    def assign(self, x: Tensor) -> Tensor:
        """Weights a_ik of the codewords, (N, h w, K), for pixels (N, h w, D)."""
        d = self.codewords
        squared = x.square().sum(2, keepdim=True) - 2 * (x @ d.T) + d.square().sum(1)  # (N, h w, K)
        return (self.scale * squared).softmax(2)

    def forward(self, feature: Tensor) -> Tensor:
        x = feature.flatten(2).mT.to(self.codewords.dtype)  # (N, h w, D)
        with full_precision(x):  # sums over all pixels leave the range of half precision
            assigned = self.assign(x)
            return assigned.mT @ x - assigned.sum(1)[..., None] * self.codewords
