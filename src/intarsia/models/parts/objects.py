"""The objects of a batch, image by image, as detectors take them to sample anchors and regions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Objects", "ignore_crowds", "objects_by_image"]

INSIDE_CROWD = 0.7
"""Share of a box from which it lies in a crowd, as in Detectron."""


class Objects(NamedTuple):
    """What one image holds.

    boxes_xyxy: (q, 4) float32, pixels of the image.
    label: (q,) int64, 1 + thing index; 0 is the background.
    place: (q,) int64, where they stand along the object axis of the batch's targets.
    crowds_xyxy: (g, 4) boxes around groups, in which nothing is right or wrong.
    """

    boxes_xyxy: Tensor
    label: Tensor
    place: Tensor
    crowds_xyxy: Tensor


def objects_by_image(targets: Mapping[str, Tensor], count: int) -> list[Objects]:
    """Take the batch's target `objects`, whose arrays are concatenated over images, apart into those of `count` images."""
    boxes, crowd = targets["objects.boxes_xyxy"].float(), targets["objects.is_crowd"].bool()
    found = []
    for number in range(count):
        here = (targets["objects.image"] == number) & (boxes[:, 2:] > boxes[:, :2]).all(1)  # an empty mask has no box
        index = torch.where(here & ~crowd)[0]
        found.append(Objects(boxes[index], targets["objects.class_index"][index].long() + 1, index, boxes[here & crowd]))
    return found


def ignore_crowds(label: Tensor, boxes_xyxy: Tensor, crowds_xyxy: Tensor) -> Tensor:
    """Labels (R,) of boxes (R, 4) in which background (0) that lies in a crowd is -1, which no sampler takes."""
    if len(crowds_xyxy) == 0:
        return label
    corner = torch.maximum(boxes_xyxy[:, None, :2], crowds_xyxy[:, :2])
    sides = (torch.minimum(boxes_xyxy[:, None, 2:], crowds_xyxy[:, 2:]) - corner).clamp(min=0)  # (R, g, 2)
    area = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(1)
    inside = sides.prod(2).amax(1) > INSIDE_CROWD * area
    return torch.where((label == 0) & inside, -1, label)
