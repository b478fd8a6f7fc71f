"""EfficientFCN: fine maps put together from a few codewords that are taken from the whole image.

Liu, He, Zhang, Ren, Li: EfficientFCN: Holistically-Guided Decoding for Semantic Segmentation. ECCV 2020.

Idea: a dilated encoder sees far at high resolution, and is slow. Here the encoder keeps its stride of 32; from its last
features a few hundred codewords are taken, each a weighted mean over all positions. The finer features say, for each of their
pixels, how to mix the codewords, so that every pixel at stride 8 gets features with the whole image in them.

    image -> encoder -> strides 8, 16, 32 -> joined at 32, 1536 -> 1x1, 1024 --> codewords, 1024 x 256
                                                         `-> 1x1, 1x1, 256, softmax -^    |
                                          -> joined at 8, 1536 -> 1x1, 1024 -> shares -> mix -> concat -> 1x1 -> 1x1, K -> (H, W)
                                                                       `-----------------------^

Source: section 3, figure 2; where the paper has single convolutions for both weights, the two with normalisation of the authors'
code, which also scales the mixture by one over the square root of the number of codewords.
Deviations:
    * Any encoder with features at strides 8, 16 and 32; the authors' ResNet-101 has a stem of three 3x3 convolutions.
    * The paper is quoted with 55.8 million parameters; the authors' code has 50.2, as this file has. About 2 of the difference
      may be the classifier that the trunk was trained with.
    * Images of other sizes than 32 n + 1 are not grown: features are brought to the size of one another with aligned corners,
      as in the code, and the scores to the image without, as there.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intarsia.core import Output, SettingsError
from intarsia.encoders import Encoder
from intarsia.models.parts.conv_norm_relu import conv_norm_relu
from intarsia.ops.reflect import crop, grow_to_multiple
from intarsia.ops.resize import resize_bilinear

__all__ = ["EfficientFCN"]


class EfficientFCN(nn.Module):
    """EfficientFCN on any encoder that is not dilated.

    Args:
        encoder: with features at strides 8, 16 and 32.
        num_classes: K.
        codewords: how many there are: 256 for PASCAL, 600 for ADE20K.
        channels: to which the features at strides 16 and 32 are reduced; codewords have twice as many.
        dropout: probability, of whole channels, before the scores.

    Raises:
        SettingsError: an encoder without these features.
    """

    ENCODER: ClassVar[str] = "resnet101"
    OUTPUT_STRIDE: ClassVar[int] = 32
    TINY: ClassVar[dict[str, Any]] = {"encoder": "test_resnet", "codewords": 16, "channels": 64}

    def __init__(
        self, *, encoder: Encoder, num_classes: int, codewords: int = 256, channels: int = 512, dropout: float = 0.1
    ) -> None:
        super().__init__()
        if not {8, 16, 32} <= set(encoder.strides):
            raise SettingsError(
                f"EfficientFCN joins features of strides 8, 16 and 32, and this encoder has strides "
                f"{', '.join(map(str, encoder.strides))}. Choose one such as resnet101, at output stride 32."
            )
        self.encoder = encoder
        self.levels = [encoder.strides.index(stride) for stride in (8, 16, 32)]
        c3, c4, c5 = (encoder.channels[level] for level in self.levels)
        self.reduce4, self.reduce5 = conv_norm_relu(c4, channels, 1), conv_norm_relu(c5, channels, 1)
        self.decode = HolisticDecoder(c3 + 2 * channels, 2 * channels, codewords)
        self.head = nn.Sequential(
            conv_norm_relu(4 * channels, 2 * channels, 1), nn.Dropout2d(dropout), nn.Conv2d(2 * channels, num_classes, 1)
        )

    def forward(self, image: Tensor) -> Output:
        grown = grow_to_multiple(image, self.encoder.size_divisor)
        features = self.encoder(grown)
        c3, c4, c5 = (features[level] for level in self.levels)
        maps = [c3, self.reduce4(c4), self.reduce5(c5)]  # strides 8, 16, 32

        def at_size_of(like: Tensor) -> Tensor:
            return torch.cat([resize_bilinear(x, like.shape[-2:], align_corners=True) for x in maps], dim=1)

        decoded = self.decode(at_size_of(c5), at_size_of(c3))  # (N, 2048, H/8, W/8), from 1536 channels at H/32 and at H/8
        logits = resize_bilinear(self.head(decoded), grown.shape[-2:])
        return Output(crop(logits, image.shape[-2:]))  # (N, K, H, W)


class HolisticDecoder(nn.Module):
    """Coarse features (N, B, h, w) and fine ones (N, B, H, W) -> (N, 2 C, H, W): what the codewords say, and the fine features.

    Equations 1 to 4 of the paper.
    """

    def __init__(self, in_channels: int, channels: int, codewords: int) -> None:
        super().__init__()
        self.base = conv_norm_relu(in_channels, channels, 1)
        self.place = nn.Sequential(
            conv_norm_relu(in_channels, codewords, 1), nn.Conv2d(codewords, codewords, 1, bias=False), nn.BatchNorm2d(codewords)
        )
        self.guide = conv_norm_relu(in_channels, channels, 1)
        self.mix = nn.Sequential(conv_norm_relu(channels, codewords, 1), conv_norm_relu(codewords, codewords, 1))

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        base = self.base(coarse)  # (N, C, h, w)
        weight = self.place(coarse).flatten(2).softmax(2)  # (N, K, h w), a distribution over positions for each codeword
        codewords = base.flatten(2) @ weight.mT.to(base.dtype)  # (N, C, K)
        guide = self.guide(fine)  # (N, C, H, W)
        share = self.mix(guide + base.mean((2, 3), keepdim=True))  # (N, K, H, W)
        mixed = (codewords @ share.flatten(2)).reshape(guide.shape) * codewords.shape[2] ** -0.5
        return torch.cat([mixed, guide], dim=1)
