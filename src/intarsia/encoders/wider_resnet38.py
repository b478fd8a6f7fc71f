"""WiderResNet-38 in its A form: few, wide residual blocks that are normalised before they convolve.

Wu, Shen, van den Hengel: Wider or Deeper: Revisiting the ResNet Model for Visual Recognition. 2016. The form is that of
Rota Bulò, Porzi, Kontschieder: In-Place Activated BatchNorm for Memory-Optimized Training of DNNs. CVPR 2018.

    image -> 3x3, 64 -> pool -> 3 x 128 -> pool -> 3 x 256 -> pool -> 6 x 512 -> pool -> 3 x 1024
              stride 1              2                 4                  8                  16

Source: table 1 and section 3 of the second; blocks, the slope of 0.01 and max pools of 2x2 as in its code and in that of
TernausNetV2, which cuts the trunk here: a feature is a block's sum as it is, not normalised. Of the last stage's blocks only the
second convolution has all channels, the first half of them.
Deviations: normalisation and activation are two layers, whose memory is not saved; weights that were stored for the joint one are
not had. The convolutions start from He's normal distribution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.encoders._encoder import Encoder
from intarsia.encoders._weights import load_strictly
from intarsia.ops.he_normal import he_normal_

__all__ = ["WiderResNet38"]


class WiderResNet38(Encoder):
    """The trunk up to stride 16, with the features at the end of its five stages.

    Args:
        in_channels: of the image.
        output_stride: 16, the only one there is; 32, for which encoders are asked when nobody says otherwise, is taken as 16.
        width: channels of the first stage; they double with each.
        depths: number of blocks of the other four stages.
    """

    def __init__(
        self, *, in_channels: int = 3, output_stride: int = 16, width: int = 64, depths: Sequence[int] = (3, 3, 6, 3)
    ) -> None:
        super().__init__()
        if output_stride not in (16, 32):
            raise SettingsError(f"The encoder wider_resnet38 has output stride 16 and no other; {output_stride} was asked for.")
        if len(depths) != 4 or min(depths) < 1:
            raise SettingsError(f"The depths of wider_resnet38 are {tuple(depths)}; four numbers of blocks are expected.")
        self.imagenet = None
        self.channels = (width, 2 * width, 4 * width, 8 * width, 16 * width)
        self.strides = (1, 2, 4, 8, 16)
        self.conv = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.stages = nn.ModuleList()
        for before, channels, depth in zip(self.channels, self.channels[1:], depths, strict=False):
            inner = channels // 2 if channels == self.channels[-1] else channels
            blocks = [_Block(before if index == 0 else channels, inner, channels) for index in range(depth)]
            self.stages.append(nn.Sequential(*blocks))
        he_normal_(self)

    def forward(self, image: Tensor) -> list[Tensor]:
        features = [self.conv(image)]  # (N, 64, H, W)
        for stage in self.stages:
            features.append(stage(F.max_pool2d(features[-1], 2, ceil_mode=True)))  # /2, /4, /8, /16
        return features

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Take weights that were stored from this trunk, which are in its own names."""
        load_strictly(self, state, "the WiderResNet-38 trunk")


class _Block(nn.Module):
    """Twice normalisation, activation, 3x3; added to the input, or to a 1x1 of the activated input where channels change."""

    def __init__(self, in_channels: int, inner: int, channels: int) -> None:
        super().__init__()
        self.activate = _norm_act(in_channels)
        self.convs = nn.Sequential(
            nn.Conv2d(in_channels, inner, 3, padding=1, bias=False),
            _norm_act(inner),
            nn.Conv2d(inner, channels, 3, padding=1, bias=False),
        )
        self.project = nn.Conv2d(in_channels, channels, 1, bias=False) if in_channels != channels else None

    def forward(self, x: Tensor) -> Tensor:
        active = self.activate(x)
        shortcut = x if self.project is None else self.project(active)
        out: Tensor = self.convs(active) + shortcut
        return out


def _norm_act(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.LeakyReLU(0.01, inplace=True))
