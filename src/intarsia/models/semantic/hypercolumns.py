"""Hypercolumns: all the activations above a pixel, from early and late layers, classify it together.

Hariharan, Arbelaez, Girshick, Malik: Hypercolumns for Object Segmentation and Fine-grained Localization. CVPR 2015.

Idea: early layers know where an edge is, late ones what it belongs to. The activations of several layers over one pixel, coarse
maps interpolated, are its hypercolumn, and a linear classifier reads it. Linear maps and interpolation commute, so each layer is
scored at its own resolution, and the scores are enlarged and summed.

    image -> conv1, pool1 -> conv2, pool2 -> conv3, conv4 -> conv5, pool5 -> fc6 -> fc7
                                      |               |                              |
                                    3x3, S          3x3, S                         1x1, S      scores of each layer
                                      `---- enlarge --+-------- enlarge -------------'
                                                      + -> (N, S, H, W), S = K, one classifier for each class

    the box form: (N, K G G, 50, 50) -> sigmoid -> the G x G classifiers, interpolated -> (N, K, 50, 50) -> (N, K, H, W)

Source: section 3, figures 2 and 3, with the taps of T-Net (AlexNet in CaffeNet's form: pool2, conv4, fc7). Of a box, warped to
227 pixels, a map of 50 x 50 is predicted; a grid of 5 x 5 or 10 x 10 classifiers per class divides the box, and a pixel asks
those around it: p = sum over k of alpha_k sigmoid(score_k), alpha bilinear. In training each classifier answers for its own cell
alone. The semantic form has one classifier per class and runs on images of any size, where fc7 is a map as in FCN.
Deviations:
    * In the box form an image stands for the box. Finding and expanding boxes, rescoring and projecting onto superpixels are not
      the network's. Its answer is the logit of p, enlarged to the image, which is what the loss compares.
    * In the semantic form the layers keep sizes, with zeros around their maps, as no border is described.
    * Scores start at zero, as in FCN; the paper does not say from where.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Output, SettingsError
from intarsia.encoders import load_strictly
from intarsia.encoders.alexnet import AlexNet, fully_connected_state
from intarsia.ops.he_normal import he_normal_
from intarsia.ops.reflect import crop
from intarsia.ops.resize import resize_bilinear

__all__ = ["Hypercolumns"]

BOX, MAP = 227, 50
"""Sides of a warped box and of its map of scores, in pixels."""


class Hypercolumns(nn.Module):
    """Hypercolumns on AlexNet.

    Args:
        num_classes: K.
        in_channels: of the image.
        form: "semantic" or "box".
        grid: G, classifiers along each side of the box. None is 1, the only one in the semantic form, or 5.
        enlarge: in the semantic form, how much larger than the image the trunk sees it. A box grows by its warping to 227 pixels,
            so that the stride of 16 is small in it; so it is with 2 or 4 here.
        kernel: of the classifiers on pool2 and conv4, 3 or 1.
        trunk: "alexnet" (CaffeNet, the paper's) or "alexnet_torchvision", which has ImageNet weights.
        width: channels of CaffeNet's conv1, 96; the others, and those of torchvision's form, shrink with it.
        fc_channels: of fc6 and fc7.
        dropout: probability, after fc6 and after fc7.

    Raises:
        SettingsError: a grid in the semantic form.
    """

    TINY: ClassVar[dict[str, Any]] = {"width": 24, "fc_channels": 32, "enlarge": 4}

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        form: Literal["semantic", "box"] = "semantic",
        grid: int | None = None,
        enlarge: Literal[1, 2, 4] = 1,
        kernel: Literal[3, 1] = 3,
        trunk: Literal["alexnet", "alexnet_torchvision"] = "alexnet",
        width: int = 96,
        fc_channels: int = 4096,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.box = form == "box"
        self.enlarge = enlarge
        self.grid = grid or (5 if self.box else 1)
        if self.grid > 1 and not self.box:
            raise SettingsError(f"Hypercolumns has a grid of {grid} classifiers for a box only: choose form='box', or grid=1.")
        self.trunk = AlexNet(
            in_channels=in_channels,
            form="caffenet" if trunk == "alexnet" else "torchvision",
            width=width if trunk == "alexnet" else width * 2 // 3,
            first_padding=0 if self.box else 5,
            pool_padding=0 if self.box else 1,
        )
        self.imagenet = self.trunk.imagenet if fc_channels == 4096 else None
        _, _, pool2, conv4, pool5 = self.trunk.channels
        self.fc6 = nn.Conv2d(pool5, fc_channels, 6, padding=0 if self.box else 3)
        self.fc7 = nn.Conv2d(fc_channels, fc_channels, 1)
        self.dropout = nn.Dropout(dropout)
        he_normal_(self)
        scores = num_classes * self.grid**2
        self.score_pool2 = nn.Conv2d(pool2, scores, kernel, padding=kernel // 2)
        self.score_conv4 = nn.Conv2d(conv4, scores, kernel, padding=kernel // 2)
        self.score_fc7 = nn.Conv2d(fc_channels, scores, 1)
        for layer in (self.score_pool2, self.score_conv4, self.score_fc7):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def forward(self, image: Tensor) -> Output:
        size_hw = (image.shape[-2], image.shape[-1])
        _, _, pool2, conv4, pool5 = self.trunk(self._seen(image))
        x = self.dropout(F.relu(self.fc6(pool5), inplace=True))  # (N, 4096, H/32 + 1, W/32 + 1), or 1 x 1 of a box
        x = self.dropout(F.relu(self.fc7(x), inplace=True))
        fine, coarse = self.score_pool2(pool2) + self.score_conv4(conv4), self.score_fc7(x)  # at stride 16; at 32
        if not self.box:
            stride = 16 // self.enlarge
            return Output(_enlarge(fine, stride, 0, size_hw) + _enlarge(coarse, 2 * stride, stride, size_hw))  # (N, K, H, W)
        score = resize_bilinear(fine, (MAP, MAP)) + coarse  # (N, K G G, 50, 50): a single pixel is the same everywhere
        answer = ask_grid(score.unflatten(1, (-1, self.grid**2)), own_cell=self.training)
        return Output(resize_bilinear(answer, size_hw))

    def _seen(self, image: Tensor) -> Tensor:
        """What the trunk gets: a warped box, or the image with `enlarge` - 1 pixels between any two."""
        if self.box:
            return resize_bilinear(image, (BOX, BOX))
        between = [self.enlarge * (side - 1) + 1 for side in image.shape[-2:]]
        return image if self.enlarge == 1 else resize_bilinear(image, between, align_corners=True)

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Take the trunk, fc6 and fc7 of an AlexNet classifier in torchvision's names."""
        self.trunk.load_imagenet(state)
        layers = nn.ModuleDict({"fc6": self.fc6, "fc7": self.fc7})
        load_strictly(layers, fully_connected_state(state), "the fc6 and fc7 of Hypercolumns")


def ask_grid(score: Tensor, *, own_cell: bool) -> Tensor:
    """Logits (N, K, h, w) from the scores (N, K, G G, h, w) of the classifiers of a grid that divides the map.

    Args:
        score: of each classifier, at each pixel.
        own_cell: take the one in whose cell the pixel lies, instead of the mean of the sigmoids by bilinear weights.
    """
    cells, height, width = score.shape[2:]
    alpha = _alpha(round(cells**0.5), height, width, own_cell).to(score)
    if own_cell:
        return (alpha * score).sum(2)
    score, log_alpha = score.float(), alpha.float().log()  # weights sum to one, so 1 - p is a mean of sigmoids as well
    return torch.logsumexp(log_alpha + F.logsigmoid(score), 2) - torch.logsumexp(log_alpha + F.logsigmoid(-score), 2)


def _alpha(grid: int, height: int, width: int, own_cell: bool) -> Tensor:
    """(G G, h, w) weights of the classifiers at each pixel, which sum to one."""

    def along(size: int) -> Tensor:
        place = (torch.arange(size) + 0.5) * grid / size - 0.5  # of each pixel, in cells from the centre of the first
        place = place.round() if own_cell else place.clamp(0, grid - 1)
        return (1 - (place - torch.arange(grid)[:, None]).abs()).clamp_min(0)  # (G, size)

    return (along(height)[:, None, :, None] * along(width)[:, None, :]).flatten(0, 1)


def _enlarge(score: Tensor, stride: int, start: int, size_hw: tuple[int, int]) -> Tensor:
    """Interpolate a map whose pixel i lies at pixel stride i - start of the image; its last row and column are repeated."""
    padded = F.pad(score, (0, 1, 0, 1), mode="replicate")
    height, width = score.shape[-2:]
    return crop(resize_bilinear(padded, (stride * height + 1, stride * width + 1), align_corners=True), size_hw, start)
