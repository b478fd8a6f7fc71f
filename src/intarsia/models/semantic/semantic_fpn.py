"""Semantic FPN: a feature pyramid whose maps are all brought to stride 4, summed and classified.

Kirillov, Girshick, He, Dollar: Panoptic Feature Pyramid Networks. CVPR 2019.

Idea: a feature pyramid has maps of all strides, each rich in meaning. Each is enlarged to stride 4 in steps of two, with a
convolution before each step, and the four are summed. No dilation is needed, so memory stays small.

    image -> encoder -> C5 -> P5 -> 3x3, x2 -> 3x3, x2 -> 3x3, x2 -> +      stride 32 -> 4
                        C4 -> P4 ------------> 3x3, x2 -> 3x3, x2 -> +             16 -> 4
                        C3 -> P3 ------------------------> 3x3, x2 -> +             8 -> 4
                        C2 -> P2 ---------------------------> 3x3 -> +                  4
                                                                     1x1, K -> (H, W)

Source: section 3.1, figure 3; pyramid as in `parts/fpn.py`, head as in `parts/semantic_fpn_head.py`. The other forms are those of
figure 1 of Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017.
Deviations:
    * Maps are enlarged to the actual size of the next finer one, ceil(H / stride), so that images need not be multiples of 32.
    * The other forms share this head, since figure 1 leaves the prediction open: "single_map" has the topmost map alone,
      "hierarchy" all maps without the sums from above, and "image_pyramid" the topmost map of the image at twice, once and half
      its size (each with the same encoder), of which the doubled image costs four times the work.
    * `form="smp"` and `dropout` are there for the weights of segmentation_models_pytorch: its pyramid is the sums themselves,
      without the 3x3 convolutions, and maps are resized with aligned corners.
    * `top_mlp` is no part of the paper: the topmost map goes through a small perceptron, as some lectures draw it.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from intarsia.core import Output
from intarsia.encoders import Encoder
from intarsia.models.parts.fpn import FPN
from intarsia.models.parts.semantic_fpn_head import SemanticFPNHead
from intarsia.ops.reflect import crop, grow_to_multiple
from intarsia.ops.resize import resize_bilinear

__all__ = ["SemanticFPN"]

FINEST = 4
"""Stride of the finest map of the pyramid."""


class SemanticFPN(nn.Module):
    """Semantic FPN on any encoder.

    Args:
        encoder: its features of stride 4 and more are taken.
        num_classes: K.
        form: "fpn"; for comparison "single_map", "hierarchy" and "image_pyramid"; "smp" as segmentation_models_pytorch has it.
        top_mlp: the topmost map goes through a layer more.
        channels: of the pyramid.
        head_channels: of the head, a multiple of 32, the groups of its normalisation.
        dropout: probability, of whole channels, before the scores.
    """

    ENCODER: ClassVar[str] = "resnet50"
    OUTPUT_STRIDE: ClassVar[int] = 32
    TINY: ClassVar[dict[str, Any]] = {"encoder": "test_resnet", "channels": 32, "head_channels": 64}

    def __init__(
        self,
        *,
        encoder: Encoder,
        num_classes: int,
        form: Literal["fpn", "single_map", "hierarchy", "image_pyramid", "smp"] = "fpn",
        top_mlp: bool = False,
        channels: int = 256,
        head_channels: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.divisor, self.zooms, self.first = encoder.size_divisor, [1.0], len(encoder.strides) - 1
        strides = [encoder.strides[-1]]
        if form == "image_pyramid":
            self.divisor, self.zooms = 2 * encoder.size_divisor, [2.0, 1.0, 0.5]
            strides = [strides[0] // 2, strides[0], 2 * strides[0]]
        elif form != "single_map":
            self.first = next(level for level, stride in enumerate(encoder.strides) if stride >= FINEST)
            strides = list(encoder.strides[self.first :])
        self.align_corners = form == "smp"
        top_down = form in ("fpn", "smp")
        widths = encoder.channels[self.first :]
        self.pyramid = FPN(widths, channels=channels, top_down=top_down, smooth=form != "smp", top_mlp=top_mlp)
        self.head = SemanticFPNHead(
            channels, strides, num_classes, channels=head_channels, align_corners=self.align_corners, dropout=dropout
        )

    def forward(self, image: Tensor) -> Output:
        grown = grow_to_multiple(image, self.divisor)
        size_hw = grown.shape[-2:]
        maps = []
        for zoom in self.zooms:
            zoomed = grown if zoom == 1 else resize_bilinear(grown, [side * int(2 * zoom) // 2 for side in size_hw])
            maps += self.pyramid(self.encoder(zoomed)[self.first :])  # (N, 256, H/4, W/4) ... (N, 256, H/32, W/32)
        logits = resize_bilinear(self.head(maps, size_hw), size_hw, align_corners=self.align_corners)
        return Output(crop(logits, image.shape[-2:]))  # (N, K, H, W)
