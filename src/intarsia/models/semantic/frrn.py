"""FRRN: one stream of maps at full resolution for the borders, another that is pooled for what things are, coupled all along.

Pohlen, Hermans, Mathias, Leibe: Full-Resolution Residual Networks for Semantic Segmentation in Street Scenes. CVPR 2017.

Idea: the residual stream z keeps the size of the image; nothing but sums ever touches it. The pooling stream y goes down and up
again. Each unit reads both, z pooled to the size of y, and writes to both: y_n = G(y, z), z_n = z + H(y, z) with H enlarged, so
that every unit has a short way to the loss.

    image -> 5x5, 48 -> 3 RU -> split -> 1x1, 32 ------ z ----- + ----- + ---- ... ---- + --> concat -> 3 RU, 48 -> 1x1, K
                                  |                     |       ^       ^              ^        ^       (N, K, H, W)
                                  `-> pool -> y ----> [FRRU] -' [FRRU] -' pool ... unpool -> y -'

    A   3 x 96 at 1/2, 4 x 192 at 1/4, 2 x 384 at 1/8, 2 x 384 at 1/16, 2 x 192 at 1/8, 2 x 192 at 1/4, 2 x 96 at 1/2
    B   the same, and below 2 x 384 at 1/32, 2 x 192 at 1/16

Source: sections 3 and 4, figure 2, table 1; normalisation of the split, maximum pooling of z, nearest enlarging of H, bilinear
enlarging of y and He's uniform initialisation as in the authors' Theano code.
Deviations:
    * `checkpointing` computes activations again where the authors cut the graph by hand, at every level instead of at one place
      (A) or four (B): the gradients are the same.
    * Sides that are no multiples of 16 (A) or 32 (B) are grown by reflection and cropped back; the paper has fixed sizes.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Output
from intarsia.models.parts.checkpointed import checkpointed
from intarsia.ops.reflect import crop, grow_to_multiple
from intarsia.ops.resize import resize_bilinear

__all__ = ["FRRN"]

# of each level: its units, the factor on the width, and the stride
DOWN = [(3, 2, 2), (4, 4, 4), (2, 8, 8), (2, 8, 16)]
UP = [(2, 4, 8), (2, 4, 4), (2, 2, 2)]
LEVELS = {"A": [*DOWN, *UP], "B": [*DOWN, (2, 8, 32), (2, 4, 16), *UP]}


class FRRN(nn.Module):
    """FRRN-A or -B.

    Args:
        num_classes: K.
        in_channels: of the image.
        variant: "B" goes one pooling deeper, for images twice as large.
        checkpointing: computes the activations again in the backward pass, for a fraction of the memory.
        width: channels of the first and the last units.
        lanes: channels of the residual stream.
    """

    TINY: ClassVar[dict[str, Any]] = {"width": 8, "lanes": 2}

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        variant: Literal["A", "B"] = "A",
        checkpointing: bool = False,
        width: int = 48,
        lanes: int = 32,
    ) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.divisor = max(stride for *_, stride in LEVELS[variant])
        self.stem = nn.Sequential(_conv(in_channels, width, 5), nn.ReLU(inplace=True), *(_RU(width, width) for _ in range(3)))
        self.split = _conv(width, lanes, 1, relu=False)
        self.levels = nn.ModuleList()
        before, above = width, 1
        for units, factor, stride in LEVELS[variant]:
            self.levels.append(_Level(units, before, factor * width, lanes, stride, down=stride > above))
            before, above = factor * width, stride
        self.tail = nn.Sequential(_RU(before + lanes, width), _RU(width, width), _RU(width, width))
        self.score = nn.Conv2d(width, num_classes, 1)
        _he_uniform_(self.score, relu=False)

    def forward(self, image: Tensor) -> Output:
        y = self._run(self.stem, grow_to_multiple(image, self.divisor))  # (N, 48, H, W)
        z = self.split(y)  # (N, 32, H, W)
        for level in self.levels:
            y, z = self._run(level, y, z)
        x = self._run(self.tail, torch.cat([_unpool(y), z], dim=1))  # (N, 128, H, W) to (N, 48, H, W)
        return Output(crop(self.score(x), image.shape[-2:]))  # (N, K, H, W)

    def _run(self, block: nn.Module, *inputs: Tensor) -> Any:
        return checkpointed(block, *inputs) if self.checkpointing else block(*inputs)


class _RU(nn.Module):
    """Residual unit: two 3x3 convolutions and a shortcut, without a ReLU after the sum."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            _conv(in_channels, channels, 3), nn.ReLU(inplace=True), _conv(channels, channels, 3, relu=False)
        )
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != channels:
            self.shortcut = nn.Conv2d(in_channels, channels, 1, bias=False)
            _he_uniform_(self.shortcut, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(self.shortcut(x), self.convs(x))


class _Level(nn.Module):
    """A step of the pooling stream down or up, and the units there."""

    def __init__(self, units: int, in_channels: int, channels: int, lanes: int, stride: int, *, down: bool) -> None:
        super().__init__()
        self.down = down
        self.units = nn.ModuleList(_FRRU(channels if unit else in_channels, channels, lanes, stride) for unit in range(units))

    def forward(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        y = F.max_pool2d(y, 2) if self.down else _unpool(y)
        for unit in self.units:
            y, z = unit(y, z)
        return y, z


class _FRRU(nn.Module):
    """Full-resolution residual unit: y (N, C, H / stride, W / stride) and z (N, lanes, H, W) to their next."""

    def __init__(self, in_channels: int, channels: int, lanes: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.convs = nn.Sequential(
            _conv(in_channels + lanes, channels, 3),
            nn.ReLU(inplace=True),
            _conv(channels, channels, 3),
            nn.ReLU(inplace=True),
        )
        self.residual = nn.Conv2d(channels, lanes, 1)
        _he_uniform_(self.residual, relu=False)

    def forward(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        y = self.convs(torch.cat([y, F.max_pool2d(z, self.stride)], dim=1))
        return y, z + F.interpolate(self.residual(y), scale_factor=self.stride, mode="nearest")


def _unpool(y: Tensor) -> Tensor:
    """Twice the size, as Theano's bilinear upsampling: pixel 2i is pixel i, 2i + 1 the mean of i and i + 1, the last repeated."""
    height, width = y.shape[-2:]
    repeated = F.pad(y, (0, 1, 0, 1), mode="replicate")
    return crop(resize_bilinear(repeated, (2 * height + 1, 2 * width + 1), align_corners=True), (2 * height, 2 * width))


def _conv(in_channels: int, channels: int, kernel: int, *, relu: bool = True) -> nn.Sequential:
    """Convolution and normalisation; `relu` says whether a ReLU follows, for the scale of the initial weights."""
    conv = nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2, bias=False)
    _he_uniform_(conv, relu=relu)
    return nn.Sequential(conv, nn.BatchNorm2d(channels, eps=1e-4))


def _he_uniform_(conv: nn.Conv2d, *, relu: bool) -> None:
    nn.init.kaiming_uniform_(conv.weight, nonlinearity="relu" if relu else "linear")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
