"""DeepLab v2: scores from several dilations at once, and from the image at several sizes.

Chen, Papandreou, Kokkinos, Murphy, Yuille: DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution,
and Fully Connected CRFs. TPAMI 2018 (first 2016).

Idea: a dilated trunk keeps its map at stride 8. Classifiers with 3x3 kernels at four rates look at it with small and with large
fields of view, and their scores are summed: atrous spatial pyramid pooling. The whole network runs on the image at full, three
quarters' and half size with the same weights, and each pixel takes the largest score of the three.

    image ------> encoder, /8 -> 3x3 rate 6  --> (+) -> (N, K, H/8, W/8) --------.
                              -> 3x3 rate 12 -->                                 |
                              -> 3x3 rate 18 -->                                 max -> (N, K, H/8, W/8) -> (N, K, H, W)
                              -> 3x3 rate 24 -->                                 |
    image x 3/4 -> the same ------------------------------------ enlarge --------|
    image x 1/2 -> the same ------------------------------------ enlarge --------'

Source: sections 3.1 to 3.3 and 4.1; the released networks' initial N(0, 0.01) and their losses, one on the scores of each size
and one on the largest. The form on VGG-16 (`head="fc"`) has fc6, fc7 and fc8 on each branch.
Deviations:
    * Any encoder at stride 8. The paper's ResNet-101 strides in the first 1x1 convolution of a stage, torchvision's and timm's in
      the 3x3; each is dilated so that its weights keep their meaning. Its first pooling rounds sizes up.
    * Sizes grow by reflection to 32 n + 1, of which three quarters and a half are 8 m + 1 (321, 513 in the paper), so that the
      scores of the three lie on the same pixels.
    * All four losses are taken on scores enlarged to the image, where the release shrinks the labels to each map.
    * On VGG-16, fc6 and fc7 start from He's normal distribution; the release cuts them from the classifier's.
    * Normalisation is frozen by an option (`frozen_norm`), since it must learn where the weights are random.
    * The dense CRF of the paper's last step belongs to postprocessing.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from intarsia.core import Auxiliary, Output, SettingsError
from intarsia.encoders import Encoder
from intarsia.models.parts.frozen_norm import freeze_norms
from intarsia.models.parts.normal_conv import normal_conv
from intarsia.ops.corner_grid import grow_to_corner_grid
from intarsia.ops.he_normal import he_normal_
from intarsia.ops.reflect import crop, grow_to_multiple
from intarsia.ops.resize import resize_bilinear

__all__ = ["DeepLabV2"]


class DeepLabV2(nn.Module):
    """DeepLab v2.

    Args:
        encoder: at output stride 8; `vgg16_atrous` for the paper's VGG-16.
        num_classes: K.
        head: "linear", a 3x3 classifier for each rate, as on ResNet-101; or "fc", with two hidden layers each, as on VGG-16.
        rates: dilations: (6, 12, 18, 24) is the paper's ASPP-L, (2, 4, 8, 12) ASPP-S, (12,) LargeFOV.
        scales: sizes of the image, relative to its own, of which the first is 1; (1.0,) for one size.
        fc_channels: of the hidden layers of "fc".
        dropout: probability, after each hidden layer.
        frozen_norm: batch normalisation stays as the pretrained weights have it, as in the paper.
    """

    ENCODER: ClassVar[str] = "resnet101"
    OUTPUT_STRIDE: ClassVar[int] = 8
    TINY: ClassVar[dict[str, Any]] = {"encoder": "test_resnet", "fc_channels": 16}

    def __init__(
        self,
        *,
        encoder: Encoder,
        num_classes: int,
        head: Literal["linear", "fc"] = "linear",
        rates: tuple[int, ...] = (6, 12, 18, 24),
        scales: tuple[float, ...] = (1.0, 0.75, 0.5),
        fc_channels: int = 1024,
        dropout: float = 0.5,
        frozen_norm: bool = False,
    ) -> None:
        super().__init__()
        if not rates or scales[:1] != (1.0,) or not all(0 < scale <= 1 for scale in scales):
            raise SettingsError(
                f"DeepLab v2 takes at least one rate, and scales from 1.0 down such as (1.0, 0.75, 0.5); "
                f"rates {rates} and scales {scales} were given."
            )
        self.encoder = encoder
        self.scales = scales
        self.frozen_norm = frozen_norm
        channels = encoder.channels[-1]
        if head == "linear":
            self.branches = nn.ModuleList(normal_conv(channels, num_classes, 3, std=0.01, dilation=rate) for rate in rates)
        else:
            self.branches = nn.ModuleList(_fc(channels, fc_channels, num_classes, rate, dropout) for rate in rates)
        self.train()

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.frozen_norm:
            freeze_norms(self)
        return self

    def forward(self, image: Tensor) -> Output:
        grown = grow_to_corner_grid(image, 32, divisor=self.encoder.size_divisor)

        def enlarge(scores: Tensor) -> Tensor:
            return crop(resize_bilinear(scores, grown.shape[-2:], align_corners=True), image.shape[-2:])  # (N, K, H, W)

        largest = self._score(grown)  # (N, K, H/8, W/8)
        sized = [largest]
        for scale in self.scales[1:]:
            above, below = Fraction(scale).limit_denominator(1000).as_integer_ratio()
            size = [(side - 1) * above // below + 1 for side in grown.shape[-2:]]
            sized.append(self._score(resize_bilinear(grown, size, align_corners=True)))  # (N, K, scale H/8, scale W/8)
            largest = torch.maximum(largest, resize_bilinear(sized[-1], largest.shape[-2:], align_corners=True))
        if len(sized) == 1:
            return Output(enlarge(largest))
        heads = [
            Auxiliary(f"scale_{scale:g}", enlarge(scores), target="label", weight=1.0)
            for scale, scores in zip(self.scales, sized, strict=True)
        ]
        return Output(enlarge(largest), tuple(heads))

    def _score(self, image: Tensor) -> Tensor:
        feature = self.encoder(grow_to_multiple(image, self.encoder.size_divisor))[-1]  # (N, 2048, H/8, W/8)
        scores = torch.stack([branch(feature) for branch in self.branches]).sum(0)  # (N, K, H/8, W/8)
        stride = self.encoder.strides[-1]
        return crop(scores, [(side + stride - 1) // stride for side in image.shape[-2:]])


def _fc(in_channels: int, channels: int, num_classes: int, rate: int, dropout: float) -> nn.Sequential:
    """fc6, fc7 and fc8 of one rate."""
    hidden: list[nn.Module] = []
    for conv in (nn.Conv2d(in_channels, channels, 3, padding=rate, dilation=rate), nn.Conv2d(channels, channels, 1)):
        he_normal_(conv)
        hidden += [conv, nn.ReLU(inplace=True), nn.Dropout(dropout)]
    return nn.Sequential(*hidden, normal_conv(channels, num_classes, std=0.01))
