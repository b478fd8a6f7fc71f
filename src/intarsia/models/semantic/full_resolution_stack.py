"""Full-resolution stack: 3x3 convolutions one on the other, none of which makes the map smaller. What not to do.

Taught as the first idea for segmentation that does not work, as in Stanford's CS231n, 2017; no paper proposes it.

Idea: the answer has the size of the image, so why pool? Because every layer then costs as much as the first, in arithmetic and in
memory, and adds only two pixels to what is seen: eight layers see 17 pixels, and 202 would be needed for the 404 of VGG-16. It
labels textures, and is here to be compared with.

    image -> 3x3, 64 -> 3x3, 64 -> ... -> 3x3, 64 -> 1x1, K      eight times, all at stride 1

Source: none; eight layers of 64 maps with batch normalisation and ReLU, He's normal distribution.
Deviations: none. Dilation would help, and make it the context module of Yu and Koltun.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from intarsia.core import Output
from intarsia.models.parts.conv_norm_relu import conv_norm_relu
from intarsia.ops.he_normal import he_normal_

__all__ = ["FullResolutionStack"]


class FullResolutionStack(nn.Module):
    """Convolutions at the resolution of the image.

    Args:
        num_classes: K.
        in_channels: of the image.
        depth: number of 3x3 convolutions; they see 2 depth + 1 pixels.
        width: channels of each.
        norm: "batch", or "none" for convolutions with bias instead.
    """

    TINY: ClassVar[dict[str, Any]] = {"width": 24}

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        depth: int = 8,
        width: int = 64,
        norm: Literal["batch", "none"] = "batch",
    ) -> None:
        super().__init__()
        layer = conv_norm_relu if norm == "batch" else _conv_relu
        self.layers = nn.Sequential(*(layer(width if index else in_channels, width, 3) for index in range(depth)))
        self.score = nn.Conv2d(width, num_classes, 1)
        he_normal_(self)

    def forward(self, image: Tensor) -> Output:
        return Output(self.score(self.layers(image)))  # (N, 64, H, W) all the way, then (N, K, H, W)


def _conv_relu(in_channels: int, channels: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2), nn.ReLU(inplace=True))
