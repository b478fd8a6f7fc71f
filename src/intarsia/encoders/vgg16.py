"""VGG-16's thirteen convolutions, as the fully convolutional networks use them.

Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition. ICLR 2015.

    image -> conv x2, pool -> conv x2, pool -> conv x3, pool -> conv x3, pool -> conv x3, pool
                  /2    64         /4   128         /8   256         /16  512         /32  512

Source: table 1, configuration D. Pools round up as in Caffe, on which FCN's crop offsets rest; ReLU after each convolution,
biases, no normalisation. Without pretrained weights the convolutions start from He's normal distribution: the paper's N(0, 0.01)
needs shallower networks to be trained first.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from intarsia.core import SettingsError
from intarsia.encoders._encoder import Encoder
from intarsia.encoders._weights import inflate_input, load_strictly
from intarsia.ops.he_normal import he_normal_

__all__ = ["VGG16", "fully_connected_state"]


class VGG16(Encoder):
    """The trunk, with the features after each of its five pools.

    Args:
        in_channels: of the image.
        output_stride: 32, the only one there is.
        width: channels of the first stage, 64 in the paper.
        first_padding: zeros around the image before the first convolution; 100 in FCN's reference. Other than 1, the features'
            grids begin outside the image, and their sizes are those of an image larger by 2 (first_padding - 1).
    """

    def __init__(self, *, in_channels: int = 3, output_stride: int = 32, width: int = 64, first_padding: int = 1) -> None:
        super().__init__()
        if output_stride != 32:
            raise SettingsError(f"The encoder vgg16 has output stride 32 and no other; {output_stride} was asked for.")
        self.in_channels = in_channels
        self.imagenet = "vgg16.tv_in1k" if width == 64 else None
        self.channels = (width, 2 * width, 4 * width, 8 * width, 8 * width)
        self.strides = (2, 4, 8, 16, 32)
        before = (in_channels, *self.channels)
        self.stages = nn.ModuleList(
            _stage(depth, before[index], channels, first_padding if index == 0 else 1)
            for index, (depth, channels) in enumerate(zip((2, 2, 3, 3, 3), self.channels, strict=True))
        )
        he_normal_(self)

    def forward(self, image: Tensor) -> list[Tensor]:
        features = []
        x = image
        for stage in self.stages:
            x = stage(x)  # /2, /4, /8, /16, /32
            features.append(x)
        return features

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Take the convolutions of a VGG-16 classifier in the names of torchvision or timm; the rest is left."""
        own = [name for name, module in self.named_modules() if isinstance(module, nn.Conv2d)]
        theirs = [f"features.{index}" for index in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)]
        renamed = {
            f"{name}.{part}": state[f"{other}.{part}"]
            for name, other in zip(own, theirs, strict=True)
            for part in ("weight", "bias")
            if f"{other}.{part}" in state
        }
        first = f"{own[0]}.weight"
        if first in renamed:
            renamed[first] = inflate_input(renamed[first], self.in_channels)
        load_strictly(self, renamed, "the VGG-16 trunk")


def _stage(depth: int, in_channels: int, channels: int, first_padding: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index in range(depth):
        conv = nn.Conv2d(in_channels if index == 0 else channels, channels, 3, padding=first_padding if index == 0 else 1)
        layers += [conv, nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.MaxPool2d(2, 2, ceil_mode=True))


def fully_connected_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """fc6 and fc7 of a VGG-16 classifier (torchvision's or timm's names) as convolutions of 7x7 and 1x1.

    Returns:
        fc6.weight (4096, 512, 7, 7), fc6.bias, fc7.weight (4096, 4096, 1, 1), fc7.bias, as far as `state` has them. The rows of a
        linear layer are flattened channel by channel, then row by row, so they unfold to kernels as they stand.
    """
    theirs = {"fc6": ("classifier.0", "pre_logits.fc1"), "fc7": ("classifier.3", "pre_logits.fc2")}
    sizes = {"fc6": 7, "fc7": 1}
    unfolded = {}
    for own, names in theirs.items():
        for name in names:
            if f"{name}.weight" in state:
                weight = state[f"{name}.weight"]
                unfolded[f"{own}.weight"] = weight.reshape(len(weight), -1, sizes[own], sizes[own])
                unfolded[f"{own}.bias"] = state[f"{name}.bias"]
    return unfolded
