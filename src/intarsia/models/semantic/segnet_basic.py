"""SegNet-Basic: the small SegNet, four levels of 7x7 convolutions on 64 maps.

Badrinarayanan, Kendall, Cipolla: SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image Segmentation. PAMI 2017
(arXiv 2015).

Idea: to compare decoders, the paper wants a network small enough to train from scratch on 367 images. Wide 7x7 kernels see 106
pixels after four levels. The decoder unpools by the remembered places and has no ReLU.

    image -> norm -> 64, pool -> 64, pool -> 64, pool -> 64, pool -.
                      | places    |           |           |        |
    K, 1x1 <--- 64, unpool <- 64, unpool <- 64, unpool <- 64, unpool
               stride 1          2            4           8        16

    encoder: 7x7 convolution, batch normalisation, ReLU; decoder: 7x7 convolution, batch normalisation

Source: section 3.1; response normalisation of the image, biases and initial weights as in the authors'
segnet_basic_train.prototxt. The text says "no bias", the prototxt has biases; the default follows the prototxt (1,416,587
parameters at 11 classes).
Deviations:
    * The response normalisation has its constants for grey levels. Images come in standard deviations here, and are first
      multiplied by what one is in grey levels (0.225 x 255, of ImageNet); their mean is taken off, which the tutorial does not
      do.
    * Running statistics normalise at inference. The paper computes them anew over the training set before testing.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Output
from intarsia.ops.full_precision import full_precision
from intarsia.ops.he_normal import he_normal_
from intarsia.ops.max_unpool import max_pool, max_unpool

__all__ = ["SegNetBasic"]

GREY_LEVELS = 0.225 * 255
"""One unit of a normalised image in grey levels."""


class SegNetBasic(nn.Module):
    """SegNet-Basic.

    Args:
        num_classes: K.
        in_channels: of the image.
        bias: whether the 7x7 convolutions have biases, as in the prototxt, or none, as in the text.
        width: channels of every map.
    """

    TINY: ClassVar[dict[str, Any]] = {"width": 16}

    def __init__(self, *, num_classes: int, in_channels: int = 3, bias: bool = True, width: int = 64) -> None:
        super().__init__()
        self.norm = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1)
        self.encoder = nn.ModuleList(_conv_norm(before, width, bias) for before in (in_channels, width, width, width))
        self.decoder = nn.ModuleList(_conv_norm(width, width, bias) for _ in range(4))
        self.score = nn.Conv2d(width, num_classes, 1)
        he_normal_(self)

    def forward(self, image: Tensor) -> Output:
        x = self.norm(GREY_LEVELS * image)
        places = []
        with full_precision(x):  # places are not continuous
            for stage in self.encoder:
                x, place = max_pool(F.relu(stage(x), inplace=True))  # (N, 64, H / 2^level, W / 2^level)
                places.append(place)
        for stage in self.decoder:
            x = stage(max_unpool(x, places.pop()))
        return Output(self.score(x))  # (N, K, H, W)


def _conv_norm(in_channels: int, channels: int, bias: bool) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, channels, 7, padding=3, bias=bias), nn.BatchNorm2d(channels))
