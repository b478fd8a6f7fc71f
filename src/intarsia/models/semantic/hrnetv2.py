"""HRNetV2: a high resolution kept from beginning to end, beside coarser ones; optionally with object context (OCR).

Sun et al.: High-Resolution Representations for Labeling Pixels and Regions. 2019. Wang et al.: Deep High-Resolution
Representation Learning for Visual Recognition. TPAMI 2021. Yuan, Chen, Wang: Object-Contextual Representations for Semantic
Segmentation. ECCV 2020.

Idea: most networks give up the resolution and win it back later. This one keeps a branch at stride 4 throughout, with coarser
branches beside it that it keeps exchanging maps with; the four are laid side by side and classified. OCR makes a first guess,
takes the mean feature of every class by it, and tells each pixel which class means it is like.

    image -> trunk -> W, 2W, 4W, 8W at strides 4, 8, 16, 32 -> concat, 15W -> 1x1, 15W -> 1x1, K -> (H, W)

    with OCR:                                                  concat, 15W -> 1x1, 15W -> 1x1, K -> auxiliary
                                                                   |                         `-> means of classes
                                                                   `-> 3x3, 512 -> attention to these -> 1x1, K -> (H, W)

Source: section 3 of the first, sections 3.2 and 3.3 of the third; sizes, biases, dropout and initial N(0, 0.001) of all
convolutions as in the authors' code. Trunk as in `encoders/hrnet.py`.
Deviations:
    * `align_corners=False` throughout is what the authors' settings for HRNetV2 say; those for OCR leave it at True, which is
      the option here. Then images grow to 32 n + 1 by reflection, on which aligned corners are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.core import Auxiliary, Output
from intarsia.encoders.hrnet import HRNet
from intarsia.models.parts.conv_norm_relu import conv_norm_relu
from intarsia.ops.corner_grid import grow_to_corner_grid
from intarsia.ops.reflect import crop
from intarsia.ops.resize import resize_bilinear

__all__ = ["HRNetV2"]


class HRNetV2(nn.Module):
    """HRNetV2, with or without OCR.

    Args:
        num_classes: K.
        in_channels: of the image.
        width: W: 18, 32, 40 or 48 in the papers.
        modules: how often the branches exchange maps, in the stages of two, three and four branches.
        ocr: tell each pixel the mean features of the classes.
        ocr_channels: of the features that this works on; attention has half of them.
        align_corners: how maps are resized.
    """

    TINY: ClassVar[dict[str, Any]] = {"width": 6, "modules": (1, 1, 1), "ocr_channels": 32}

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        width: int = 48,
        modules: tuple[int, ...] = (1, 4, 3),
        ocr: bool = False,
        ocr_channels: int = 512,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.trunk = HRNet(in_channels=in_channels, width=width, modules=modules, align_corners=align_corners)
        self.imagenet = self.trunk.imagenet
        self.align_corners = align_corners
        channels = sum(self.trunk.channels)  # 15 W
        self.head = nn.Sequential(
            nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.Conv2d(channels, num_classes, 1)
        )
        self.ocr = _ObjectContext(channels, ocr_channels, num_classes) if ocr else None
        for module in (self.head, self.ocr):
            for layer in module.modules() if module else ():
                if isinstance(layer, nn.Conv2d):
                    nn.init.normal_(layer.weight, std=0.001)

    def forward(self, image: Tensor) -> Output:
        grown = grow_to_corner_grid(image, 32) if self.align_corners else image
        finest, *coarser = self.trunk(grown)  # (N, W, H/4, W/4), (N, 2W, H/8, W/8) ...
        feature = torch.cat([finest, *(self._resize(x, finest) for x in coarser)], dim=1)  # (N, 15W, H/4, W/4)
        scores = self.head(feature)  # (N, K, H/4, W/4)

        def enlarge(scores: Tensor) -> Tensor:
            return crop(self._resize(scores, grown), image.shape[-2:])  # (N, K, H, W)

        if self.ocr is None:
            return Output(enlarge(scores))
        auxiliary = Auxiliary("first guess", enlarge(scores), target="label", weight=0.4)
        return Output(enlarge(self.ocr(feature, scores)), (auxiliary,))

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Take the trunk of an HRNet classifier in the names of timm."""
        self.trunk.load_imagenet(state)

    def _resize(self, x: Tensor, like: Tensor) -> Tensor:
        return resize_bilinear(x, like.shape[-2:], align_corners=self.align_corners)


class _ObjectContext(nn.Module):
    """Features (N, C, h, w) and a first guess (N, K, h, w) -> scores (N, K, h, w), by way of the mean feature of every class."""

    def __init__(self, in_channels: int, channels: int, num_classes: int) -> None:
        super().__init__()
        half = channels // 2
        self.reduce = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        )
        self.query = nn.Sequential(conv_norm_relu(channels, half, 1), conv_norm_relu(half, half, 1))
        self.key = nn.Sequential(conv_norm_relu(channels, half, 1), conv_norm_relu(half, half, 1))
        self.value = conv_norm_relu(channels, half, 1)
        self.enlarge = conv_norm_relu(half, channels, 1)
        self.join = nn.Sequential(conv_norm_relu(2 * channels, channels, 1), nn.Dropout2d(0.05))
        self.classify = nn.Conv2d(channels, num_classes, 1)

    def forward(self, feature: Tensor, guess: Tensor) -> Tensor:
        x = self.reduce(feature)  # (N, 512, h, w)
        means = class_means(x, guess)[..., None]  # (N, 512, K, 1)
        query, key, value = self.query(x).flatten(2), self.key(means).flatten(2), self.value(means).flatten(2)  # (N, 256, ...)
        likeness = (query.mT @ key * query.shape[1] ** -0.5).softmax(2)  # (N, h w, K)
        context = self.enlarge((value @ likeness.mT).reshape(len(x), -1, *x.shape[-2:]))  # (N, 512, h, w)
        scores: Tensor = self.classify(self.join(torch.cat([context, x], dim=1)))
        return scores


def class_means(feature: Tensor, guess: Tensor) -> Tensor:
    """Means (N, C, K) of features (N, C, h, w), for every class weighted by the softmax of its scores over all pixels."""
    weight = guess.flatten(2).softmax(2)  # (N, K, h w)
    return feature.flatten(2) @ weight.mT.to(feature.dtype)
