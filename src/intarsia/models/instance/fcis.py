"""FCIS: each part of a region reads maps of its own, one for inside of an object and one for outside.

Li, Qi, Dai, Ji, Wei: Fully Convolutional Instance-aware Semantic Segmentation. CVPR 2017.

Idea: for each class there are two sets of maps, one for pixels inside an object and one for pixels outside of it, and each set
has a map for each of 7 x 7 parts of a region. A region cuts its parts out of them, without weights of its own. Of each pixel, the
softmax over both is the mask, and their maximum votes for the class, so that masks and classes come from the same scores.

    image -> ResNet-101 -> conv4 (stride 16) -> RPN -> boxes
                        -> conv5 (stride 16) -> 1x1, 1024 -> 1x1 -> 7*7 * 2 * (T+1) maps -> parts -> 21x21 * 2 * (T+1)
                                                         `-> 1x1 -> 7*7 * 8 maps -> parts -> mean -> moved box
    21x21 * 2 * (T+1) -> maximum of the pair -> mean -> class;  pair of that class -> softmax -> 21x21 mask
    moved boxes -> all of this again

Source: section 3 and figures 2 and 3; numbers that the paper leaves open as in the authors' code.
Deviations:
    * Images grow by zeros and not by reflection: a mirrored object would be one that the truth does not have.
    * The first convolution of conv5 whose stride is gone keeps rate 1 and the others have 2, so that the stage is ImageNet's.
    * Masks are read off the cells that an object covers, see `models.parts.region_masks`; the authors resize its mask.
    * Of the background class too there is a pair of maps, as in the authors' code, though no mask is ever asked of it.
    * Normalisation is frozen by an option (`frozen_norm`), since it must learn where the weights are random.
    * Regions that lie in a crowd are no examples of background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import clip_boxes_to_image, remove_small_boxes

from intarsia.core import Output, SettingsError
from intarsia.encoders import Encoder
from intarsia.models.parts.frozen_norm import freeze_norms
from intarsia.models.parts.normal_conv import normal_conv
from intarsia.models.parts.objects import Objects, objects_by_image
from intarsia.models.parts.region_masks import masks_in_boxes
from intarsia.models.parts.regions import candidates, image_of, match_regions, rows, sample_regions
from intarsia.models.parts.rpn import RPN
from intarsia.ops.position_sensitive_pool import position_sensitive_pool

__all__ = ["FCIS"]

BINS = 3
"""Bins per axis of each part: 21 for 7 parts."""

COVERED = 0.4
"""Share of a bin from which it belongs to the object."""


class FCIS(nn.Module):
    """FCIS on any encoder with two last features.

    In training and with targets its parts are what `losses.inside_outside` takes; else they are the candidates of both passes, on
    which `postprocess.mask_voting` decides.

    Args:
        encoder: boxes are proposed on its last feature but one, and the maps are made from the last; `output_stride=8` makes both
            finer, for small objects.
        num_classes: T, classes of things.
        anchor_sizes: sides of the anchors in pixels; small objects want smaller ones.
        channels: in front of the maps.
        group: parts of a region per axis; a mask has three times as many pixels.
        regions: per image in training: of all, those with the greatest loss; without `ohem` sampled, a quarter positive.
        ohem: whether the loss chooses the regions (online hard example mining).
        proposals: per image.
        min_size: least side of a region in pixels; 16 for the authors' VOC.
        passes: 2 looks again at the moved boxes.
        frozen_norm: batch normalisation stays as the pretrained weights have it, as in the paper.

    Raises:
        SettingsError: more passes than two.
    """

    ENCODER: ClassVar[str] = "resnet101"
    OUTPUT_STRIDE: ClassVar[int] = 16
    TINY: ClassVar[dict[str, Any]] = {
        "encoder": "test_resnet",
        "output_stride": 8,
        "anchor_sizes": (8, 16, 32),
        "channels": 32,
        "regions": 32,
        "proposals": 50,
    }
    TARGETS: ClassVar[tuple[str, ...]] = ("objects",)
    LOSS: ClassVar[str] = "inside_outside"
    DECODER: ClassVar[str] = "mask_voting"

    def __init__(
        self,
        *,
        encoder: Encoder,
        num_classes: int,
        anchor_sizes: tuple[int, ...] = (64, 128, 256, 512),
        channels: int = 1024,
        group: int = 7,
        regions: int = 128,
        ohem: bool = True,
        proposals: int = 300,
        min_size: float = 2.0,
        passes: int = 2,
        frozen_norm: bool = False,
    ) -> None:
        super().__init__()
        if passes > 2:
            raise SettingsError(f"FCIS looks at regions in one pass or in two; {passes} were asked for.")
        self.encoder, self.divisor = encoder, max(encoder.strides[-1], encoder.size_divisor)
        self.stride, self.group, self.passes = encoder.strides[-1], group, passes
        self.regions, self.ohem, self.min_size, self.frozen_norm = regions, ohem, min_size, frozen_norm
        self.rpn = RPN(
            encoder.channels[-2],
            [anchor_sizes],
            candidates=(12000, 6000),
            proposals=(proposals, proposals),
            min_size=min_size,
        )
        self.reduce = normal_conv(encoder.channels[-1], channels, std=0.01)
        self.scores = normal_conv(channels, group**2 * 2 * (num_classes + 1), std=0.01)  # class by class, outside before inside
        self.boxes = normal_conv(channels, group**2 * 8, std=0.01)  # of background, which nothing asks for, and of any object
        self.box_coder = BoxCoder((5.0, 5.0, 2.0, 2.0))  # deltas over their standard deviations 0.2, 0.2, 0.5, 0.5
        self.train()

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.frozen_norm:
            freeze_norms(self)
        return self

    def forward(self, image: Tensor, targets: Mapping[str, Tensor] | None = None) -> Output:
        size_hw = (image.shape[-2], image.shape[-1])
        grown = F.pad(image, (0, -size_hw[1] % self.divisor, 0, -size_hw[0] % self.divisor))
        *_, conv4, conv5 = self.encoder(grown)  # (N, 1024, H/16, W/16), (N, 2048, H/16, W/16)
        x = F.relu(self.reduce(conv5))
        maps = self.scores(x), self.boxes(x)
        if not self.training or targets is None:
            boxes, _ = self.rpn(grown, size_hw, [conv4])
            return self._find(maps, boxes, size_hw)
        objects = objects_by_image(targets, len(image))
        boxes, parts = self.rpn(grown, size_hw, [conv4], objects)
        parts |= self._learn(maps, boxes, objects, targets["objects.masks"])
        return Output(parts["class_logits"], parts=parts)

    def _find(self, maps: tuple[Tensor, Tensor], proposals: Sequence[Tensor], size_hw: tuple[int, int]) -> Output:
        """All that both passes think."""
        boxes, image = torch.cat(list(proposals)), image_of(proposals)
        seen = []
        for left in reversed(range(self.passes)):
            pairs, class_logits, deltas = self._read(maps, rows(boxes, image))
            own = class_logits[:, 1:].argmax(1) + 1
            seen.append((boxes, image, class_logits, inside_against_outside(pairs, own)))
            if left:
                boxes = clip_boxes_to_image(self.box_coder.decode_single(deltas, boxes), size_hw)
                large = remove_small_boxes(boxes, self.min_size)
                boxes, image = boxes[large], image[large]
        return candidates(*(torch.cat(column) for column in zip(*seen, strict=True)))

    def _learn(
        self, maps: tuple[Tensor, Tensor], proposals: Sequence[Tensor], objects: Sequence[Objects], masks: Tensor
    ) -> dict[str, Tensor]:
        matched = match_regions(proposals, objects)
        regions = matched.at(matched.label >= 0) if self.ohem else sample_regions(matched, self.regions, 0.25)
        pairs, class_logits, deltas = self._read(maps, rows(regions.boxes_xyxy, regions.image))
        positive = torch.where(regions.label > 0)[0]
        boxes = regions.boxes_xyxy[positive]
        covered = masks_in_boxes(masks, regions.place[positive], boxes, pairs.shape[-1])
        parts = {
            "class_logits": class_logits,
            "label": regions.label,
            "region_image": regions.image,
            "box_deltas": deltas[positive],
            "box_delta_targets": self.box_coder.encode_single(regions.matched_xyxy[positive], boxes),
            "mask_logits": inside_against_outside(pairs[positive], regions.label[positive]),
            "mask_targets": covered >= COVERED,
        }
        return parts | ({"hardest": torch.tensor(self.regions)} if self.ohem else {})

    def _read(self, maps: tuple[Tensor, Tensor], regions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of regions (R, 5) their pairs (R, T + 1, 2, 21, 21), class scores (R, T + 1) and deltas (R, 4)."""
        last = regions - regions.new_tensor([0, 0, 0, 1, 1])  # the pooling's boxes end with their last pixel, not behind it
        pairs, moves = (
            position_sensitive_pool(x, last, group=self.group, size=BINS * self.group, scale=1 / self.stride).float()
            for x in maps
        )
        pairs = pairs.reshape(len(pairs), pairs.shape[1] // 2, 2, *pairs.shape[2:])
        return pairs, class_scores(pairs), moves.mean((2, 3))[:, 4:]


def class_scores(pairs: Tensor) -> Tensor:
    """(R, K) scores of pairs (R, K, 2, m, m): the mean over pixels of what is greater, inside or outside."""
    return pairs.amax(2).mean((2, 3))


def inside_against_outside(pairs: Tensor, label: Tensor) -> Tensor:
    """(R, m, m) logits of the masks of classes (R,), whose sigmoid is the softmax over the pair."""
    own = pairs[torch.arange(len(label), device=label.device), label]
    return own[:, 1] - own[:, 0]
