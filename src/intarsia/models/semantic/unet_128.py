"""U-Net for images of 128 x 128 pixels, in the two Keras forms that tutorials hand on.

Two public notebooks for the TGS Salt Identification Challenge, 2018, after Ronneberger, Fischer, Brox: U-Net, MICCAI 2015.

Idea: a quarter of the channels of U-Net and padding throughout make it train in minutes on small images. Dropout after each
pooling and after each concatenation keeps a network of two million weights from learning a few thousand images by heart.

    image -> 16 ---------------------------------> [16|16] -> 16 -> 1x1, K         128 x 128
              `-> 32 ------------------------> [32|32] -> 32 -^                      64
                   `-> 64 --------------> [64|64] -> 64 -^                           32
                        `-> 128 ---> [128|128] -> 128 -^                             16
                             `-> 256 -----^                                           8

    a number: two 3x3 convolutions with ReLU; down: max pooling; up: a transposed 3x3 convolution of stride 2

Source: `form="plain"`: the kernel "U-net, dropout, augmentation, stratification", without normalisation, with dropout of 0.25
after the first pooling and 0.5 elsewhere. `form="notebook"`: the TGS U-Net notebook with batch normalisation and dropout of
0.05. There the second convolution of each block reads the input of the first, which is thus dead; `single_conv=True` is the
network that this really is (1,177,649 weights), the default the one it was meant to be (2,161,361).
Deviations:
    * Logits of K classes instead of one probability.
    * Batch normalisation at PyTorch's momentum of 0.1 where Keras has 0.01: short trainings need running statistics too.
    * Any size is grown to a multiple of 16 by reflection and cropped back; both notebooks resize to 128 x 128.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Output
from intarsia.ops.reflect import crop, grow_to_multiple

__all__ = ["UNet128"]


class UNet128(nn.Module):
    """U-Net in the Keras forms for 128 x 128 pixels.

    Args:
        num_classes: K.
        in_channels: of the image.
        form: "plain" has no normalisation and strong dropout, "notebook" has batch normalisation and little dropout.
        single_conv: one convolution in each block, as the published notebook runs.
        width: channels of the first level; they double with each of the four poolings.
    """

    TINY: ClassVar[dict[str, Any]] = {"width": 8}

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        form: Literal["plain", "notebook"] = "plain",
        single_conv: bool = False,
        width: int = 16,
    ) -> None:
        super().__init__()
        normalise = form == "notebook"
        convs = 1 if single_conv else 2
        widths = [width * 2**level for level in range(5)]
        self.first_dropout = nn.Dropout(0.05 if normalise else 0.25)
        self.dropout = nn.Dropout(0.05 if normalise else 0.5)
        self.down = nn.ModuleList(
            _block(before, after, convs, normalise) for before, after in zip([in_channels, *widths], widths, strict=False)
        )
        upwards = list(zip(widths[:0:-1], widths[-2::-1], strict=True))  # (256, 128), (128, 64), (64, 32), (32, 16)
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(before, after, 3, stride=2) for before, after in upwards)
        self.up = nn.ModuleList(_block(2 * after, after, convs, normalise) for _, after in upwards)
        self.score = nn.Conv2d(width, num_classes, 1)
        _keras_initial_weights_(self, he_normal=normalise)

    def forward(self, image: Tensor) -> Output:
        first, *deeper = self.down
        skips = [first(grow_to_multiple(image, 16))]  # (N, 16, H, W)
        for level, block in enumerate(deeper):
            dropout = self.dropout if level else self.first_dropout
            skips.append(block(dropout(F.max_pool2d(skips[-1], 2))))  # (N, 32, H/2, W/2) to (N, 256, H/16, W/16)
        x = skips.pop()
        for enlarge, block in zip(self.enlarge, self.up, strict=True):
            skip = skips.pop()
            enlarged = crop(enlarge(x), skip.shape[-2:])  # Keras' "same" drops the last row and column
            x = block(self.dropout(torch.cat([enlarged, skip], dim=1)))
        return Output(crop(self.score(x), image.shape[-2:]))  # (N, K, H, W)


def _block(in_channels: int, channels: int, convs: int, normalise: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index in range(convs):
        layers.append(nn.Conv2d(channels if index else in_channels, channels, 3, padding=1))
        if normalise:
            layers.append(nn.BatchNorm2d(channels, eps=1e-3))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def _keras_initial_weights_(network: UNet128, *, he_normal: bool) -> None:
    """Glorot's uniform distribution; for the blocks of the notebook, He's normal one, cut off at two deviations as Keras does."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            if he_normal and isinstance(module, nn.Conv2d) and module is not network.score:
                spread = (2 / module.weight[0].numel()) ** 0.5 / 0.8796256610342398  # what the cut takes from the deviation
                nn.init.trunc_normal_(module.weight, std=spread, a=-2 * spread, b=2 * spread)
            else:
                nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
