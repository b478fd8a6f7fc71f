"""U-Net: a contracting path, an expanding path, and each level's maps handed across from one to the other.

Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation. MICCAI 2015.

Idea: pooling finds out what is in the image, at the price of where. On the way back up, each level gets the maps that the same
level had on the way down, so that the last convolutions see what and where together. All of it is convolutions on many small
maps, which strong augmentation trains from a few images.

    image -> 64 ----------------- crop -----------------> [64|64] -> 64 -> 1x1, K     stride 1
              `-> 128 ----------- crop ----------> [128|128] -> 128 -^                       2
                   `-> 256 ------ crop ----> [256|256] -> 256 -^                             4
                        `-> 512 - crop -> [512|512] -> 512 -^                                8
                             `-> 1024 --------^                                             16

    a number: two 3x3 convolutions with ReLU; down: max pooling; up: a transposed 2x2 convolution that halves the channels

Source: section 2, figure 1 (572 -> 388 pixels, without padding) and the initial weights of section 3; dropout "at the end of the
contracting path" (section 3.1) is put after its last two levels with probability 0.5, as the common ports have it.
Deviations:
    * The default `padding="same"` keeps sizes and normalises each convolution over the batch, as nearly all later users of the
      architecture do: it trains faster and at higher learning rates. `padding="valid"` is the network of 2015.
    * Without padding, the 92 pixels that the paper mirrors around a large image are mirrored around any image here, and a few
      more up to the next size that the four poolings can halve; the answer is cropped to the image.
    * `se` is an option beside the paper, from Roy et al. 2018 (`models/parts/scse.py`): a block after each level of both paths.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Output
from intarsia.models.parts.scse import recalibrated_channels, recalibration
from intarsia.ops.he_normal import he_normal_
from intarsia.ops.reflect import crop, grow_to_multiple, reflect_border

__all__ = ["UNet"]


class UNet(nn.Module):
    """U-Net, without padding as in 2015 or with it.

    Args:
        num_classes: K.
        in_channels: of the image.
        padding: "same" keeps sizes; "valid" convolves only where the map has all its neighbours, within a mirrored border.
        norm: "batch" puts batch normalisation after each 3x3 convolution, which then has no bias; None is "batch" for same
            padding and "none" for valid.
        dropout: probability, after the last two levels of the contracting path; None is 0 with normalisation and 0.5 without.
        width: channels of the first level; they double with each.
        depth: number of poolings.
        se: recalibrates what each level hands on, the lowest aside: by channel, by pixel, or both, joined as it says.
    """

    TINY: ClassVar[dict[str, Any]] = {"width": 8, "depth": 3}

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        padding: Literal["same", "valid"] = "same",
        norm: Literal["batch", "none"] | None = None,
        dropout: float | None = None,
        width: int = 64,
        depth: int = 4,
        se: Literal["none", "cse", "sse", "scse_max", "scse_add", "scse_multiply", "scse_concat"] = "none",
    ) -> None:
        super().__init__()
        same = padding == "same"
        normalise = same if norm is None else norm == "batch"
        widths = [width * 2**level for level in range(depth + 1)]
        self.grow = _grow_same if same else _grow_valid
        self.depth = depth
        handed_on = [*(recalibrated_channels(channels, se) for channels in widths[:-1]), widths[-1]]
        self.down = nn.ModuleList(
            _two_convs(before, after, same, normalise, "none" if level == depth else se)
            for level, (before, after) in enumerate(zip([in_channels, *handed_on], widths, strict=False))
        )
        self.dropout = nn.Dropout((0.0 if normalise else 0.5) if dropout is None else dropout)
        upwards = list(zip(handed_on[:0:-1], widths[-2::-1], strict=True))  # (1024, 512), (512, 256), (256, 128), (128, 64)
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(before, after, 2, stride=2) for before, after in upwards)
        self.up = nn.ModuleList(
            _two_convs(after + recalibrated_channels(after, se), after, same, normalise, se) for _, after in upwards
        )
        self.score = nn.Conv2d(handed_on[0], num_classes, 1)
        he_normal_(self)

    def forward(self, image: Tensor) -> Output:
        x = self.grow(image, self.depth)
        maps = []
        for level, convs in enumerate(self.down):
            x = convs(F.max_pool2d(x, 2) if level else x)  # (N, 64 * 2^level, H / 2^level, W / 2^level)
            x = self.dropout(x) if level >= self.depth - 1 else x
            maps.append(x)
        maps.pop()
        for enlarge, convs in zip(self.enlarge, self.up, strict=True):
            x = enlarge(x)
            skip = maps.pop()
            margin = (skip.shape[-1] - x.shape[-1]) // 2  # 0, or without padding 4, 16, 40, 88
            x = convs(torch.cat([crop(skip, x.shape[-2:], margin), x], dim=1))
        return Output(crop(self.score(x), image.shape[-2:]))  # (N, K, H, W)


def _grow_same(image: Tensor, depth: int) -> Tensor:
    return grow_to_multiple(image, 2**depth)


def _grow_valid(image: Tensor, depth: int) -> Tensor:
    """Mirror the border that the convolutions eat, 6 * 2^depth - 4 pixels (92), and go on to a size that halves `depth` times.

    Legal sizes are unit * cells + 4 (unit - 1), unit = 2^depth (16 b + 60), of which unit * cells - 8 unit + 4 remain.
    """
    unit: int = 2**depth
    border = 6 * unit - 4

    def after(size: int) -> int:
        cells = (size + 9 * unit - 5) // unit
        return unit * cells + 4 * (unit - 1) - border - size

    return reflect_border(image, top=border, bottom=after(image.shape[-2]), left=border, right=after(image.shape[-1]))


def _two_convs(in_channels: int, channels: int, same: bool, normalise: bool, se: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before in (in_channels, channels):
        layers.append(nn.Conv2d(before, channels, 3, padding=1 if same else 0, bias=not normalise))
        if normalise:
            layers.append(nn.BatchNorm2d(channels))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers, recalibration(channels, se))
