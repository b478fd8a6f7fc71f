"""Mask R-CNN: boxes are proposed, and for each one its class, its place and a mask are predicted side by side.

He, Gkioxari, Dollar, Girshick: Mask R-CNN. ICCV 2017.

Idea: a detector that looks at each proposed box gets a third branch, which draws the object inside the box. Regions are read
from the maps without rounding (RoIAlign), so that masks fit to the pixel. Each class has a mask of its own, which is trained only
where it is the true one, so that what the object is and where it is do not compete.

    fpn    image -> encoder -> C2..C5 -> pyramid P2..P6 -> RPN -> boxes
                                          P2..P5 -> 7x7 -> 1024 -> 1024 -> class, box
                                          P2..P5 -> 14x14 -> 4 x 3x3 -> x2 -> 28x28 mask of each class
    c4     image -> encoder -> C4 (stride 16) -> RPN -> boxes
                               C4 -> 14x14 -> res5 -> 7x7 -> mean -> class, box
                                                      `-> x2 -> 14x14 mask of each class

Source: sections 3 and 4, figure 4; settings that the paper takes from Detectron, as there; on torchvision's detection parts. Form
"fpn_v2" is torchvision's `maskrcnn_resnet50_fpn_v2`.
Deviations:
    * Images grow by zeros and not by reflection: a mirrored object would be one that the truth does not have.
    * RoIAlign is `aligned`, half a pixel of the map better placed than in the paper's own code and in torchvision.
    * Masks have a map for the background too, as in torchvision, so that its weights load; only "softmax" has a use for it.
    * Normalisation is frozen by an option (`frozen_norm`), since it must learn where the weights are random.
    * Anchors and regions that lie in a crowd are no examples of background, as in Detectron.
    * An object between all anchors makes none of them positive, while in torchvision it makes all of them so (`parts/rpn.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Output, SettingsError
from intarsia.encoders import Encoder, cut_encoder
from intarsia.models.parts.frozen_norm import freeze_norms
from intarsia.models.parts.mask_detector import DetectionFPN, MaskDetector
from intarsia.models.parts.objects import objects_by_image

__all__ = ["MaskRCNN"]

FINEST = 4
"""Stride of the finest map of the pyramid."""


class MaskRCNN(nn.Module):
    """Mask R-CNN on any encoder; "c4" on a ResNet.

    In training and with targets its parts are what `losses.boxes_and_masks` takes; else they are detections, see `MaskRoIHeads`.

    Args:
        encoder: with "fpn" its features of stride 4 and more are taken.
        num_classes: T, classes of things.
        form: "fpn", "c4", or "fpn_v2" with batch normalisation and more convolutions in pyramid and heads.
        roi: how regions are read: "align" or "pool".
        aligned: of RoIAlign: False moves all by half a pixel of the map.
        reduce: of RoIAlign's samples.
        masks: "sigmoid"; for comparison "softmax" over the classes, or "agnostic", one mask for all classes.
        anchor_sizes: sides of the anchors in pixels, one for each map of the pyramid; small objects want smaller ones.
        channels: of the pyramid.
        head_channels: of the hidden layers for boxes.
        mask_channels: of those for masks.
        regions: sampled per image in training; None is 512 with a pyramid and 64 without.
        score_threshold: least score of a detection.
        nms_threshold: greatest IoU of two detections of a class.
        detections: at most so many per image.
        frozen_norm: batch normalisation stays as the pretrained weights have it, as in the paper.
    """

    ENCODER: ClassVar[str] = "resnet50"
    OUTPUT_STRIDE: ClassVar[int] = 32
    TINY: ClassVar[dict[str, Any]] = {
        "encoder": "test_resnet",
        "channels": 16,
        "head_channels": 32,
        "mask_channels": 16,
        "anchor_sizes": (8, 16, 32, 64, 128),
        "regions": 64,
    }
    TARGETS: ClassVar[tuple[str, ...]] = ("objects",)
    LOSS: ClassVar[str] = "boxes_and_masks"
    DECODER: ClassVar[str] = "paste_masks"

    def __init__(
        self,
        *,
        encoder: Encoder,
        num_classes: int,
        form: Literal["fpn", "c4", "fpn_v2"] = "fpn",
        roi: Literal["align", "pool"] = "align",
        aligned: bool = True,
        reduce: Literal["mean", "max"] = "mean",
        masks: Literal["sigmoid", "softmax", "agnostic"] = "sigmoid",
        anchor_sizes: tuple[int, ...] = (32, 64, 128, 256, 512),
        channels: int = 256,
        head_channels: int = 1024,
        mask_channels: int = 256,
        regions: int | None = None,
        score_threshold: float = 0.05,
        nms_threshold: float = 0.5,
        detections: int = 100,
        frozen_norm: bool = False,
    ) -> None:
        super().__init__()
        self.divisor = max(encoder.strides[-1], encoder.size_divisor)
        self.frozen_norm = frozen_norm
        res5, res5_channels = None, encoder.channels[-1]
        if form == "c4":
            res5 = _cut_last_stage(encoder)
            self.first = len(encoder.strides) - 1
            channels = encoder.channels[-1]
        else:
            self.first = next(level for level, stride in enumerate(encoder.strides) if stride >= FINEST)
        self.encoder = encoder
        norm, widths = form == "fpn_v2", encoder.channels[self.first :]
        self.fpn = nn.Identity() if form == "c4" else DetectionFPN(widths, channels, norm=norm)
        self.detector = MaskDetector(
            channels=channels,
            strides=encoder.strides[self.first :],
            num_things=num_classes,
            res5=res5,
            res5_channels=res5_channels,
            norm=norm,
            anchor_sizes=anchor_sizes,
            head_channels=head_channels,
            mask_channels=mask_channels,
            roi=roi,
            aligned=aligned,
            reduce=reduce,
            masks=masks,
            regions=regions or (64 if form == "c4" else 512),
            score_threshold=score_threshold,
            nms_threshold=nms_threshold,
            detections=detections,
        )
        self.train()

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.frozen_norm:
            freeze_norms(self)
        return self

    def forward(self, image: Tensor, targets: Mapping[str, Tensor] | None = None) -> Output:
        height, width = image.shape[-2:]
        grown = F.pad(image, (0, -width % self.divisor, 0, -height % self.divisor))
        objects = objects_by_image(targets, len(image)) if self.training and targets is not None else None
        maps = self.fpn(self.encoder(grown)[self.first :])  # (N, 256, H/4, W/4) ... (N, 256, H/64, W/64)
        parts = self.detector(grown, (height, width), maps, objects)
        return Output(parts.pop("class_logits"), parts=parts)  # (R, T + 1)


def _cut_last_stage(encoder: Encoder) -> nn.Module:
    """Take the stage of stride 32 off a ResNet of timm."""
    stage = getattr(getattr(encoder, "body", None), "layer4", None)
    if not isinstance(stage, nn.Module) or encoder.strides[-2:] != (16, 32):
        raise SettingsError(
            f"The form c4 runs the last stage of a ResNet on each region; this {type(encoder).__name__} with strides "
            f"{', '.join(map(str, encoder.strides))} has no such stage. Choose a ResNet at output stride 32, such as resnet50."
        )
    cut_encoder(encoder, 16)
    return stage
