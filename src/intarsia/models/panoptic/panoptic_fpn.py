"""Panoptic FPN: Mask R-CNN for things, Semantic FPN for stuff, on one feature pyramid.

Kirillov, Girshick, He, Dollar: Panoptic Feature Pyramid Networks. CVPR 2019.

Idea: a feature pyramid is what good detectors and light semantic networks both stand on, so one can carry both. The head for
classes knows the stuff and "any thing", since which thing it is the detector says. Trained at once, the two cost each other
little.

    image -> encoder -> C2..C5 -> pyramid P2..P6 -> RPN -> boxes -> class, box, mask
                                          P2..P5 -> to stride 4 -> + -> 1x1, 1 + S -> (H, W)

Source: sections 3.1 and 3.2, figures 2 and 3; the branches are those of Mask R-CNN (form "fpn") and Semantic FPN.
Deviations:
    * Images grow by zeros, and RoIAlign is aligned, as in `mask_rcnn`.
    * `merge="concat"` is one of the paper's ablations (table 2, d).
    * Normalisation is frozen by an option (`frozen_norm`), since it must learn where the weights are random.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Output
from intarsia.encoders import Encoder
from intarsia.models.parts.frozen_norm import freeze_norms
from intarsia.models.parts.mask_detector import DetectionFPN, MaskDetector
from intarsia.models.parts.objects import objects_by_image
from intarsia.models.parts.semantic_fpn_head import SemanticFPNHead
from intarsia.ops.reflect import crop
from intarsia.ops.resize import resize_bilinear

__all__ = ["PanopticFPN"]

FINEST = 4
"""Stride of the finest map of the pyramid."""


class PanopticFPN(nn.Module):
    """Panoptic FPN on any encoder.

    `Output.logits` are (N, 1 + S, H, W): any thing, then the S classes of stuff in the order of their ids. Its parts are those of
    `MaskRCNN`, with "class_logits" of the sampled regions in training.

    Args:
        encoder: its features of stride 4 and more are taken.
        num_classes: K, things and stuff together.
        thing_ids: the classes that are things.
        merge: how the maps of the pyramid are joined for stuff: "sum" or "concat".
        anchor_sizes: sides of the anchors in pixels, one for each map of the pyramid; small objects want smaller ones.
        channels: of the pyramid.
        semantic_channels: of the head for stuff, a multiple of 32, the groups of its normalisation.
        head_channels: of the hidden layers for boxes.
        mask_channels: of those for masks.
        regions: sampled per image in training.
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
        "semantic_channels": 32,
        "head_channels": 32,
        "mask_channels": 16,
        "anchor_sizes": (8, 16, 32, 64, 128),
        "regions": 64,
    }
    TARGETS: ClassVar[tuple[str, ...]] = ("objects", "stuff")
    LOSS: ClassVar[str] = "things_and_stuff"
    DECODER: ClassVar[str] = "panoptic_merge"

    def __init__(
        self,
        *,
        encoder: Encoder,
        num_classes: int,
        thing_ids: tuple[int, ...],
        merge: Literal["sum", "concat"] = "sum",
        anchor_sizes: tuple[int, ...] = (32, 64, 128, 256, 512),
        channels: int = 256,
        semantic_channels: int = 128,
        head_channels: int = 1024,
        mask_channels: int = 256,
        regions: int = 512,
        score_threshold: float = 0.05,
        nms_threshold: float = 0.5,
        detections: int = 100,
        frozen_norm: bool = False,
    ) -> None:
        super().__init__()
        self.divisor = max(encoder.strides[-1], encoder.size_divisor)
        self.frozen_norm = frozen_norm
        self.encoder = encoder
        self.first = next(level for level, stride in enumerate(encoder.strides) if stride >= FINEST)
        strides = encoder.strides[self.first :]
        self.fpn = DetectionFPN(encoder.channels[self.first :], channels)
        self.detector = MaskDetector(
            channels=channels,
            strides=strides,
            num_things=len(thing_ids),
            anchor_sizes=anchor_sizes,
            head_channels=head_channels,
            mask_channels=mask_channels,
            regions=regions,
            score_threshold=score_threshold,
            nms_threshold=nms_threshold,
            detections=detections,
        )
        kinds = num_classes - len(thing_ids) + 1
        self.semantic = SemanticFPNHead(channels, strides, kinds, channels=semantic_channels, merge=merge)
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
        scores = self.semantic(maps[:-1], grown.shape[-2:])  # (N, 1 + S, H/4, W/4)
        parts = self.detector(grown, (height, width), maps, objects)
        if objects is None:
            del parts["class_logits"]  # of proposals, which are no detections
        return Output(crop(resize_bilinear(scores, grown.shape[-2:]), (height, width)), parts=parts)  # (N, 1 + S, H, W)
