"""The modified aligned Xception-65, DeepLab v3+'s own trunk.

Chollet: Xception: Deep Learning with Depthwise Separable Convolutions. CVPR 2017; aligned by Dai et al. 2017; modified by Chen,
Zhu, Papandreou, Schroff, Adam: Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation. ECCV 2018.

    image -> 3x3 x2 -> block 128 -> block 256 -> block 728 -> 16 middle blocks 728 -> block 1024 -> 1536, 1536, 2048
               /2          /4          /8          /16                 /16               /32            /32

Source: figure 4 of the 2018 paper and its released code (`core/xception.py`). A block is three separable convolutions, the last
with the stride; there is no max pooling. Each depthwise and each pointwise convolution has its batch normalisation (epsilon
0.001). The ReLU stands before each separable convolution and not on the shortcut; in the last block it stands after each
convolution instead, and there is no shortcut. Strides beyond the output stride become dilation; the convolution with the stride
keeps the rate of before. Without weights the convolutions start from He's normal distribution, the depthwise ones included.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.encoders._encoder import Encoder
from intarsia.encoders._weights import inflate_input, load_strictly
from intarsia.ops.he_normal import he_normal_

__all__ = ["XceptionAligned"]

MIDDLE_BLOCKS = 16


class XceptionAligned(Encoder):
    """The trunk. Its features are what the strided convolutions read, as DeepLab v3+ takes them, and the last block's.

    Args:
        in_channels: of the image.
        output_stride: 32, 16 or 8.
        width: channels of the first convolution, on which all others depend; 32 in the paper.
        middle: how many middle blocks there are.
    """

    def __init__(self, *, in_channels: int = 3, output_stride: int = 32, width: int = 32, middle: int = MIDDLE_BLOCKS) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise SettingsError(f"The encoder xception_aligned has output stride 8, 16 or 32; {output_stride} was asked for.")
        self.in_channels = in_channels
        self.imagenet = "xception65.tf_in1k" if (width, middle) == (32, MIDDLE_BLOCKS) else None
        c64, c128, c256, c728, c1024, c1536, c2048 = (n * width // 32 for n in (64, 128, 256, 728, 1024, 1536, 2048))
        self.channels = (c128, c256, c728, c1024, c2048)
        self.strides = (2, 4, *(min(stride, output_stride) for stride in (8, 16, 32)))
        (step3, rate3), (step4, rate4) = ((1, 2) if output_stride < stride else (2, 1) for stride in (16, 32))
        self.stem = nn.Sequential(*_conv_norm(in_channels, width, stride=2), nn.ReLU(), *_conv_norm(width, c64), nn.ReLU())
        self.entry = nn.ModuleList(
            [_Block(c64, (c128,) * 3, step=2), _Block(c128, (c256,) * 3, step=2), _Block(c256, (c728,) * 3, step=step3)]
        )
        self.middle = nn.Sequential(*(_Block(c728, (c728,) * 3, rate=rate3) for _ in range(middle)))
        self.exit = _Block(c728, (c728, c1024, c1024), step=step4, rate=rate3)
        self.last = nn.Sequential()
        for before, channels in ((c1024, c1536), (c1536, c1536), (c1536, c2048)):
            depthwise, pointwise = _separable(before, channels, rate=rate3 * rate4)
            self.last.extend([*depthwise, nn.ReLU(), *pointwise, nn.ReLU()])
        he_normal_(self)

    def forward(self, image: Tensor) -> list[Tensor]:
        features = []
        x = self.stem(image)  # /2
        for block in self.entry:
            x, read = block(x)  # /4, /8, /16; at output stride 8 the last stays at /8
            features.append(read)  # /2, /4, /8
        for block in self.middle:
            x, _ = block(x)
        x, read = self.exit(x)  # /32, or the output stride
        return [*features, read, self.last(x)]

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Take the trunk of timm's `xception65`; its classifier is left."""
        theirs = {name: value for name, value in state.items() if not name.startswith("head.") and "num_batches" not in name}
        own = [name for name in self.state_dict() if "num_batches" not in name]
        if len(theirs) != len(own):
            raise SettingsError(
                f"These weights do not fit the aligned Xception trunk: it has {len(own)} tensors, and {len(theirs)} were given. "
                "They probably belong to another architecture or library."
            )
        renamed = dict(zip(own, theirs.values(), strict=True))
        renamed[own[0]] = inflate_input(renamed[own[0]], self.in_channels)
        load_strictly(self, renamed, "the aligned Xception trunk")


class _Block(nn.Module):
    """Three separable convolutions and a shortcut, a 1x1 convolution where channels or size change.

    Returns:
        The sum, and what the third convolution read, before its ReLU.
    """

    def __init__(self, in_channels: int, channels: tuple[int, int, int], *, step: int = 1, rate: int = 1) -> None:
        super().__init__()
        widths = (in_channels, *channels)
        plain = in_channels == channels[-1]
        self.shortcut = nn.Identity() if plain else nn.Sequential(*_conv_norm(in_channels, channels[-1], kernel=1, stride=step))
        self.convs = nn.ModuleList(
            nn.Sequential(*depthwise, *pointwise)
            for depthwise, pointwise in (
                _separable(widths[index], widths[index + 1], step=step if index == 2 else 1, rate=rate) for index in range(3)
            )
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second, third = self.convs
        read = second(F.relu(first(F.relu(x))))
        return self.shortcut(x) + third(F.relu(read)), read


def _separable(
    in_channels: int, channels: int, *, step: int = 1, rate: int = 1
) -> tuple[tuple[nn.Module, nn.Module], tuple[nn.Module, nn.Module]]:
    """A 3x3 convolution of each channel by itself and a 1x1 convolution across channels, each with its normalisation."""
    depthwise = _conv_norm(in_channels, in_channels, stride=step, dilation=rate, groups=in_channels)
    return depthwise, _conv_norm(in_channels, channels, kernel=1)


def _conv_norm(
    in_channels: int, channels: int, *, kernel: int = 3, stride: int = 1, dilation: int = 1, groups: int = 1
) -> tuple[nn.Module, nn.Module]:
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(in_channels, channels, kernel, stride, padding, dilation, groups, bias=False)
    return conv, nn.BatchNorm2d(channels, eps=1e-3)
