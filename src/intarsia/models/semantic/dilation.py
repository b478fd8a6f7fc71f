"""Dilation: a VGG-16 whose last pools are dilation instead, and a context module that widens its view eightfold per layer.

Yu, Koltun: Multi-Scale Context Aggregation by Dilated Convolutions. ICLR 2016.

Idea: without its last two pools, and with dilation for them, a classifier scores every eighth pixel: the front end. The context
module reads these scores and refines them: 3x3 convolutions whose dilations double from layer to layer see 67 x 67 cells with
few parameters. They start as the identity, so that training begins from what the front end knows.

    image, reflected by 186 -> VGG-16, no padding -> fc6, fc7 -> score -> context -> (N, K, H/8, W/8) -> (N, K, H, W)
                                     /8, 512         /8, 4096     K         K

    context: dilation   1   1   2   4   8  16   1   and 1x1          (layers=7: no 16; layers=10: 32 and 64 as well)
             sees       3   5   9  17  33  65  67    67 cells

Source: sections 3 and 4, tables 1 and 2; layers, border and paddings as in the released networks: on PASCAL VOC the large module,
padded once; on CamVid, KITTI and Cityscapes the basic one, padded in each layer.
Deviations:
    * The loss is taken on scores enlarged to the image, where the release compares cell i with the label at pixel 8 i. There the
      enlarged scores are the cell's.
    * Images are RGB in the normalisation that the pretrained weights expect; the release has BGR minus its mean.
    * The basic module starts as the identity exactly, as in the paper; the release adds noise to it too.
    * Cityscapes' frozen bilinear upsampling before the softmax is bilinear resizing, as everywhere else.
    * Without pretrained weights, trunk and fc layers start from He's normal distribution, where the paper always fine-tunes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Output
from intarsia.encoders import load_strictly
from intarsia.encoders.vgg16 import VGG16, fully_connected_state
from intarsia.models.parts.normal_conv import normal_conv
from intarsia.ops.he_normal import he_normal_
from intarsia.ops.reflect import crop, reflect_border
from intarsia.ops.resize import resize_bilinear

__all__ = ["Dilation"]

MARGIN = 186
"""Pixels that the front end's convolutions without padding take from each side of the image, counted from the first score."""


class Dilation(nn.Module):
    """The front end, alone or with a context module.

    The names in the state dict of the front end agree, so that the module is trained on a finished one (recipe `dilation8`).

    Args:
        num_classes: K.
        in_channels: of the image.
        context: "none", "basic" (K channels throughout) or "large" (2, 2, 4, 8, 16, 32, 32 times K).
        layers: of the context module: 8 for PASCAL VOC and CamVid, 7 for KITTI, 10 for Cityscapes.
        width: channels of the trunk's first stage.
        fc_channels: of fc6 and fc7.
        dropout: probability, after fc6 and after fc7.
    """

    TINY: ClassVar[dict[str, Any]] = {"width": 8, "fc_channels": 64}

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        context: Literal["basic", "large", "none"] = "basic",
        layers: Literal[8, 7, 10] = 8,
        width: int = 64,
        fc_channels: int = 4096,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.trunk = VGG16(in_channels=in_channels, width=width)
        self.imagenet = self.trunk.imagenet if fc_channels == 4096 else None
        for index, stage in enumerate(self.trunk.stages):
            *convs, pool = stage.children()
            for conv in convs:
                if isinstance(conv, nn.Conv2d):
                    conv.padding, conv.dilation = (0, 0), (2, 2) if index == 4 else (1, 1)
            self.trunk.stages[index] = nn.Sequential(*convs, pool if index < 3 else nn.Identity())
        self.fc6 = nn.Conv2d(self.trunk.channels[-1], fc_channels, 7, dilation=4)
        self.fc7 = nn.Conv2d(fc_channels, fc_channels, 1)
        he_normal_(self)
        self.score = normal_conv(fc_channels, num_classes, std=0.001)
        self.dropout = nn.Dropout(dropout)
        self.context = nn.Identity() if context == "none" else ContextModule(num_classes, large=context == "large", layers=layers)

    def forward(self, image: Tensor) -> Output:
        height, width = image.shape[-2:]
        grown = reflect_border(
            image, top=MARGIN, bottom=MARGIN + -height % 8, left=MARGIN, right=MARGIN + -width % 8
        )  # a multiple of 8 between the margins
        x = self.trunk(grown)[-1]  # (N, 512, H/8 + 24, W/8 + 24)
        x = self.dropout(F.relu(self.fc6(x), inplace=True))  # (N, 4096, H/8, W/8)
        x = self.dropout(F.relu(self.fc7(x), inplace=True))
        scores = self.context(self.score(x))  # (N, K, H/8, W/8), cell i on pixel 8 i
        size = [8 * (cells - 1) + 1 for cells in scores.shape[-2:]]
        enlarged = F.pad(resize_bilinear(scores, size, align_corners=True), (0, 7, 0, 7), mode="replicate")
        return Output(crop(enlarged, image.shape[-2:]))  # (N, K, H, W)

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Take trunk, fc6 and fc7 of a VGG-16 classifier in the names of torchvision or timm."""
        self.trunk.load_imagenet(state)
        layers = nn.ModuleDict({"fc6": self.fc6, "fc7": self.fc7})
        load_strictly(layers, fully_connected_state(state), "the front end's fc6 and fc7")


class ContextModule(nn.Module):
    """Scores (N, K, h, w) in, refined scores of the same size out; at the start, those of the input that are not negative.

    Args:
        num_classes: K.
        large: more channels in deeper layers.
        layers: 7, 8 or 10, the 1x1 convolution included.
    """

    def __init__(self, num_classes: int, *, large: bool, layers: int = 8) -> None:
        super().__init__()
        rates = (1, 1, *(2**power for power in range(1, layers - 3)), 1)
        growth = [2 * rate for rate in rates[:-1]] if large else [1] * (layers - 2)
        widths = [num_classes * factor for factor in (1, *growth, growth[-1], 1)]
        self.convs = nn.ModuleList()
        for index, rate in enumerate((*rates, 1)):
            kernel = 3 if index < layers - 1 else 1
            # the large module has all its border at once, and is valid from there on
            padding = 0 if kernel == 1 else rate if not large else sum(rates) if index == 0 else 0
            conv = nn.Conv2d(widths[index], widths[index + 1], kernel, padding=padding, dilation=rate)
            identity_(conv, num_classes, noise=0.01 if large else 0.0)
            self.convs.append(conv)

    def forward(self, x: Tensor) -> Tensor:
        *hidden, last = self.convs
        for conv in hidden:
            x = F.relu(conv(x), inplace=True)
        scores: Tensor = last(x)
        return scores


@torch.no_grad()
def identity_(conv: nn.Conv2d, num_classes: int, *, noise: float = 0.0) -> None:
    """Make a convolution hand each of `num_classes` scores on; in place.

    Input a and output b belong to the class of floor(a K / c_in) and floor(b K / c_out). Where these are the same, the weight at
    the kernel's centre is K / c_out, so that a class's channels together carry its score; all others are drawn from
    N(0, noise K / c_out). Biases are zero. Source: equations 4 and 5.
    """
    outputs, inputs, rows, columns = conv.weight.shape
    share = num_classes / outputs
    nn.init.normal_(conv.weight, std=noise * share)
    class_in = torch.arange(inputs, device=conv.weight.device) * num_classes // inputs
    class_out = torch.arange(outputs, device=conv.weight.device) * num_classes // outputs
    centre = conv.weight[:, :, rows // 2, columns // 2]
    centre[class_out[:, None] == class_in] = share
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
