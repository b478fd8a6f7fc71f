"""U-Net on an encoder: a classifier's trunk as the contracting path, and an expanding path that gets its features.

Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation. MICCAI 2015; with a classifier's
trunk after Iglovikov, Shvets: TernausNet: U-Net with VGG11 Encoder Pre-Trained on ImageNet for Image Segmentation. 2018.

Idea: the contracting path of a U-Net looks like a classifier, so it can be one, and come with ImageNet weights. The expanding
path doubles the size of the map, lays the encoder's feature of that size beside it, and convolves both, up to the image.

    image --------------------------------------------------------------------------> 16 -> 3x3, K      stride 1
       `-> 64 ------------------------------------------------------------> [64|64] -> 32 -^                  2
            `-> 256 ---------------------------------------------> [128|256] -> 64 -^                        4
                 `-> 512 --------------------------------> [256|512] -> 128 -^                                8
                      `-> 1024 ------------------> [2048|1024] -> 256 -^                                     16
                            `-> 2048 ----------------^                                                       32

    a number: two 3x3 convolutions with normalisation and ReLU; up: nearest neighbour; [a|b]: enlarged beside handed across

Source: the U-Net of segmentation_models_pytorch, whose weights fit (`intarsia import`): widths, nearest neighbour, no
convolutions at the image's size before the last block, and the 3x3 convolution of the scores.
Deviations:
    * Maps are enlarged by the nearest neighbour where both papers have transposed convolutions.
    * The U-Net of 2015 is `unet`; this one is everybody's U-Net with a pretrained encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Output, SettingsError
from intarsia.encoders import Encoder
from intarsia.models.parts.conv_norm_relu import conv_norm_relu
from intarsia.ops.he_normal import he_normal_
from intarsia.ops.reflect import crop, grow_to_multiple

__all__ = ["UNetEncoder"]


class UNetEncoder(nn.Module):
    """U-Net on any encoder.

    Args:
        encoder: all of its features are handed across.
        num_classes: K.
        channels: of the blocks of the expanding path, coarse to fine: one for each feature but the last, and one for each further
            doubling up to the size of the image.
        enlarge: by the nearest neighbour, or bilinearly.
    """

    ENCODER: ClassVar[str] = "resnet34"
    OUTPUT_STRIDE: ClassVar[int] = 32
    TINY: ClassVar[dict[str, Any]] = {"encoder": "test_resnet", "channels": (64, 48, 32, 16, 16)}

    def __init__(
        self,
        *,
        encoder: Encoder,
        num_classes: int,
        channels: tuple[int, ...] = (256, 128, 64, 32, 16),
        enlarge: Literal["nearest", "bilinear"] = "nearest",
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.mode = enlarge
        handed = encoder.channels[-2::-1]
        extra = encoder.strides[0].bit_length() - 1  # doublings behind the finest feature
        if len(channels) != len(handed) + extra:
            raise SettingsError(
                f"This U-Net's `channels` are {channels}, and on an encoder with strides "
                f"{', '.join(map(str, encoder.strides))} it has {len(handed) + extra} blocks. Give one number for each."
            )
        skips = (*handed, *[0] * extra)
        befores = (encoder.channels[-1], *channels)
        self.blocks = nn.ModuleList(
            nn.Sequential(conv_norm_relu(before + skip, after, 3), conv_norm_relu(after, after, 3))
            for before, skip, after in zip(befores, skips, channels, strict=False)
        )
        self.score = nn.Conv2d(channels[-1], num_classes, 3, padding=1)
        he_normal_(self.blocks)
        nn.init.xavier_uniform_(self.score.weight)

    def forward(self, image: Tensor) -> Output:
        grown = grow_to_multiple(image, self.encoder.size_divisor)
        *features, x = self.encoder(grown)  # (N, 2048, H/32, W/32)
        for index, block in enumerate(self.blocks):
            if features:
                skip = features.pop()
                x = torch.cat([self._enlarged(x, skip.shape[-2:]), skip], dim=1)
            else:
                x = self._enlarged(x, _finer(grown.shape[-2:], len(self.blocks) - 1 - index))
            x = block(x)  # strides 16, 8, 4, 2, 1
        return Output(crop(self.score(x), image.shape[-2:]))  # (N, K, H, W)

    def _enlarged(self, x: Tensor, size_hw: Sequence[int]) -> Tensor:
        return F.interpolate(x, list(size_hw), mode=self.mode)


def _finer(size_hw: Sequence[int], doublings: int) -> list[int]:
    """The size of a map from which so many doublings are left."""
    return [(side + 2**doublings - 1) // 2**doublings for side in size_hw]
