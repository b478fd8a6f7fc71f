"""DeepLab v3: dilated convolutions in parallel with the mean of the image, or one after the other.

Chen, Papandreou, Schroff, Adam: Rethinking Atrous Convolution for Semantic Image Segmentation. 2017.

Idea: the dilated trunk's last map is pooled at several rates, each normalised, and together with the mean over the whole image,
since kernels at large rates shrink to their centre where the map ends. Or the trunk goes on in a cascade: three more blocks like
its last one, each at twice the rate of the one before. In the last blocks the three units differ in their rates (multi-grid).

    image -> encoder, /16 or /8, last stage with multi-grid -> ASPP, 256 -> 1x1, K -> (N, K, H, W)             head="aspp"
                                                           `-> block5 -> block6 -> block7 -> 1x1, K            head="cascade"

Source: sections 3.2 and 3.3, figures 3 and 5. What the paper leaves open (dropout 0.1 after the pyramid, the classifier's initial
weights, that multi-grid multiplies the rate of the whole stage and so of its first unit too, units of block5 to 7 that add their
input as it is) as in the authors' released TensorFlow code.
Deviations:
    * Any encoder. Multi-grid needs one whose last stage is a sequence of units, as in ResNets; `multi_grid=()` leaves it out.
    * A stage's stride is in its first unit, as in torchvision and timm; the release has it in the last unit of the stage before.
    * The image grows by reflection to 16 n + 1 (8 n + 1) pixels, as the paper's 513 and 769, where enlarged corners fit exactly.
    * Batch normalisation at PyTorch's momentum of 0.1 where the paper has 0.0003: short trainings need running statistics too.
    * `head_conv`, `auxiliary` and `align_corners=False` are not the paper's: torchvision's network has a 3x3 convolution before
      the classifier, a second head on the stage before the last, dropout 0.5, no multi-grid and other corners.
    * `rates`, `dilate_first` and `grow=False` are there for weights of other libraries (`intarsia.inference.foreign`).
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Auxiliary, Output
from intarsia.encoders import Encoder, dilate_first_units, set_multi_grid
from intarsia.models.parts.aspp import ASPP
from intarsia.models.parts.conv_norm_relu import conv_norm_relu
from intarsia.models.parts.fcn_head import fcn_head
from intarsia.models.parts.frozen_norm import freeze_norms
from intarsia.ops.corner_grid import grow_to_corner_grid
from intarsia.ops.he_normal import he_normal_
from intarsia.ops.reflect import crop, grow_to_multiple
from intarsia.ops.resize import resize_bilinear

__all__ = ["DeepLabV3"]


class DeepLabV3(nn.Module):
    """DeepLab v3.

    All rates follow from the encoder's output stride, so that one state dict serves 16 (training) and 8 (evaluation).

    Args:
        encoder: at output stride 16 or 8.
        num_classes: K.
        head: "aspp" or "cascade".
        multi_grid: factors on the rate of the last stage's units and of those of each further block; the paper's best are
            (1, 2, 4) for "aspp" and (1, 2, 1) for "cascade". () leaves the encoder as it is.
        dilate_first: the unit whose stride was removed has the rate of its stage too.
        blocks: up to which block the cascade goes; 4 adds none.
        rates: dilations of the pyramid; () is 6, 12, 18 at output stride 16, and twice that at 8.
        channels: of the pyramid.
        dropout: probability, after the pyramid.
        head_conv: a 3x3 convolution after the pyramid, as in torchvision.
        auxiliary: a second head on the feature before the last, as in torchvision, with weight 0.5.
        align_corners: how maps are resized.
        grow: with aligned corners, the image grows to a size that they fit.
        frozen_norm: batch normalisation stays as it is, as in the second phase of the paper's training.
    """

    ENCODER: ClassVar[str] = "resnet101"
    OUTPUT_STRIDE: ClassVar[int] = 16
    TINY: ClassVar[dict[str, Any]] = {"encoder": "test_resnet", "channels": 32, "blocks": 5}

    def __init__(
        self,
        *,
        encoder: Encoder,
        num_classes: int,
        head: Literal["aspp", "cascade"] = "aspp",
        multi_grid: tuple[int, ...] = (1, 2, 4),
        dilate_first: bool = False,
        blocks: Literal[7, 6, 5, 4] = 7,
        rates: tuple[int, ...] = (),
        channels: int = 256,
        dropout: float = 0.1,
        head_conv: bool = False,
        auxiliary: bool = False,
        align_corners: bool = True,
        grow: bool = True,
        frozen_norm: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.align_corners = align_corners
        self.corner_grid = align_corners and grow
        self.frozen_norm = frozen_norm
        *_, before_last, last = encoder.channels
        rate = max(1, 32 // encoder.strides[-1])  # of the last stage, block4
        if dilate_first:
            dilate_first_units(encoder)
        if multi_grid:
            set_multi_grid(encoder, multi_grid)
        self.head: nn.Module
        if head == "aspp":
            own = tuple(6 * rate // 2 * factor for factor in (1, 2, 3))  # 6, 12, 18 at output stride 16
            self.head = ASPP(last, channels=channels, rates=rates or own, dropout=dropout)
        else:
            grid = multi_grid or (1,)
            self.head = nn.Sequential(
                *(_block(last, [rate * 2 ** (block - 4) * factor for factor in grid]) for block in range(5, blocks + 1))
            )
        made = channels if head == "aspp" else last
        self.refine = conv_norm_relu(made, channels, 3) if head_conv else nn.Identity()
        self.classify = nn.Conv2d(channels if head_conv else made, num_classes, 1)
        nn.init.trunc_normal_(self.classify.weight, std=0.01)
        self.auxiliary = fcn_head(before_last, num_classes) if auxiliary else None
        self.train()

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.frozen_norm:
            freeze_norms(self)
        return self

    def forward(self, image: Tensor) -> Output:
        divisor = self.encoder.size_divisor
        if self.corner_grid:
            grown = grow_to_corner_grid(image, self.encoder.strides[-1], divisor=divisor)
        else:
            grown = grow_to_multiple(image, divisor)

        def enlarge(scores: Tensor) -> Tensor:
            enlarged = resize_bilinear(scores, grown.shape[-2:], align_corners=self.align_corners)
            return crop(enlarged, image.shape[-2:])  # (N, K, H, W)

        *_, before_last, last = self.encoder(grown)  # (N, 1024, H/16, W/16), (N, 2048, H/16, W/16)
        logits = self.classify(self.refine(self.head(last)))  # (N, K, H/16, W/16), from 256 or 2048 channels
        if self.auxiliary is None:
            return Output(enlarge(logits))
        auxiliary = Auxiliary("auxiliary", enlarge(self.auxiliary(before_last)), target="label", weight=0.5)
        return Output(enlarge(logits), (auxiliary,))


class _Bottleneck(nn.Module):
    """1x1 to a quarter of the channels, 3x3, 1x1 back, added to the input."""

    def __init__(self, channels: int, rate: int) -> None:
        super().__init__()
        thin = channels // 4
        self.reduce = conv_norm_relu(channels, thin, 1)
        self.spatial = conv_norm_relu(thin, thin, 3, dilation=rate)
        self.expand = nn.Sequential(nn.Conv2d(thin, channels, 1, bias=False), nn.BatchNorm2d(channels))
        he_normal_(self)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.expand(self.spatial(self.reduce(x))))


def _block(channels: int, rates: list[int]) -> nn.Sequential:
    """Three bottlenecks, as in a ResNet's last stage."""
    return nn.Sequential(*(_Bottleneck(channels, rates[unit % len(rates)]) for unit in range(3)))
