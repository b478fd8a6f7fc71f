"""SegNet: a decoder that puts each pooled value back where its maximum stood.

Badrinarayanan, Kendall, Cipolla: SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image Segmentation. PAMI 2017
(arXiv 2015).

Idea: what pooling loses is where its maxima stood, and two bits per window remember that. The decoder mirrors VGG-16's
convolutions without its fully connected layers; it unpools by the remembered places into maps that are mostly zero, and its
convolutions make them dense. Borders come back without a single feature map being kept, so that memory at inference stays small.

    image -> 64 64, pool -> 128 128, pool -> 256 x3, pool -> 512 x3, pool -> 512 x3, pool -.
                  | places        |                |               |               |       |
       K <- 64, unpool <--- 64 128, unpool <- 128 256 256 <- 256 512 512 <- 512 512 512, unpool
            stride 1              2                4               8               16      32

    a number: 3x3 convolution, batch normalisation, ReLU; the last one (to K) is a bare convolution

Source: section 3, figure 2; layers, biases, initial weights and sizes rounded up as in the authors' segnet_train.prototxt
(SegNet-Tutorial).
Deviations:
    * Running statistics normalise at inference. The paper computes them anew over the training set before testing.
    * Images are normalised as for the pretrained weights; the tutorial feeds raw BGR values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from intarsia.core import Output
from intarsia.models.parts.vgg16_norm import VGG16Norm, norm_stage
from intarsia.ops.he_normal import he_normal_
from intarsia.ops.max_unpool import Places, max_unpool

__all__ = ["SegNet"]


class SegNet(nn.Module):
    """SegNet on VGG-16.

    Args:
        num_classes: K.
        in_channels: of the image.
        dropout: probability after pools 3 to 5 and after the decoder's first three stages. The benchmarks of the paper's section
            5 have 0.5 in the deeper layers of every network they compare; the tutorial's SegNet has none.
        width: channels of the first stage.
    """

    TINY: ClassVar[dict[str, Any]] = {"width": 8}

    def __init__(self, *, num_classes: int, in_channels: int = 3, dropout: float = 0.0, width: int = 64) -> None:
        super().__init__()
        self.encoder = VGG16Norm(in_channels, width)
        self.imagenet = self.encoder.imagenet
        stages = ((8, 8, 8, 8), (8, 8, 8, 4), (4, 4, 4, 2), (2, 2, 1), (1, 1))
        self.decoder = nn.ModuleList(norm_stage(*(width * times for times in stage)) for stage in stages)
        self.score = nn.Conv2d(width, num_classes, 3, padding=1)
        self.dropout = nn.Dropout(dropout)
        he_normal_(self.decoder)
        he_normal_(self.score)

    def forward(self, image: Tensor) -> Output:
        return Output(self.deep(*self.shallow(image)))

    def shallow(self, image: Tensor) -> tuple[Tensor, list[Places]]:
        """The first three stages, of which no dropout is part: (N, 4 width, H/8, W/8) and the places of three pools."""
        return self.encoder.run(image, slice(3))

    def deep(self, x: Tensor, places: list[Places]) -> Tensor:
        """All the rest: scores (N, K, H, W) from what `shallow` gives."""
        places = list(places)
        x = self.dropout(x)
        for level in (3, 4):
            x, place = self.encoder.run(x, slice(level, level + 1))  # (N, 512, H/16, W/16), (N, 512, H/32, W/32)
            x = self.dropout(x)
            places += place
        for level, stage in enumerate(self.decoder):
            x = stage(max_unpool(x, places.pop()))  # strides 16, 8, 4, 2, 1
            x = self.dropout(x) if level < 3 else x
        scores: Tensor = self.score(x)
        return scores

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Take the encoder's convolutions from a VGG-16 classifier in the names of torchvision or timm."""
        self.encoder.load_imagenet(state)
