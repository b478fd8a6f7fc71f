"""ICNet: a deep network on a small image, shallow ones on larger images, joined from coarse to fine.

Zhao, Qi, Shen, Shi, Jia: ICNet for Real-Time Semantic Segmentation on High-Resolution Images. ECCV 2018.

Idea: what costs time is depth at high resolution. So the deep part (a thin PSPNet) sees a quarter of the resolution, its first
layers half of it, and three convolutions the whole image. Fusion units bring them together, and each fusion is guided in
training by the label at its own resolution.

    image, 1/2 -> conv1 .. conv3_1 ----------------------------------------.            strides 2 .. 16
                               `-> 1/2 -> conv3_2 .. conv5_3 -> pyramid -> fuse, 16     stride 32 -> 16
                                                                             `-> fuse, 8
    image ------> conv, conv, conv -----------------------------------------------^     strides 2, 4, 8
                                                                       x2 -> 1x1, K, 4 -> (H, W)

Source: sections 3 and 4, figures 2 and 4; widths, windows of the pyramid and the resizing with aligned corners as in the
released Caffe model, which is the pruned one; the classifiers of the guidance as in its ports. Convolutions start from He's
normal distribution, as there.
Deviations:
    * Images of other sizes than 32 n + 1 are grown to one by reflection, on which all branches fit; guidance is cropped alike.
    * The main score is trained at the size of the image, the paper's at a quarter of it. The guidance is at its own size, as
      there.
    * Windows of the pyramid step by (n - 1) // bins on a side of n; that is the release's on its 33 x 65 map, but for 21 in
      place of its 20 on the longer side with three bins. Maps with fewer pixels than bins have a window for each pixel.
    * Widths are those of the pruned network from the start (`width=32`), or of the one before (`width=64`); pruning itself, by
      which the paper gets from one to the other, is not part of the network.
    * Batch normalisation at PyTorch's momentum of 0.1 where the release has 0.05.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Auxiliary, Output
from intarsia.ops.cell_averages import cell_shares, corner_shares, is_exporting
from intarsia.ops.corner_grid import grow_to_corner_grid
from intarsia.ops.he_normal import he_normal_
from intarsia.ops.reflect import crop
from intarsia.ops.resize import resize_bilinear

__all__ = ["ICNet"]


class ICNet(nn.Module):
    """ICNet, pruned or not.

    Args:
        num_classes: K.
        in_channels: of the image.
        width: channels of the first convolution: 32 in the released, pruned network, 64 in the one it was pruned from.
    """

    TINY: ClassVar[dict[str, Any]] = {"width": 8}

    def __init__(self, *, num_classes: int, in_channels: int = 3, width: int = 32) -> None:
        super().__init__()
        w = width
        self.medium = nn.Sequential(  # strides 4 .. 16 of the image
            _conv(in_channels, w, 3, stride=2),
            _conv(w, w, 3),
            _conv(w, 2 * w, 3),
            nn.MaxPool2d(3, 2, padding=1),
            *_bottlenecks(2 * w, w, 3),
            _Bottleneck(4 * w, 2 * w, stride=2),
        )
        self.low = nn.Sequential(  # stride 32
            *(_Bottleneck(8 * w, 2 * w) for _ in range(3)),
            *_bottlenecks(8 * w, 4 * w, 6, dilation=2),
            *_bottlenecks(16 * w, 8 * w, 3, dilation=4),
            _PyramidSum((1, 2, 3, 6)),
            _conv(32 * w, 8 * w, 1),
        )
        self.high = nn.Sequential(  # strides 2, 4, 8
            _conv(in_channels, w, 3, stride=2), _conv(w, w, 3, stride=2), _conv(w, 2 * w, 3, stride=2)
        )
        self.fuse_medium = _Fusion(8 * w, 8 * w, 4 * w)
        self.fuse_high = _Fusion(4 * w, 2 * w, 4 * w)
        self.score_low = nn.Conv2d(8 * w, num_classes, 1)
        self.score_medium = nn.Conv2d(4 * w, num_classes, 1)
        self.score = nn.Conv2d(4 * w, num_classes, 1)
        he_normal_(self)

    def forward(self, image: Tensor) -> Output:
        grown = grow_to_corner_grid(image, 32)
        medium = self.medium(_halved(grown))  # (N, 256, H/16, W/16)
        low = _doubled(self.low(_halved(medium)))  # (N, 256, H/16, W/16), from H/32
        fused = _doubled(self.fuse_medium(low, medium))  # (N, 128, H/8, W/8), from H/16
        finest = _doubled(self.fuse_high(fused, self.high(grown)))  # (N, 128, H/4, W/4), from H/8

        def guidance(name: str, scores: Tensor, stride: int, weight: float) -> Auxiliary:
            size_hw = [(side + stride - 1) // stride for side in image.shape[-2:]]
            return Auxiliary(name, crop(scores, size_hw), target="label", weight=weight, resize="label")

        auxiliary = (
            guidance("low", self.score_low(low), 16, 0.16),
            guidance("medium", self.score_medium(fused), 8, 0.4),
        )
        logits = resize_bilinear(self.score(finest), grown.shape[-2:], align_corners=True)
        return Output(crop(logits, image.shape[-2:]), auxiliary)  # (N, K, H, W)


class _Bottleneck(nn.Module):
    """A residual block of 1x1, 3x3, 1x1 to four times the channels; a stride sits on the first 1x1."""

    def __init__(self, in_channels: int, channels: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            _conv(in_channels, channels, 1, stride=stride),
            _conv(channels, channels, 3, dilation=dilation),
            _conv(channels, 4 * channels, 1, relu=False),
        )
        same = in_channels == 4 * channels and stride == 1
        self.shortcut = nn.Identity() if same else _conv(in_channels, 4 * channels, 1, stride=stride, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.convs(x) + self.shortcut(x))


class _PyramidSum(nn.Module):
    """The map plus its averages over grids of windows, enlarged again; no weights."""

    def __init__(self, bins: tuple[int, ...]) -> None:
        super().__init__()
        self.bins = bins

    def forward(self, x: Tensor) -> Tensor:
        total = x
        for bins in self.bins:
            if is_exporting():
                rows, columns = (_exported_pyramid(side, bins, x.device) for side in x.shape[-2:])
                total = total + rows @ x @ columns.T
                continue
            windows = [pool_window(side, bins) for side in x.shape[-2:]]
            kernel, stride = [kernel for kernel, _ in windows], [stride for _, stride in windows]
            total = total + resize_bilinear(F.avg_pool2d(x, kernel, stride), x.shape[-2:], align_corners=True)
        return total


def pool_window(side: int, bins: int) -> tuple[int, int]:
    """Kernel and stride of as many windows along a side; they overlap by a pixel or more, as in the released network."""
    stride = max(1, (side - 1) // bins)
    return side - (min(bins, side) - 1) * stride, stride


def _exported_pyramid(side: int, bins: int, device: torch.device) -> Tensor:
    """(side, side): the windows of `pool_window` along a side of any length, averaged and enlarged again, by tensors alone."""
    index = torch.arange(bins, device=device)
    length = torch.arange(side, device=device)[-1] + 1
    stride = ((length - 1) // bins).clamp_min(1)
    windows = length.clamp_max(bins)
    start = (index * stride).minimum(length - 1)  # where there are fewer windows than bins, the last are not used
    shares = cell_shares(start, start + length - (windows - 1) * stride, side)
    return corner_shares(windows, bins, side) @ shares


class _Fusion(nn.Module):
    """Cascade feature fusion: a coarse map, already enlarged, through a dilated 3x3; a fine one through 1x1; sum, ReLU."""

    def __init__(self, coarse: int, fine: int, channels: int) -> None:
        super().__init__()
        self.coarse = _conv(coarse, channels, 3, dilation=2, relu=False)
        self.fine = _conv(fine, channels, 1, relu=False)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        return F.relu(self.coarse(coarse) + self.fine(fine))


def _conv(before: int, after: int, kernel: int, *, stride: int = 1, dilation: int = 1, relu: bool = True) -> nn.Sequential:
    conv = nn.Conv2d(before, after, kernel, stride, dilation * (kernel - 1) // 2, dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), *[nn.ReLU(inplace=True)] * relu)


def _bottlenecks(in_channels: int, channels: int, count: int, *, dilation: int = 1) -> list[_Bottleneck]:
    """`count` blocks, of which the first changes the number of channels."""
    return [_Bottleneck(in_channels if index == 0 else 4 * channels, channels, dilation=dilation) for index in range(count)]


def _halved(x: Tensor) -> Tensor:
    """Every second pixel of sides 2 n + 1: what bilinear resizing to n + 1 with aligned corners is."""
    return x[..., ::2, ::2]


def _doubled(x: Tensor) -> Tensor:
    return resize_bilinear(x, [2 * side - 1 for side in x.shape[-2:]], align_corners=True)
