"""MNC: a box is proposed, a mask is drawn in it, the masked region is named and its box is moved, and so once more.

Dai, He, Sun: Instance-aware Semantic Segmentation via Multi-task Network Cascades. CVPR 2016.

Idea: three tasks stand in a row, each on the features and on what the one before found: boxes, masks of any class, classes of
what is masked. Regions are warped to a grid in a way that is differentiable in the box, so that later tasks teach the boxes.
Classes come with moved boxes, for which masks and classes are asked again, with the same weights.

    image -> VGG-16 -> conv5_3 (stride 16) -> RPN -> boxes                                                            1
    boxes, conv5_3 -> 28x28 -> max -> 14x14x512 -> 256 -> 21x21 mask                                                  2
          14x14x512 ---------> max -> 7x7 -> 4096 -> 4096 .
          14x14x512 times mask -> max -> 7x7 -> 4096 -> 4096 -> classes by box, classes by mask, moved boxes          3
    moved boxes, conv5_3 -> 2 and 3 again                                                                          4, 5

Source: sections 3 and 4, figures 2 and 4; numbers that the paper leaves open as in the authors' code.
Deviations:
    * Images grow by zeros and not by reflection: a mirrored object would be one that the truth does not have.
    * What a mask covers is counted on the cells of its grid, see `models.parts.region_masks`.
    * Only regions that show an object teach their boxes. Else the boxes of background run away from all objects, where they are
      easy to name, and those on objects with them: proposals of the tests' scene came to overlap no object by half any more.
    * Moved boxes are sampled as the first ones are, so that both turns learn from as many.
    * The fully connected layers begin at random: weights come with the encoder, and ImageNet's are not in it.
    * On another trunk, the last feature of stride 16 or less stands for conv5_3, and the rest stays as it is; the authors' ResNet
      runs its last stage on each region instead.
    * Regions that lie in a crowd are no examples of background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import clip_boxes_to_image

from intarsia.core import Output
from intarsia.encoders import Encoder, cut_encoder
from intarsia.encoders.vgg16 import VGG16
from intarsia.models.parts.frozen_norm import freeze_norms
from intarsia.models.parts.objects import objects_by_image
from intarsia.models.parts.region_masks import grid_overlap, masks_in_boxes
from intarsia.models.parts.regions import Regions, candidates, image_of, match_regions, rows, sample_regions
from intarsia.models.parts.rpn import RPN
from intarsia.ops.full_precision import full_precision
from intarsia.ops.limited_gradient import limited_gradient
from intarsia.ops.roi_warp import roi_warp

__all__ = ["MNC"]

GRID = 14
"""Side of the features of a region; its masks are larger."""

DECIDED = 0.4
"""Probability, or share of a cell, from which a cell belongs to the object."""

MASK_POSITIVE = 0.5
"""IoU of masks from which a region's predicted mask shows its object."""


