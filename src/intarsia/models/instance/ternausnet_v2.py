"""TernausNetV2: a U-Net of objects and of where they touch.

Iglovikov, Seferbekov, Buslaev, Shvets: TernausNetV2: Fully Convolutional Network for Instance Segmentation. CVPR Workshops 2018.

Idea: a network that segments can count if it also learns where objects touch. Without those pixels what is left of each object
is an island, from which the object is grown again. The encoder is a wide ResNet without early strides, so that the thinnest of
borders reach the decoder, and its first convolution takes as many bands as the sensor has.

    image -> 3x3, 64 -----------------------------------------------------------> [32|64] -> 32 -> 1x1, T + 1    stride 1
              `-> 128 --------------------------------------------------> [64|128] -> 32 -^                           2
                   `-> 256 ------------------------------------> [256|256] -> 64 -^                                   4
                        `-> 512 ----------------------> [256|512] -> 256 -^                                           8
                             `-> 1024 --------> [256|1024] -> 256 -^                                                 16
                                  `-> pool, 256 -^                                                                   32

    left: WiderResNet-38, `encoders/wider_resnet38.py`
    right: enlarged by the nearest neighbour, two 3x3 with ReLU, of which the last stage has one and enlarges nothing

Source: section 3 and figure 2; channels of the decoder as in the authors' code. `postprocess/border_watershed.py` cuts objects.
Deviations:
    * The paper has one class. For T classes of things each has a channel of its own, and all share the one of touching borders:
      borders are where objects touch, whatever they are.
    * The pixels by which an image grows to a multiple of 32 are all at the bottom and on the right, not on both sides.
    * The decoder starts from He's normal distribution as the encoder does, for which the paper has weights from ImageNet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Output
from intarsia.encoders.wider_resnet38 import WiderResNet38
from intarsia.ops.he_normal import he_normal_
from intarsia.ops.reflect import crop, grow_to_multiple

__all__ = ["TernausNetV2"]


class TernausNetV2(nn.Module):
    """TernausNetV2; the logits are T of objects, one for each class of things, and one of touching borders, all for a sigmoid.

    Args:
        num_classes: T, of things.
        in_channels: bands of the image.
        width: channels of the encoder's first stage; they double with each.
        depths: blocks of the encoder's other stages.
        channels: of the decoder's last stages, 8 times as many in its first.
    """

    TINY: ClassVar[dict[str, Any]] = {"width": 4, "depths": (1, 1, 1, 1), "channels": 4}
    TARGETS: ClassVar[tuple[str, ...]] = ("touching_borders",)
    LOSS: ClassVar[str] = "objects_and_borders"
    DECODER: ClassVar[str] = "border_watershed"

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        width: int = 64,
        depths: tuple[int, ...] = (3, 3, 6, 3),
        channels: int = 32,
    ) -> None:
        super().__init__()
        self.encoder = WiderResNet38(in_channels=in_channels, width=width, depths=depths)
        first, second, third, fourth, fifth = self.encoder.channels
        wide = 8 * channels
        self.decoders = nn.ModuleList(
            [
                _decoder(fifth, wide, wide),
                _decoder(wide + fifth, wide, wide),
                _decoder(wide + fourth, wide, wide),
                _decoder(wide + third, 2 * channels, 2 * channels),
                _decoder(2 * channels + second, 2 * channels, channels),
            ]
        )
        self.last = nn.Sequential(nn.Conv2d(channels + first, channels, 3, padding=1), nn.ReLU(inplace=True))
        self.score = nn.Conv2d(channels, num_classes + 1, 1)
        he_normal_(self.decoders)
        he_normal_(self.last)

    def forward(self, image: Tensor, targets: Mapping[str, Tensor] | None = None) -> Output:
        features = self.encoder(grow_to_multiple(image, 32))  # strides 1, 2, 4, 8, 16
        x = F.max_pool2d(features[-1], 2)  # (N, 1024, H/32, W/32)
        for decode in self.decoders:
            x = torch.cat([decode(x), features.pop()], 1)  # strides 16, 8, 4, 2, 1
        return Output(crop(self.score(self.last(x)), image.shape[-2:]))  # (N, T + 1, H, W)


def _decoder(in_channels: int, between: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Conv2d(in_channels, between, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(between, channels, 3, padding=1),
        nn.ReLU(inplace=True),
    )
