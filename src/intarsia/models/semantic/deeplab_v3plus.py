"""DeepLab v3+: atrous spatial pyramid pooling on a dilated encoder, and a small decoder that brings the edges back.

Chen, Zhu, Papandreou, Schroff, Adam: Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation.
ECCV 2018.

Idea: an encoder whose last strides are replaced by dilation keeps its map fine and its view wide. Pooling this map at several
dilations and over the whole image sees objects of all scales. A decoder of two convolutions joins the enlarged result with an
early feature, so that borders follow the image.

    image -> encoder -> stride 16 (or 8) -> ASPP, 256 -> enlarge -> concat, 304 -> 3x3, 256 -> 3x3, 256 -> 1x1, K -> (H, W)
                `-----> stride 4 ---------> 1x1, 48 ----------------^                                       at stride 4

Source: sections 3.1 and 4, figure 2; what the paper leaves open (ReLU between depthwise and pointwise, dropout 0.1 after the
pyramid, the classifier's initial weights) as in the authors' released TensorFlow code.
Deviations:
    * The early feature is the encoder's first one at stride 4. Of `xception_aligned` that is the release's own; of a ResNet it is
      the first stage after its last ReLU, where the release takes its second unit before the residual sum.
    * Any encoder instead of Xception-65 (`xception_aligned`) and ResNet-101 alone, and no multi-grid inside the last stage.
    * Bilinear resizing with `align_corners=False`, since sizes other than 16 n + 1 are usual here; `align_corners=True` is the
      paper's, for crops of 513 or 769.
    * Batch normalisation at PyTorch's momentum of 0.1 where the paper has 0.0003: short trainings need running statistics too.
      Convolutions start from PyTorch's defaults, since normalisation takes their scale away.
    * `form="smp"`, `rates` and `dilate_first` are there for the weights of segmentation_models_pytorch: it has no normalisation
      inside its separable convolutions, and one of the decoder's two stands before the maps are joined.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from intarsia.core import Output, SettingsError
from intarsia.encoders import Encoder, dilate_first_units
from intarsia.models.parts.aspp import ASPP
from intarsia.models.parts.conv_norm_relu import conv_norm_relu, separable_conv_norm_relu
from intarsia.ops.reflect import crop, grow_to_multiple
from intarsia.ops.resize import resize_bilinear

__all__ = ["DeepLabV3Plus"]


class DeepLabV3Plus(nn.Module):
    """DeepLab v3+ on any encoder with a feature at stride 4.

    The dilations of the pyramid follow from the encoder's output stride (6, 12, 18 at 16), so that one state dict serves output
    strides 16 and 8.

    Args:
        encoder: best at output stride 16, or 8 for evaluation.
        num_classes: K.
        channels: of pyramid and decoder.
        low_level_channels: to which the early feature is reduced, few, so that it does not outweigh the pyramid.
        separable: depthwise and pointwise instead of plain 3x3 convolutions.
        form: "paper", or "smp" as segmentation_models_pytorch has it.
        rates: dilations of the pyramid, () for those that follow from the output stride.
        dilate_first: the encoder's unit whose stride was removed has the rate of its stage too.
        dropout: probability, after the pyramid.
        align_corners: how maps are resized.
    """

    ENCODER: ClassVar[str] = "resnet50"
    OUTPUT_STRIDE: ClassVar[int] = 16
    TINY: ClassVar[dict[str, Any]] = {"encoder": "test_resnet", "output_stride": 16, "channels": 32, "low_level_channels": 8}

    def __init__(
        self,
        *,
        encoder: Encoder,
        num_classes: int,
        channels: int = 256,
        low_level_channels: int = 48,
        separable: bool = True,
        form: Literal["paper", "smp"] = "paper",
        rates: tuple[int, ...] = (),
        dilate_first: bool = False,
        dropout: float = 0.1,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        if 4 not in encoder.strides:
            raise SettingsError(
                f"DeepLab v3+ joins a feature of stride 4, and this encoder has strides {', '.join(map(str, encoder.strides))}. "
                "Choose one such as resnet50."
            )
        between = form == "paper"
        conv = partial(separable_conv_norm_relu, between=between) if separable else conv_norm_relu
        if dilate_first:
            dilate_first_units(encoder)
        self.encoder = encoder
        self.low_level = encoder.strides.index(4)
        self.align_corners = align_corners
        rates = rates or tuple(max(1, rate * 16 // encoder.strides[-1]) for rate in (6, 12, 18))
        self.aspp = ASPP(
            encoder.channels[-1], channels=channels, rates=rates, separable=separable, between=between, dropout=dropout
        )
        self.reduce = conv_norm_relu(encoder.channels[self.low_level], low_level_channels, 1)
        first, second = conv(channels + low_level_channels, channels, 3), conv(channels, channels, 3)
        self.refine = nn.Sequential(first, second) if form == "paper" else first
        self.before_join = nn.Identity() if form == "paper" else second
        self.classify = nn.Conv2d(channels, num_classes, 1)
        nn.init.trunc_normal_(self.classify.weight, std=0.01)

    def forward(self, image: Tensor) -> Output:
        grown = grow_to_multiple(image, self.encoder.size_divisor)
        features = self.encoder(grown)
        low = self.reduce(features[self.low_level])  # (N, 48, H/4, W/4)
        high = self._resize(self.before_join(self.aspp(features[-1])), low)  # (N, 256, H/4, W/4), from H/16 or H/8
        logits = self.classify(self.refine(torch.cat([high, low], dim=1)))  # (N, K, H/4, W/4)
        return Output(crop(self._resize(logits, grown), image.shape[-2:]))  # (N, K, H, W)

    def _resize(self, x: Tensor, like: Tensor) -> Tensor:
        return resize_bilinear(x, like.shape[-2:], align_corners=self.align_corners)