class MNC(nn.Module):
    """The cascade of five stages on VGG-16 or another encoder.

    In training and with targets its parts are what `losses.task_cascade` takes, those of stages 4 and 5 with "_again" behind
    their names; else they are the candidates of stages 3 and 5, on which `postprocess.mask_voting` decides.

    Args:
        encoder: "vgg16"; of others the last feature of stride 16 or less is taken, so `output_stride=8` makes it finer.
        num_classes: T, classes of things.
        anchor_sizes: sides of the anchors in pixels; small objects want smaller ones.
        head_channels: of the fully connected layers for classes.
        mask_channels: of that for masks.
        mask_size: side of a mask.
        regions: sampled per image and turn in training, three tenths of them positive.
        proposals: per image.
        min_size: least side of a proposal in pixels.
        dropout: behind the layers of `head_channels`, as in VGG-16.
        box_gradient: limit of the gradient that a delta gets from what is done with its box, 1/512; with 0 boxes learn from their
            own loss alone.
        frozen_norm: batch normalisation of the encoder stays as the pretrained weights have it.
    """

    ENCODER: ClassVar[str] = "vgg16"
    OUTPUT_STRIDE: ClassVar[int] = 32
    TINY: ClassVar[dict[str, Any]] = {
        "encoder": "test_resnet",
        "output_stride": 8,
        "anchor_sizes": (8, 16, 32),
        "head_channels": 16,
        "mask_channels": 8,
        "regions": 32,
        "proposals": 50,
        "min_size": 2.0,
        "dropout": 0.0,
    }
    TARGETS: ClassVar[tuple[str, ...]] = ("objects",)
    LOSS: ClassVar[str] = "task_cascade"
    DECODER: ClassVar[str] = "mask_voting"

    def __init__(
        self,
        *,
        encoder: Encoder,
        num_classes: int,
        anchor_sizes: tuple[int, ...] = (128, 256, 512),
        head_channels: int = 4096,
        mask_channels: int = 256,
        mask_size: int = 21,
        regions: int = 64,
        proposals: int = 300,
        min_size: float = 16.0,
        dropout: float = 0.5,
        box_gradient: float = 0.001953125,
        frozen_norm: bool = False,
    ) -> None:
        super().__init__()
        self.regions, self.box_gradient, self.frozen_norm = regions, box_gradient, frozen_norm
        _end_at_stride_16(encoder)
        self.encoder, self.stride = encoder, encoder.strides[-1]
        self.divisor = max(self.stride, encoder.size_divisor)
        self.rpn = RPN(
            encoder.channels[-1],
            [anchor_sizes],
            candidates=(12000, 6000),
            proposals=(proposals, proposals),
            min_size=min_size,
            box_gradient=box_gradient,
        )
        self.mask_head = _MaskHead(encoder.channels[-1], mask_channels, mask_size)
        self.class_head = _ClassHead(encoder.channels[-1], head_channels, num_classes, dropout)
        self.box_coder = BoxCoder((10.0, 10.0, 5.0, 5.0))  # deltas over their standard deviations 0.1, 0.1, 0.2, 0.2
        self.train()

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.frozen_norm:
            freeze_norms(self)
        return self

    def forward(self, image: Tensor, targets: Mapping[str, Tensor] | None = None) -> Output:
        height, width = image.shape[-2:]
        grown = F.pad(image, (0, -width % self.divisor, 0, -height % self.divisor))
        features = self.encoder(grown)[-1]  # conv5_3, (N, 512, H/16, W/16)
        if not self.training or targets is None:
            boxes, _ = self.rpn(grown, (height, width), [features])
            return self._find(features, boxes, (height, width))
        objects = objects_by_image(targets, len(image))
        boxes, parts = self.rpn(grown, (height, width), [features], objects)
        for turn in ("", "_again"):
            matched = match_regions(boxes, objects)
            regions = sample_regions(matched, self.regions, 0.3, near=0.1, near_share=0.85)
            found, wanted = self._learn(features, regions, targets["objects.masks"])
            parts |= {f"{name}{turn}": value for name, value in wanted.items()}
            moved = self._move(found, regions.boxes_xyxy, (height, width))
            boxes = [moved[regions.image == number] for number in range(len(image))]
        return Output(found.mask_class_logits, parts=parts)

    def _find(self, features: Tensor, proposals: Sequence[Tensor], size_hw: tuple[int, int]) -> Output:
        """All that stages 3 and 5 think."""
        boxes, image = torch.cat(list(proposals)), image_of(proposals)
        first = self._look(features, boxes, image)
        moved = self._move(first, boxes, size_hw)
        second = self._look(features, moved, image)
        classes, masks = (
            torch.cat([getattr(first, name), getattr(second, name)]) for name in ("mask_class_logits", "mask_logits")
        )
        return candidates(torch.cat([boxes, moved]), image.repeat(2), classes, masks)

    def _look(self, features: Tensor, boxes: Tensor, image: Tensor) -> _Found:
        """Stages 2 and 3, or 4 and 5."""
        warped = self._warp(features, boxes, image)
        mask_logits = self.mask_head(warped)
        return _Found(mask_logits, *self.class_head(warped, mask_logits.sigmoid()))

    def _learn(self, features: Tensor, regions: Regions, masks: Tensor) -> tuple[_Found, dict[str, Tensor]]:
        """The same with what is wanted; classes teach masks that show their object, and both teach boxes that do."""
        boxes, label = regions.boxes_xyxy, regions.label
        taught_boxes = torch.where((label > 0)[:, None], boxes, boxes.detach())
        warped = self._warp(features, taught_boxes, regions.image)
        mask_logits = self.mask_head(warped)
        prob = mask_logits.sigmoid()
        positive = torch.where(label > 0)[0]
        place, true_class, within = regions.place[positive], label[positive], boxes[positive].detach()
        covered = masks_in_boxes(masks, place, within, prob.shape[-1])
        overlap = grid_overlap(prob[positive] >= DECIDED, covered, within, masks.sum((1, 2)).float()[place])
        mask_label = label.index_copy(0, positive, torch.where(overlap >= MASK_POSITIVE, true_class, 0))
        taught = torch.where((mask_label > 0)[:, None, None], prob, prob.detach())
        found = _Found(mask_logits, *self.class_head(warped, taught))
        return found, {
            "label": label,
            "class_logits": found.class_logits,
            "mask_label": mask_label,
            "mask_class_logits": found.mask_class_logits,
            "box_deltas": found.deltas[positive, true_class],
            "box_delta_targets": self.box_coder.encode_single(regions.matched_xyxy[positive], within),
            "mask_logits": mask_logits[positive],
            "mask_targets": covered >= DECIDED,
        }

    def _warp(self, features: Tensor, boxes: Tensor, image: Tensor) -> Tensor:
        with full_precision(features):  # half of it does not place boxes to a pixel
            exact = features if features.dtype == torch.float64 else features.float()
            fine = roi_warp(exact, rows(boxes, image), (2 * GRID, 2 * GRID), scale=1 / self.stride)
        return F.max_pool2d(fine, 2)  # (R, 512, 14, 14)

    def _move(self, found: _Found, boxes: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """Boxes (R, 4) where the class of the masked region says that they really are."""
        best = found.mask_class_logits[:, 1:].argmax(1) + 1
        deltas = found.deltas[torch.arange(len(best), device=best.device), best]
        moved = self.box_coder.decode_single(limited_gradient(deltas, self.box_gradient), boxes)
        inside: Tensor = clip_boxes_to_image(moved, size_hw)
        return inside


class _Found(NamedTuple):
    """Of R regions: masks (R, m, m), both scores (R, T + 1) and deltas (R, T + 1, 4)."""

    mask_logits: Tensor
    class_logits: Tensor
    mask_class_logits: Tensor
    deltas: Tensor


class _MaskHead(nn.Module):
    """(R, C, 14, 14) -> (R, m, m)."""

    def __init__(self, channels: int, hidden: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.hidden = _hidden(GRID**2 * channels, hidden)
        self.mask = _last(hidden, size**2, 0.001)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.mask(F.relu(self.hidden(x.flatten(1)))).float()
        return logits.reshape(len(x), self.size, self.size)


class _ClassHead(nn.Module):
    """(R, C, 14, 14) and masks (R, m, m) of probabilities -> classes by box, classes by mask, deltas."""

    def __init__(self, channels: int, hidden: int, num_things: int, dropout: float) -> None:
        super().__init__()
        self.of_box, self.of_mask = (
            nn.Sequential(
                nn.Flatten(),
                _hidden((GRID // 2) ** 2 * channels, hidden),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout),
                _hidden(hidden, hidden),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout),
            )
            for _ in range(2)
        )
        self.classes = _last(2 * hidden, num_things + 1, 0.01)
        self.mask_classes = _last(2 * hidden, num_things + 1, 0.01)
        self.deltas = _last(2 * hidden, 4 * (num_things + 1), 0.001)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weight = F.interpolate(mask[:, None], (GRID, GRID), mode="bilinear", align_corners=False)
        both = torch.cat([self.of_mask(F.max_pool2d(x * weight, 2)), self.of_box(F.max_pool2d(x, 2))], 1)
        classes, mask_classes, deltas = (layer(both).float() for layer in (self.classes, self.mask_classes, self.deltas))
        return classes, mask_classes, deltas.reshape(*classes.shape, 4)


def _end_at_stride_16(encoder: Encoder) -> None:
    """Leave out what makes the last feature coarser: of VGG-16 its fifth pooling, of others the stage of stride 32; in place."""
    if isinstance(encoder, VGG16):
        encoder.stages[-1] = nn.Sequential(*list(encoder.stages[-1].children())[:-1])
        encoder.strides = (*encoder.strides[:-1], encoder.strides[-2])
    elif encoder.strides[-1] > 16:
        cut_encoder(encoder, 16)


def _hidden(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=(2 / inputs) ** 0.5)
    nn.init.zeros_(layer.bias)
    return layer


def _last(inputs: int, outputs: int, std: float) -> nn.Linear:
    """Begins near zero: scores at chance, boxes where they were proposed, masks undecided."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=std)
    nn.init.zeros_(layer.bias)
    return layer
