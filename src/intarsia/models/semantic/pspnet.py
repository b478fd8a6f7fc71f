"""PSPNet: averages over the whole image, its halves, thirds and sixths, laid beside the features before they are classified.

Zhao, Shi, Qi, Wang, Jia: Pyramid Scene Parsing Network. CVPR 2017.

Idea: a pixel is easier to name when the scene is known: a boat beside a river is no car. Four grids of 1, 4, 9 and 36 averages
summarise the scene from coarse to fine, and each pixel gets them beside its own feature. The encoder keeps stride 8 by dilation,
and a second classifier on its last stage but one helps its training.

    image -> encoder -> stride 8, 2048 -> pyramid pooling, 4096 -> 3x3, 512 -> 1x1, K -> (H, W)
                `-----> stride 8, 1024 -> 3x3, 256 -> 1x1, K -> (H, W), auxiliary

Source: section 3, figures 3 and 4; what they leave open (a dropout of 0.1 by whole channels, He's initial weights of the new
layers, the resizing with aligned corners) as in the authors' Caffe prototxts and their PyTorch code (semseg).
Deviations:
    * Any encoder. The paper's ResNet has a stem of three 3x3 convolutions (64, 64, 128), timm's resnet50s, resnet101s and
      resnet152s; resnet50 has the plain one of 7x7.
    * The first block of a stage whose stride was removed keeps the dilation of the stage before, so that the features
      are the strided network's exactly; the paper's has the new dilation there.
    * Images of other sizes than 8 n + 1 are grown to one by reflection, on which the aligned corners are exact.
    * Batch normalisation at PyTorch's momentum of 0.1 where the Caffe code has 0.05.
    * `form="smp"` is there for the weights of segmentation_models_pytorch: its encoder ends with the stage at stride 8, which is
      not dilated, its head is a 1x1 and then a 3x3 convolution, it has no auxiliary classifier, and images do not grow.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from intarsia.core import Auxiliary, Output
from intarsia.encoders import Encoder, cut_encoder
from intarsia.models.parts.pyramid_pooling import PyramidPooling
from intarsia.ops.corner_grid import grow_to_corner_grid
from intarsia.ops.he_normal import he_normal_
from intarsia.ops.reflect import crop, grow_to_multiple
from intarsia.ops.resize import resize_bilinear

__all__ = ["PSPNet"]


class PSPNet(nn.Module):
    """PSPNet on any encoder, best at output stride 8.

    Args:
        encoder: its last feature is pooled, its last but one has the auxiliary classifier.
        num_classes: K.
        form: "paper", or "smp" as segmentation_models_pytorch has it.
        bins: cells along each side of the pooling grids.
        channels: of the layer before the scores.
        auxiliary_channels: the same in the auxiliary classifier.
        dropout: probability, of whole channels, before the scores.
    """

    ENCODER: ClassVar[str] = "resnet50s"
    OUTPUT_STRIDE: ClassVar[int] = 8
    TINY: ClassVar[dict[str, Any]] = {
        "encoder": "test_resnet",
        "output_stride": 8,
        "channels": 32,
        "auxiliary_channels": 16,
    }

    def __init__(
        self,
        *,
        encoder: Encoder,
        num_classes: int,
        form: Literal["paper", "smp"] = "paper",
        bins: tuple[int, ...] = (1, 2, 3, 6),
        channels: int = 512,
        auxiliary_channels: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        paper = form == "paper"
        if not paper:
            cut_encoder(encoder, 8)
        self.encoder = encoder
        self.pyramid = PyramidPooling(encoder.channels[-1], bins=bins, norm_of_one=paper)
        self.head = _classifier(self.pyramid.out_channels, channels, num_classes, dropout, (3, 1) if paper else (1, 3))
        self.auxiliary = _classifier(encoder.channels[-2], auxiliary_channels, num_classes, dropout, (3, 1)) if paper else None
        he_normal_(self.pyramid)
        he_normal_(self.head)
        if self.auxiliary is not None:
            he_normal_(self.auxiliary)

    def forward(self, image: Tensor) -> Output:
        divisor = self.encoder.size_divisor
        if self.auxiliary is None:
            grown = grow_to_multiple(image, divisor)
        else:
            grown = grow_to_corner_grid(image, self.encoder.strides[-1], divisor=divisor)
        *_, before_last, last = self.encoder(grown)  # (N, 1024, H/8, W/8), (N, 2048, H/8, W/8)
        logits = self.head(self.pyramid(last))  # (N, K, H/8, W/8), by way of 4096 channels

        def enlarge(scores: Tensor) -> Tensor:
            return crop(resize_bilinear(scores, grown.shape[-2:], align_corners=True), image.shape[-2:])  # (N, K, H, W)

        if self.auxiliary is None:
            return Output(enlarge(logits))
        auxiliary = Auxiliary("auxiliary", enlarge(self.auxiliary(before_last)), target="label", weight=0.4)
        return Output(enlarge(logits), (auxiliary,))


def _classifier(in_channels: int, channels: int, num_classes: int, dropout: float, kernels: tuple[int, int]) -> nn.Sequential:
    first, second = kernels
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, first, padding=first // 2, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.Dropout2d(dropout),
        nn.Conv2d(channels, num_classes, second, padding=second // 2),
    )
