"""Regions of a batch: those that are learnt from, and those that are found.

Girshick: Fast R-CNN. ICCV 2015.

    proposals and objects, image by image -> matched by IoU -> sampled -> Regions, of all images below each other

Source: section 2.3 (mini-batch sampling).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_iou

from intarsia.core import Output
from intarsia.models.parts.objects import Objects, ignore_crowds

__all__ = ["Regions", "candidates", "image_of", "match_regions", "rows", "sample_regions"]

POSITIVE = 0.5
"""IoU from which a region shows an object."""


class Regions(NamedTuple):
    """R regions and the objects that they show.

    boxes_xyxy: (R, 4) pixels of the image.
    image: (R,) int64, number of the image.
    label: (R,) int64, 1 + thing index, 0 for background, -1 where it lies in a crowd.
    overlap: (R,) greatest IoU with an object.
    matched_xyxy: (R, 4) the box of that object; without any, the region's own.
    place: (R,) int64, where that object stands along the object axis of the batch's targets; without any, 0.
    """

    boxes_xyxy: Tensor
    image: Tensor
    label: Tensor
    overlap: Tensor
    matched_xyxy: Tensor
    place: Tensor

    def at(self, index: Tensor) -> Regions:
        return Regions(*(x[index] for x in self))


def match_regions(proposals: Sequence[Tensor], objects: Sequence[Objects]) -> Regions:
    """Say which object each proposed box (R_n, 4) of each image shows; the objects' own boxes join them."""
    matched = []
    for number, (proposed, image) in enumerate(zip(proposals, objects, strict=True)):
        boxes = torch.cat([proposed, image.boxes_xyxy.to(proposed)])
        fixed = boxes.detach()
        label, place, overlap, match_boxes = image.label.new_zeros(len(boxes)), image.place.new_zeros(len(boxes)), None, fixed
        if len(image.place):
            overlap, match = box_iou(fixed, image.boxes_xyxy.to(fixed)).max(1)
            label = torch.where(overlap >= POSITIVE, image.label[match], 0)
            place, match_boxes = image.place[match], image.boxes_xyxy.to(fixed)[match]
        label = ignore_crowds(label, fixed, image.crowds_xyxy)
        overlap = fixed.new_zeros(len(boxes)) if overlap is None else overlap
        matched.append(Regions(boxes, torch.full_like(label, number), label, overlap, match_boxes, place))
    return Regions(*(torch.cat(column) for column in zip(*matched, strict=True)))


def sample_regions(regions: Regions, count: int, positive_share: float, *, near: float = 0.0, near_share: float = 1.0) -> Regions:
    """Draw at most `count` regions of each image, of which at most `positive_share` show an object and the others are background.

    Of the background `near_share` has an IoU of `near` or more, as far as there is any, and the rest less.
    """
    chosen = []
    for number in range(int(regions.image.max()) + 1 if len(regions.image) else 0):
        here = regions.image == number
        background = here & (regions.label == 0)
        positive = _some(here & (regions.label > 0), round(positive_share * count))
        left = count - len(positive)
        close = _some(background & (regions.overlap >= near), round(near_share * left))
        chosen += [positive, close, _some(background & (regions.overlap < near), left - len(close))]
    return regions.at(torch.cat(chosen)) if chosen else regions


def _some(wanted: Tensor, count: int) -> Tensor:
    """Positions of `count` of the true entries, or of all if there are no more."""
    index = torch.where(wanted)[0]
    return index[torch.randperm(len(index), device=index.device)[:count]]


def image_of(boxes: Sequence[Tensor]) -> Tensor:
    """(R,) number of the image of each box, where boxes (R_n, 4) of each image are laid below each other."""
    return torch.cat([torch.full((len(mine),), number, device=mine.device) for number, mine in enumerate(boxes)])


def rows(boxes_xyxy: Tensor, image: Tensor) -> Tensor:
    """(R, 5) boxes with the number of their image, as `ops` pool them."""
    return torch.cat([image[:, None].to(boxes_xyxy), boxes_xyxy], 1)


def candidates(boxes_xyxy: Tensor, image: Tensor, class_logits: Tensor, mask_logits: Tensor) -> Output:
    """The output of a network in evaluation: what it thinks of each region, as `postprocess.mask_voting` takes it.

    Args:
        boxes_xyxy: (D, 4).
        image: (D,) number of the image.
        class_logits: (D, T + 1), 0 being the background.
        mask_logits: (D, m, m) in the box.
    """
    score, class_index = class_logits.softmax(1)[:, 1:].max(1)
    found = {"boxes_xyxy": boxes_xyxy, "class_index": class_index, "score": score, "image_index": image}
    return Output(class_logits, parts=found | {"mask_logits": mask_logits})
