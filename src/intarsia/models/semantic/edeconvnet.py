"""EDeconvNet: DeconvNet and FCN-8s asked together.

Noh, Hong, Han: Learning Deconvolution Network for Semantic Segmentation. ICCV 2015.

Idea: DeconvNet looks at one window and draws shapes, FCN looks at the whole image and knows what goes with what. Their mistakes
differ, so that their mean is better than either: 71.7 % mIoU on PASCAL VOC 2012 against 69.6 % and 62.2 % (the paper's table 1).

    image -> DeconvNet -> softmax -.
       |                            +-> mean -> log, (N, K, H, W)
       `---> FCN-8s ----> softmax -'

Source: section 4.4, which takes the mean of the two maps of class probabilities. The authors' code multiplies the two maps of
scores, each cut off at zero; that is `combine="product"`. The two trainings are those of DeconvNet and FCN, each by itself.
Deviations:
    * DeconvNet sees the whole image, where the paper collects its answers to 50 proposals per image.
    * Both members read one normalisation of the image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Auxiliary, Output
from intarsia.models.semantic.deconvnet import DeconvNet
from intarsia.models.semantic.fcn import FCN

__all__ = ["EDeconvNet"]


class EDeconvNet(nn.Module):
    """The mean, or the product, of DeconvNet and FCN.

    Trained weights of the members are taken by `network.deconvnet.load_state_dict` and `network.fcn.load_state_dict`; or the
    recipe `edeconvnet` trains them here, one after the other.

    Args:
        num_classes: K.
        in_channels: of the image.
        combine: "mean" gives the logarithm of the mean probability, so that a softmax returns that mean; "product" gives the
            product of the scores above zero, a score and no logarithm of anything.
        learns: who answers in training: "deconvnet", "fcn", or "both", each with scores and a loss of its own, DeconvNet as the
            answer and FCN as a head beside it. In evaluation the answer is always the combination.
        stride: of FCN: 32, 16 or 8.
        padding: of FCN.
        width: channels of the first stage of both.
        fc_channels: of fc6 and fc7 of both.
        window: of DeconvNet.
    """

    TINY: ClassVar[dict[str, Any]] = {"width": 8, "fc_channels": 64, "window": 64}

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 3,
        combine: Literal["mean", "product"] = "mean",
        learns: Literal["both", "deconvnet", "fcn"] = "both",
        stride: Literal[32, 16, 8] = 8,
        padding: Literal["reference", "same"] = "reference",
        width: int = 64,
        fc_channels: int = 4096,
        window: int = 224,
    ) -> None:
        super().__init__()
        self.combine = combine
        self.learns = learns
        self.deconvnet = DeconvNet(
            num_classes=num_classes, in_channels=in_channels, width=width, fc_channels=fc_channels, window=window
        )
        self.fcn = FCN(
            num_classes=num_classes, in_channels=in_channels, stride=stride, padding=padding, width=width, fc_channels=fc_channels
        )
        self.imagenet = self.deconvnet.imagenet

    def forward(self, image: Tensor) -> Output:
        if self.training:
            members = {"deconvnet": self.deconvnet, "fcn": self.fcn}
            first, *others = (name for name in members if self.learns in (name, "both"))
            heads = (Auxiliary(name, members[name](image).logits, "label", 1.0) for name in others)
            return Output(members[first](image).logits, tuple(heads))
        drawn, seen = self.deconvnet(image).logits, self.fcn(image).logits  # (N, K, H, W) each
        if self.combine == "product":
            return Output(F.relu(drawn) * F.relu(seen))
        if drawn.shape[1] > 1:
            return Output(_log_mean(drawn.log_softmax(1), seen.log_softmax(1)))
        present = _log_mean(F.logsigmoid(drawn), F.logsigmoid(seen))  # a single score, of a class against none
        absent = _log_mean(F.logsigmoid(-drawn), F.logsigmoid(-seen))
        return Output(present - absent)

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Take the weights of a VGG-16 classifier, in the names of torchvision or timm, into both members."""
        self.deconvnet.load_imagenet(state)
        self.fcn.load_imagenet(state)


def _log_mean(a: Tensor, b: Tensor) -> Tensor:
    """Logarithm of the mean of two probabilities that are given by their logarithms."""
    return torch.stack([a, b]).logsumexp(0) - math.log(2)
