"""LinkNet: a light encoder-decoder whose levels are linked by sums.

Chaurasia, Culurciello: LinkNet: Exploiting Encoder Representations for Efficient Semantic Segmentation. VCIP 2017.

Idea: what the pooling of the encoder loses is given back where it was lost: the input of each encoder block is added to the
output of the decoder block of the same level. Sums need no further channels, and each decoder block enlarges at a quarter of
its width, so the whole stays small and fast.

    image -> 7x7, 64 -> pool ------------------------- + -> transposed 3x3, 32 -> 3x3, 32 -> transposed 2x2, K -> (N, K, H, W)
              stride 2    |                            ^          stride 2                        stride 1
                          `-> 64, stride 4 ----> + -> D, 64
                                 `-> 128, 8 -> + ^ D, 64
                                      `-> 256 -> ... D, 128
                                           `-> 512, 32 -> D, 256

    D: 1x1 to a quarter, transposed 3x3, 1x1, each with normalisation and ReLU

Source: section 3, figures 1 and 2; the strides of the first blocks of encoder and decoder (none, so that their sum fits the
pooled stem), the biases of the head and the absence of further convolutions as in the authors' PyTorch code.
Deviations:
    * Logits instead of the log-probabilities that the authors' code returns.
    * Any encoder with features of strides 2 and 4 besides ResNet-18. The pooled stem is pooled here once more from the feature
      at stride 2, since encoders do not offer it; for a ResNet these are the same numbers.
    * Sides that are no multiples of the encoder's stride are grown by reflection and cropped back.
    * `se` is an option beside the paper, from Roy et al. 2018 (`models/parts/scse.py`). It weighs the maps handed to the decoder
      and the decoder's own; the encoder, often pretrained, goes on with its maps as they are.
    * `form="smp"` is there for the weights of segmentation_models_pytorch: it links the stem itself, at stride 2, doubles sizes
      by transposed 4x4 convolutions with bias, and a fifth block to 32 channels takes the place of the head.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Output, SettingsError
from intarsia.encoders import Encoder
from intarsia.models.parts.conv_norm_relu import conv_norm_relu
from intarsia.models.parts.scse import recalibrated_channels, recalibration
from intarsia.ops.reflect import crop, grow_to_multiple

__all__ = ["LinkNet"]


class LinkNet(nn.Module):
    """LinkNet on any encoder whose first features have strides 2 and 4.

    Args:
        encoder: ResNet-18 in the paper.
        num_classes: K.
        form: "paper", or "smp" as segmentation_models_pytorch has it.
        se: recalibrates the maps at both ends of each link: by channel, by pixel, or both, joined as it says.
        channels: of the head.
    """

    ENCODER: ClassVar[str] = "resnet18"
    OUTPUT_STRIDE: ClassVar[int] = 32
    TINY: ClassVar[dict[str, Any]] = {"encoder": "test_resnet"}

    def __init__(
        self,
        *,
        encoder: Encoder,
        num_classes: int,
        form: Literal["paper", "smp"] = "paper",
        se: Literal["none", "cse", "sse", "scse_max", "scse_add", "scse_multiply", "scse_concat"] = "none",
        channels: int = 32,
    ) -> None:
        super().__init__()
        if encoder.strides[:2] != (2, 4):
            raise SettingsError(
                f"LinkNet links features from strides 2 and 4 on, and this encoder has strides "
                f"{', '.join(map(str, encoder.strides))}. Choose one such as resnet18."
            )
        self.encoder = encoder
        self.pools_stem = form == "paper"
        links = encoder.channels[:-1]  # the pooled stem stands for the first feature
        strides = (4 if self.pools_stem else 2, *encoder.strides[1:])
        self.recalibrate = nn.ModuleList(recalibration(link, se) for link in links)
        self.decoders = nn.ModuleList()
        below = encoder.channels[-1]
        for level in range(len(links) - 1, -1, -1):
            self.decoders.append(_Decoder(below, links[level], strides[level + 1] // strides[level], se, form))
            below = recalibrated_channels(links[level], se)
        if form == "smp":
            self.head = nn.Sequential(_Decoder(below, channels, 2, "none", form), nn.Conv2d(channels, num_classes, 1))
            return
        self.head = nn.Sequential(
            nn.ConvTranspose2d(below, channels, 3, stride=2, padding=1, output_padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(channels, num_classes, 2, stride=2),
        )

    def forward(self, image: Tensor) -> Output:
        stem, *features, x = self.encoder(grow_to_multiple(image, self.encoder.strides[-1]))
        links = [F.max_pool2d(stem, 3, stride=2, padding=1) if self.pools_stem else stem, *features]  # strides 4, 4, 8, 16
        links = [recalibrate(link) for recalibrate, link in zip(self.recalibrate, links, strict=True)]
        for decode in self.decoders:
            x = decode(x) + links.pop()  # strides 16, 8, 4, 4
        return Output(crop(self.head(x), image.shape[-2:]))  # (N, K, H, W)


class _Decoder(nn.Sequential):
    """(N, C, h, w) to (N, channels, stride h, stride w) by way of C / 4 channels."""

    def __init__(self, in_channels: int, channels: int, stride: int, se: str, form: str) -> None:
        narrow = in_channels // 4
        if form == "paper":
            enlarge = nn.ConvTranspose2d(narrow, narrow, 3, stride=stride, padding=1, output_padding=stride - 1, bias=False)
        else:
            enlarge = nn.ConvTranspose2d(narrow, narrow, 2 + stride, stride=stride, padding=1)
        super().__init__(
            conv_norm_relu(in_channels, narrow, 1),
            enlarge,
            nn.BatchNorm2d(narrow),
            nn.ReLU(inplace=True),
            conv_norm_relu(narrow, channels, 1),
            recalibration(channels, se),
        )
