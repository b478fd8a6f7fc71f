"""Feature pyramid: maps of all strides with the same number of channels, coarse meaning carried down to the fine ones.

Lin, Dollar, Girshick, He, Hariharan, Belongie: Feature Pyramid Networks for Object Detection. CVPR 2017.

    C5 -> 1x1 -----------> 3x3 -> P5      stride 32
                | x2
    C4 -> 1x1 -> + ------> 3x3 -> P4             16
                | x2
    C3 -> 1x1 -> + ------> 3x3 -> P3              8
                | x2
    C2 -> 1x1 -> + ------> 3x3 -> P2              4

Source: section 3, figure 3. No normalisation and no ReLU; biases; enlarged by the nearest neighbour. Initial weights (uniform,
Glorot by the inputs alone; biases zero) as in Detectron2.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["FPN"]


class FPN(nn.Module):
    """Feature pyramid, [(N, C_i, h_i, w_i)] fine to coarse -> [(N, channels, h_i, w_i)].

    Args:
        in_channels: C_i.
        channels: of every map of the result.
        top_down: False leaves the sums out: each map stays by itself.
        smooth: False leaves the 3x3 convolutions out: the sums are the result.
        top_mlp: the coarsest map goes through a layer more, with a ReLU between: a small perceptron at each of its pixels.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        channels: int = 256,
        top_down: bool = True,
        smooth: bool = True,
        top_mlp: bool = False,
    ) -> None:
        super().__init__()
        self.top_down = top_down
        self.lateral = nn.ModuleList(nn.Conv2d(before, channels, 1) for before in in_channels)
        self.output = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) if smooth else nn.Identity() for _ in in_channels)
        self.top = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(channels, channels, 1)) if top_mlp else nn.Identity()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        sides = [lateral(feature) for lateral, feature in zip(self.lateral, features, strict=True)]
        sides[-1] = self.top(sides[-1])
        if self.top_down:
            for finer in range(len(sides) - 2, -1, -1):
                enlarged = F.interpolate(sides[finer + 1], sides[finer].shape[-2:], mode="nearest")
                sides[finer] = sides[finer] + enlarged
        return [output(side) for output, side in zip(self.output, sides, strict=True)]
