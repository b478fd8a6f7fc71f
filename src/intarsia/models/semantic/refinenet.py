"""RefineNet: four paths refine the coarse meaning by the finer and finer features of a ResNet.

Lin, Milan, Shen, Reid: RefineNet: Multi-Path Refinement Networks for High-Resolution Semantic Segmentation. CVPR 2017.

Idea: rather than keeping features large by dilation, which costs memory, the features of all four stages of a ResNet are joined
from coarse to fine. Each join is a RefineNet block made of residual pieces with identity shortcuts, so that gradients reach the
encoder along a straight way. Chained pooling gathers context in windows that grow from link to link.

    stride 32 -> RefineNet, 512 --.
    stride 16 ------------------> RefineNet, 256 --.
    stride 8 ------------------------------------> RefineNet, 256 --.
    stride 4 -----------------------------------------------------> RefineNet, 256 -> dropout -> 3x3, K -> resize to (H, W)

    RefineNet: 3x3 -> 2 RCU -> fusion with the coarser path -> chained residual pooling -> 3 RCU
    RCU: x + conv(ReLU(conv(ReLU(x))))

Source: section 3, figures 2 and 3; which convolutions have biases, the reduction before each path, dropout on the two coarsest
features (those of more than 512 channels) and N(0, 0.01) for all new weights as in the authors' MatConvNet code, which has four
links of pooling where figure 3 draws two.
Deviations:
    * Maps are enlarged by bilinear interpolation with PyTorch's gradient; the authors' code scales the gradient down by
      averaging instead.
    * The encoder's batch normalisation follows the batch unless `fixed_norm` is set; the authors always train from ImageNet
      weights with fixed moments, one image at a time, which random weights would not survive.
    * Any encoder with four or more features instead of a ResNet alone.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from intarsia.core import Output, SettingsError
from intarsia.encoders import Encoder
from intarsia.ops.reflect import crop, grow_to_multiple
from intarsia.ops.resize import resize_bilinear

__all__ = ["RefineNet"]


class RefineNet(nn.Module):
    """The 4-cascade RefineNet on the last four features of an encoder.

    Args:
        encoder: ResNet-101 or 152 in the paper.
        num_classes: K.
        channels: of the three finer paths; the coarsest has twice as many.
        pools: links of the chained residual pooling.
        conv_before_pool: the order inside a link in the authors' later code; the paper pools first.
        fixed_norm: leave the running statistics of the encoder's batch normalisation as they are and normalise by them in
            training too, as the paper does with ImageNet weights.
        dropout: probability, on encoder features of more than 512 channels and before the scores.
    """

    ENCODER: ClassVar[str] = "resnet50"
    OUTPUT_STRIDE: ClassVar[int] = 32
    TINY: ClassVar[dict[str, Any]] = {"encoder": "test_resnet", "channels": 16}

    def __init__(
        self,
        *,
        encoder: Encoder,
        num_classes: int,
        channels: int = 256,
        pools: int = 4,
        conv_before_pool: bool = False,
        fixed_norm: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if len(encoder.channels) < 4:
            raise SettingsError(
                f"RefineNet refines four features, and this encoder gives {len(encoder.channels)}. Choose one such as resnet50."
            )
        self.encoder = encoder
        self.fixed_norm = fixed_norm
        self.dropout = nn.Dropout(dropout)
        coarse_to_fine = encoder.channels[:-5:-1]
        widths = (2 * channels, channels, channels, channels)
        self.paths = nn.ModuleList(
            _Refine(tap, coarser, width, pools, conv_before_pool=conv_before_pool)
            for tap, coarser, width in zip(coarse_to_fine, (None, *widths), widths, strict=False)
        )
        self.score = nn.Conv2d(channels, num_classes, 3, padding=1)
        for part in (*self.paths.modules(), self.score):
            if isinstance(part, nn.Conv2d):
                nn.init.normal_(part.weight, std=0.01)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def forward(self, image: Tensor) -> Output:
        grown = grow_to_multiple(image, self.encoder.size_divisor)
        x: Tensor | None = None
        for path, feature in zip(self.paths, self.encoder(grown)[:-5:-1], strict=True):
            tap = self.dropout(feature) if feature.shape[1] > 512 else feature
            x = path(tap, x)  # strides 32, 16, 8, 4
        logits = self.score(self.dropout(x))  # (N, K, H/4, W/4)
        return Output(crop(resize_bilinear(logits, grown.shape[-2:]), image.shape[-2:]))  # (N, K, H, W)

    def train(self, mode: bool = True) -> RefineNet:
        super().train(mode)
        if self.fixed_norm:
            for module in self.encoder.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self


class _Refine(nn.Module):
    """One path: a feature (N, C, h, w), and what comes from the coarser path, to (N, channels, h, w)."""

    def __init__(self, in_channels: int, coarser: int | None, channels: int, pools: int, *, conv_before_pool: bool) -> None:
        super().__init__()
        self.reduce = _conv(in_channels, channels)
        self.adapt = nn.Sequential(_RCU(channels), _RCU(channels))
        self.fuse = _Fusion(coarser, channels) if coarser is not None else None
        self.pool = _ChainedPooling(channels, pools, conv_before_pool=conv_before_pool)
        self.out = nn.Sequential(_RCU(channels), _RCU(channels), _RCU(channels))

    def forward(self, feature: Tensor, coarser: Tensor | None) -> Tensor:
        x = self.adapt(self.reduce(feature))
        if self.fuse is not None:
            x = self.fuse(x, coarser)
        refined: Tensor = self.out(self.pool(x))
        return refined


class _RCU(nn.Module):
    """Residual convolution unit. Its ReLU copies: in place, it would change the shortcut as well."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels, bias=True)
        self.second = _conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.second(F.relu(self.first(F.relu(x)))))


class _Fusion(nn.Module):
    """Multi-resolution fusion of two: each is convolved, the coarser one enlarged, and they are summed."""

    def __init__(self, coarser: int, channels: int) -> None:
        super().__init__()
        self.fine = _conv(channels, channels)
        self.coarse = _conv(coarser, channels)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        return torch.add(self.fine(fine), resize_bilinear(self.coarse(coarse), fine.shape[-2:]))


class _ChainedPooling(nn.Module):
    """Chained residual pooling: each link pools and convolves what the link before made, and all are summed."""

    def __init__(self, channels: int, links: int, *, conv_before_pool: bool) -> None:
        super().__init__()
        self.conv_before_pool = conv_before_pool
        self.convs = nn.ModuleList(_conv(channels, channels) for _ in range(links))

    def forward(self, x: Tensor) -> Tensor:
        x = link = F.relu(x)
        for conv in self.convs:
            link = _pool(conv(link)) if self.conv_before_pool else conv(_pool(link))
            x = x + link
        return x


def _pool(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 5, stride=1, padding=2)


def _conv(in_channels: int, channels: int, *, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(in_channels, channels, 3, padding=1, bias=bias)
