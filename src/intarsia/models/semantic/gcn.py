"""GCN, the global convolutional network: kernels nearly as large as the map, split in two so that they can be afforded.

Peng, Zhang, Yu, Luo, Sun: Large Kernel Matters: Improve Semantic Segmentation by Global Convolutional Network. CVPR 2017.

Idea: to say what a pixel is, a classifier should see the whole object, and to say where it is, it must stay convolutional. So
each feature is classified by a convolution of k x k with k about the size of the coarsest map, as k x 1 then 1 x k plus 1 x k
then k x 1. Everything after is score maps of K channels, whose borders small residual blocks refine.

    stride 32 -> GCN -> BR --- x2 -.
    stride 16 -> GCN -> BR ------- + -> BR -- x2 -.
    stride 8 --> GCN -> BR ---------------------- + -> BR -- x2 -.
    stride 4 --> GCN -> BR ------------------------------------- + -> BR -- x2 -> BR -- x2 -> BR -> (N, K, H, W)

    BR, boundary refinement: x + conv(ReLU(conv(x)))

Source: section 3, figures 2 and 3; the blocks compared with it, figure 4 and tables 1 to 4. The weights that table 2 counts,
such as 782 thousand for k = 9 and 21 classes at stride 32, leave out biases, and so tells table 4 how wide the stack of 3x3
convolutions is: as wide as its input (75,885 thousand for k = 7), without ReLU in between.
Deviations:
    * Biases in all convolutions, as in the usual PyTorch port. Initial weights are normal and keep the variance, with He's factor
      of 2 only where a ReLU follows: with it everywhere, as in that port, a tiny network diverged within three steps.
      The paper says neither.
    * Scores are enlarged by bilinear interpolation to the size of the finer map. `upsample="deconv"` learns 4x4 transposed
      convolutions, bilinear at first; the paper deconvolves without saying the kernel.
    * Any encoder with features of strides 4 and coarser besides ResNet-152; and the ResNet-GCN of section 4.3, a backbone with
      large kernels inside, is not here.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Output, SettingsError
from intarsia.encoders import Encoder
from intarsia.ops.reflect import crop, grow_to_multiple
from intarsia.ops.resize import resize_bilinear
from intarsia.ops.transposed_bilinear import fill_bilinear_

__all__ = ["GCN"]


class GCN(nn.Module):
    """GCN with boundary refinement on the last four features of an encoder.

    Args:
        encoder: ResNet-152 in the paper.
        num_classes: K.
        block: how a feature is turned into scores: the paper's, or what its figure 4 compares it with: 1x1, k x k, or so many
            3x3 that they see as much as k x k.
        kernel: k, odd.
        upsample: how scores are enlarged.
        stack_channels: between the 3x3 convolutions of a stack; None: as many as the feature has.
    """

    ENCODER: ClassVar[str] = "resnet50"
    OUTPUT_STRIDE: ClassVar[int] = 32
    TINY: ClassVar[dict[str, Any]] = {"encoder": "test_resnet", "kernel": 7}

    def __init__(
        self,
        *,
        encoder: Encoder,
        num_classes: int,
        block: Literal["gcn", "conv1x1", "kxk", "stack3x3"] = "gcn",
        kernel: int = 15,
        upsample: Literal["bilinear", "deconv"] = "bilinear",
        stack_channels: int | None = None,
    ) -> None:
        super().__init__()
        if encoder.strides[-4:] != (4, 8, 16, 32):
            raise SettingsError(
                f"GCN scores features of strides 4, 8, 16 and 32, and this encoder has strides "
                f"{', '.join(map(str, encoder.strides))}. Choose one such as resnet50, at output stride 32."
            )
        if kernel < 1 or kernel % 2 == 0:
            raise SettingsError(f"GCN's kernel is {kernel}; it must be odd, so that the map keeps its size. The paper's is 15.")
        self.encoder = encoder
        self.blocks = nn.ModuleList(
            nn.Sequential(_block(block, channels, num_classes, kernel, stack_channels), _Refine(num_classes))
            for channels in encoder.channels[-4:]
        )
        self.enlarge = nn.ModuleList(_Enlarge(num_classes, learn=upsample == "deconv") for _ in range(5))
        self.refine = nn.ModuleList(_Refine(num_classes) for _ in range(5))

    def forward(self, image: Tensor) -> Output:
        grown = grow_to_multiple(image, self.encoder.size_divisor)
        features = self.encoder(grown)[-4:]
        *finer, x = [block(feature) for block, feature in zip(self.blocks, features, strict=True)]  # (N, K, h, w)
        for enlarge, refine in zip(self.enlarge[:3], self.refine[:3], strict=True):
            scores = finer.pop()
            x = refine(enlarge(x, scores.shape[-2:]) + scores)  # strides 16, 8, 4
        height, width = grown.shape[-2:]
        for enlarge, refine, stride in zip(self.enlarge[3:], self.refine[3:], (2, 1), strict=True):
            x = refine(enlarge(x, ((height + stride - 1) // stride, (width + stride - 1) // stride)))
        return Output(crop(x, image.shape[-2:]))  # (N, K, H, W)


class _GlobalConv(nn.Module):
    """A k x k convolution in two halves of rank one each, without a nonlinearity: (N, C, h, w) to (N, K, h, w)."""

    def __init__(self, in_channels: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.columns_first = nn.Sequential(_conv(in_channels, channels, (kernel, 1)), _conv(channels, channels, (1, kernel)))
        self.rows_first = nn.Sequential(_conv(in_channels, channels, (1, kernel)), _conv(channels, channels, (kernel, 1)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(self.columns_first(x), self.rows_first(x))


class _Refine(nn.Module):
    """Boundary refinement."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels, (3, 3), relu=True)
        self.second = _conv(channels, channels, (3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.second(F.relu(self.first(x))))


class _Enlarge(nn.Module):
    """Twice the size, less a row or column where the finer map has an odd side."""

    def __init__(self, channels: int, *, learn: bool) -> None:
        super().__init__()
        self.deconv = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1) if learn else None
        if self.deconv is not None and self.deconv.bias is not None:
            fill_bilinear_(self.deconv.weight)
            nn.init.zeros_(self.deconv.bias)

    def forward(self, x: Tensor, size_hw: tuple[int, int]) -> Tensor:
        return resize_bilinear(x, size_hw) if self.deconv is None else crop(self.deconv(x), size_hw)


def _block(kind: str, in_channels: int, channels: int, kernel: int, stack_channels: int | None) -> nn.Module:
    if kind == "gcn":
        return _GlobalConv(in_channels, channels, kernel)
    if kind == "conv1x1":
        return _conv(in_channels, channels, (1, 1))
    if kind == "kxk":
        return _conv(in_channels, channels, (kernel, kernel))
    between = stack_channels or in_channels
    widths = [in_channels, *[between] * (kernel // 2 - 1), channels]
    return nn.Sequential(*(_conv(before, after, (3, 3)) for before, after in pairwise(widths)))


def _conv(in_channels: int, channels: int, kernel_hw: tuple[int, int], *, relu: bool = False) -> nn.Conv2d:
    conv = nn.Conv2d(in_channels, channels, kernel_hw, padding=(kernel_hw[0] // 2, kernel_hw[1] // 2))
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu" if relu else "linear")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
