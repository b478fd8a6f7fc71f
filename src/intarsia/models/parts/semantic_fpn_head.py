"""The head of Semantic FPN: maps of all strides brought to stride 4, joined and classified.

Kirillov, Girshick, He, Dollar: Panoptic Feature Pyramid Networks. CVPR 2019.

    stride 32 -> 3x3, x2 -> 3x3, x2 -> 3x3, x2 -> +
           16 ------------> 3x3, x2 -> 3x3, x2 -> +
            8 ------------------------> 3x3, x2 -> +
            4 ---------------------------> 3x3 -> + -> 1x1, K      stride 4

Source: section 3.1, figure 3; initial weights (He's normal distribution by the outputs of a layer) as in Detectron2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from intarsia.ops.resize import resize_bilinear

__all__ = ["SemanticFPNHead"]

FINEST = 4
"""Stride at which the maps are joined."""


class SemanticFPNHead(nn.Module):
    """Maps [(N, C, h_i, w_i)] of a pyramid -> scores (N, K, H/4, W/4).

    Args:
        in_channels: C.
        strides: of the maps.
        num_classes: K.
        channels: of each branch, a multiple of 32, the groups of its normalisation.
        merge: "sum", or "concat" for comparison.
        align_corners: how maps are enlarged.
        dropout: probability, of whole channels, before the scores.
    """

    def __init__(
        self,
        in_channels: int,
        strides: Sequence[int],
        num_classes: int,
        *,
        channels: int = 128,
        merge: Literal["sum", "concat"] = "sum",
        align_corners: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.merge = merge
        self.branches = nn.ModuleList(_Branch(in_channels, channels, stride, align_corners) for stride in strides)
        self.dropout = nn.Dropout2d(dropout)
        self.classify = nn.Conv2d(channels * (len(strides) if merge == "concat" else 1), num_classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, maps: Sequence[Tensor], size_hw: Sequence[int]) -> Tensor:
        """Classify; `size_hw` is that of the image of which the maps are, a multiple of their strides or not."""
        branches = [branch(x, size_hw) for branch, x in zip(self.branches, maps, strict=True)]  # (N, 128, H/4, W/4)
        joined = torch.cat(branches, 1) if self.merge == "concat" else sum(branches)
        scores: Tensor = self.classify(self.dropout(joined))
        return scores


class _Branch(nn.Module):
    """A map of some stride to stride 4: convolution, group normalisation, ReLU and twice the size, as often as it takes."""

    def __init__(self, in_channels: int, channels: int, stride: int, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.strides = [stride >> step for step in range(1, stride.bit_length()) if stride >> step >= FINEST]
        self.convs = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels if step else in_channels, channels, 3, padding=1, bias=False),
                nn.GroupNorm(32, channels),
                nn.ReLU(inplace=True),
            )
            for step in range(max(1, len(self.strides)))
        )

    def forward(self, x: Tensor, size_hw: Sequence[int]) -> Tensor:
        for step, conv in enumerate(self.convs):
            x = conv(x)
            if self.strides:  # of the map at stride 4 there are none
                finer_hw = [(side + self.strides[step] - 1) // self.strides[step] for side in size_hw]
                x = resize_bilinear(x, finer_hw, align_corners=self.align_corners)
        return x
