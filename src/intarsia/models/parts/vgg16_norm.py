"""VGG-16's convolutions, each normalised over the batch, with pools that remember places.

The contracting half that SegNet and DeconvNet share.

    image -> conv x2, pool -> conv x2, pool -> conv x3, pool -> conv x3, pool -> conv x3, pool
                  /2    64         /4   128         /8   256         /16  512         /32  512

Source: the prototxt files of SegNet-Tutorial and DeconvNet: convolutions with bias, batch normalisation that starts from scale 1
and shift 0.001, ReLU; pools round sizes up. Without ImageNet weights the convolutions start from He's normal distribution.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from torch import Tensor, nn

from intarsia.encoders.vgg16 import VGG16
from intarsia.ops.full_precision import full_precision
from intarsia.ops.he_normal import he_normal_
from intarsia.ops.max_unpool import Places, max_pool

__all__ = ["SHIFT", "VGG16Norm", "norm_stage"]

SHIFT = 0.001
"""What each batch normalisation adds at the start."""


class VGG16Norm(nn.Module):
    """The thirteen convolutions.

    Args:
        in_channels: of the image.
        width: channels of the first stage, 64 in the papers.

    Attributes:
        channels: of each of the five stages.
        stages: the convolutions of each; pooling is not part of them.
        imagenet: name of the classifier whose weights fit, or None.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.imagenet = "vgg16.tv_in1k" if width == 64 else None
        self.channels = (width, 2 * width, 4 * width, 8 * width, 8 * width)
        before = (in_channels, *self.channels)
        self.stages = nn.ModuleList(
            norm_stage(first, *[channels] * depth)
            for first, channels, depth in zip(before, self.channels, (2, 2, 3, 3, 3), strict=False)
        )
        he_normal_(self)

    def forward(self, image: Tensor) -> tuple[Tensor, list[Places]]:
        """(N, C, H, W) to the fifth pool (N, 8 width, H/32, W/32), and the places of the five pools, fine to coarse."""
        return self.run(image, slice(None))

    def run(self, x: Tensor, stages: slice) -> tuple[Tensor, list[Places]]:
        """Some of the stages and their pools, always in full precision, since places are not continuous."""
        places = []
        with full_precision(x):
            for stage in self.stages[stages]:
                x, place = max_pool(stage(x))
                places.append(place)
        return x, places

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Take the convolutions of a VGG-16 classifier in the names of torchvision or timm; normalisations stay as they are."""
        trunk = VGG16(in_channels=self.in_channels, width=self.channels[0])
        trunk.load_imagenet(state)
        for own, theirs in zip(_convs(self), _convs(trunk), strict=True):
            own.load_state_dict(theirs.state_dict())


def _convs(network: nn.Module) -> list[nn.Conv2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


def norm_stage(*channels: int, conv: type[nn.Conv2d | nn.ConvTranspose2d] = nn.Conv2d) -> nn.Sequential:
    """3x3 convolutions from each number of channels to the next, each with batch normalisation and ReLU; sizes stay."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(channels):
        norm = nn.BatchNorm2d(after)
        nn.init.constant_(norm.bias, SHIFT)
        layers += [conv(before, after, 3, padding=1), norm, nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
