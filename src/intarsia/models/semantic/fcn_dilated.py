"""FCN on a dilated encoder: the plainest network of its kind, a small convolution on features of stride 8.

Long, Shelhamer, Darrell: Fully Convolutional Networks for Semantic Segmentation. CVPR 2015; on a dilated ResNet after
Yu, Koltun, Funkhouser: Dilated Residual Networks. CVPR 2017.

Idea: a classifier's trunk gives features, and one convolution of 3x3 and one of 1x1 turn them into scores. Dilation in place of
the last strides keeps the map at an eighth of the image, so that nothing needs to be joined from earlier layers. It is what
other heads on the same encoder are measured against.

    image -> encoder -> stride 8, 2048 -> 3x3, 512 -> 1x1, K -> (N, K, H, W)
                `-----> stride 8, 1024 -> 3x3, 256 -> 1x1, K -> (N, K, H, W), auxiliary

Source: torchvision's `fcn_resnet50` and `fcn_resnet101`, whose weights fit (`intarsia import`), with their dropout of 0.1 and the
weight of 0.5 that torchvision's training script gives the auxiliary head.
Deviations:
    * Neither paper has exactly this head: the first joins scores of three strides on VGG-16 (`fcn`), the second has one 1x1
      convolution and a trunk without max pooling.
    * Any encoder.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from intarsia.core import Auxiliary, Output
from intarsia.encoders import Encoder
from intarsia.models.parts.fcn_head import fcn_head
from intarsia.ops.reflect import crop, grow_to_multiple
from intarsia.ops.resize import resize_bilinear

__all__ = ["FCNDilated"]


class FCNDilated(nn.Module):
    """FCN on any encoder, best at output stride 8.

    Args:
        encoder: its last feature is classified, its last but one has the auxiliary head.
        num_classes: K.
        auxiliary: a second head on the feature before the last, with weight 0.5.
        dropout: probability, before the scores of both heads.
    """

    ENCODER: ClassVar[str] = "resnet50"
    OUTPUT_STRIDE: ClassVar[int] = 8
    TINY: ClassVar[dict[str, Any]] = {"encoder": "test_resnet"}

    def __init__(self, *, encoder: Encoder, num_classes: int, auxiliary: bool = True, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = fcn_head(encoder.channels[-1], num_classes, dropout=dropout)
        self.auxiliary = fcn_head(encoder.channels[-2], num_classes, dropout=dropout) if auxiliary else None

    def forward(self, image: Tensor) -> Output:
        grown = grow_to_multiple(image, self.encoder.size_divisor)

        def enlarge(scores: Tensor) -> Tensor:
            return crop(resize_bilinear(scores, grown.shape[-2:]), image.shape[-2:])  # (N, K, H, W)

        *_, before_last, last = self.encoder(grown)  # (N, 1024, H/8, W/8), (N, 2048, H/8, W/8)
        logits = enlarge(self.head(last))
        if self.auxiliary is None:
            return Output(logits)
        auxiliary = Auxiliary("auxiliary", enlarge(self.auxiliary(before_last)), target="label", weight=0.5)
        return Output(logits, (auxiliary,))
