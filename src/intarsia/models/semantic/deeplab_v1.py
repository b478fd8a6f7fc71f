"""DeepLab v1 (LargeFOV): VGG-16 made dense by dilation, with one thin layer that sees far.

Chen, Papandreou, Kokkinos, Murphy, Yuille: Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs.
ICLR 2015.

Idea: strides that would make the map too coarse are left out, and later kernels step over pixels instead, so that a classifier's
weights keep what they know. The first fully connected layer becomes a 3x3 convolution at rate 12: a field of view as large as the
7x7 it is cut from, with a sixth of the parameters. With `msc`, the image and the maps of four pools are scored as well.

    image -> VGG-16, /8 -> average 3x3 -> fc6 3x3 rate 12, 1024 -> fc7, 1024 -> score --> (+) -> (N, K, H/8, W/8) -> (N, K, H, W)
      |  pool1 ... pool4                                                                   ^
      `----`-----------`---> 3x3, 128 -> 1x1, 128 -> 1x1 (each; with `msc`) ---------------`

Source: sections 3 and 4.3 of the paper; layers, strides and initial weights as in the released networks DeepLab-LargeFOV and
DeepLab-MSc-LargeFOV, whose sum of scores is the paper's one layer on the concatenated maps.
Deviations:
    * The loss is taken on scores enlarged to the image, so that every pixel of the truth counts; the release shrinks the labels
      by 8. At each eighth pixel both are the same scores.
    * The image grows by reflection to 8 n + 1 pixels, the release's sizes (321, 513), where enlarged corners fit exactly.
    * Images are RGB in the normalisation that the pretrained weights expect; the release has BGR minus its mean.
    * Without pretrained weights, trunk, fc6 and fc7 start from He's normal distribution, where the paper always fine-tunes.
    * The dense CRF of the paper's last step belongs to postprocessing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Output
from intarsia.encoders import load_strictly
from intarsia.encoders.vgg16 import fully_connected_state
from intarsia.encoders.vgg16_atrous import VGG16Atrous
from intarsia.models.parts.normal_conv import normal_conv
from intarsia.ops.corner_grid import grow_to_corner_grid
from intarsia.ops.he_normal import he_normal_
from intarsia.ops.reflect import crop
from intarsia.ops.resize import resize_bilinear

__all__ = ["DeepLabV1"]


class DeepLabV1(nn.Module):
    """DeepLab-LargeFOV, or DeepLab-MSc-LargeFOV.

    Args:
        num_classes: K.
        in_channels: of the image.
        msc: also score the image and the first four pools. The release trains these scores on a finished LargeFOV network that
            stays as it is, whose state dict fits (recipe `deeplab_v1_msc`).
        rate: dilation of fc6.
        width: channels of the trunk's first stage.
        fc_channels: of fc6 and fc7.
        dropout: probability, after every hidden layer behind the trunk.
    """

    TINY: ClassVar[dict[str, Any]] = {"width": 8, "fc_channels": 64}

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        msc: bool = False,
        rate: int = 12,
        width: int = 64,
        fc_channels: int = 1024,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.trunk = VGG16Atrous(in_channels=in_channels, width=width)
        self.imagenet = self.trunk.imagenet if fc_channels == 1024 else None
        self.average = nn.AvgPool2d(3, stride=1, padding=1)
        self.fc6 = nn.Conv2d(self.trunk.channels[-1], fc_channels, 3, padding=rate, dilation=rate)
        self.fc7 = nn.Conv2d(fc_channels, fc_channels, 1)
        he_normal_(self)
        self.score = normal_conv(fc_channels, num_classes, std=0.01)
        self.dropout = nn.Dropout(dropout)
        self.side_scores = nn.ModuleList()
        if msc:
            strides = (8, 4, 2, 1, 1)  # each brings its map to stride 8
            for channels, stride in zip((in_channels, *self.trunk.channels[:4]), strides, strict=True):
                std = 0.005 if len(self.side_scores) == 4 else 0.001
                self.side_scores.append(_side_score(channels, num_classes, stride, std, dropout))

    def forward(self, image: Tensor) -> Output:
        grown = grow_to_corner_grid(image, 8)
        pools = self.trunk(grown)
        x = self.average(pools[-1])  # (N, 512, H/8, W/8)
        x = self.dropout(F.relu(self.fc6(x), inplace=True))  # (N, 1024, H/8, W/8)
        x = self.dropout(F.relu(self.fc7(x), inplace=True))
        score = self.score(x)  # (N, K, H/8, W/8)
        for side, x in zip(self.side_scores, (grown, *pools), strict=False):
            score = score + side(x)
        return Output(crop(resize_bilinear(score, grown.shape[-2:], align_corners=True), image.shape[-2:]))

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Take trunk, fc6 and fc7 of a VGG-16 classifier in the names of torchvision or timm.

        Every fourth output of both layers is taken, and of the 7x7 kernel every third tap: at rate 12 these lie where they lay at
        rate 4, which is what stands for the classifier's stride of 32.
        """
        self.trunk.load_imagenet(state)
        full = fully_connected_state(state)
        thinned = {name: value[::4] for name, value in full.items()}
        if thinned:
            thinned["fc6.weight"] = thinned["fc6.weight"][..., ::3, ::3]
            thinned["fc7.weight"] = thinned["fc7.weight"][:, ::4]
        load_strictly(nn.ModuleDict({"fc6": self.fc6, "fc7": self.fc7}), thinned, "DeepLab's fc6 and fc7")


def _side_score(channels: int, num_classes: int, stride: int, std: float, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for conv in (normal_conv(channels, 128, 3, std=0.001, stride=stride), normal_conv(128, 128, std=std)):
        layers += [conv, nn.ReLU(inplace=True), nn.Dropout(dropout)]
    return nn.Sequential(*layers, normal_conv(128, num_classes, std=0.01))
