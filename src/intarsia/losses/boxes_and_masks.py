"""Loss of Mask R-CNN: proposals, classes, boxes and masks, learnt at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia.core import Output, SegmentationError
from intarsia.ops.roi_align import roi_align

__all__ = ["boxes_and_masks_loss"]

OBJECT_LOSS = True


def boxes_and_masks_loss(
    output: Output,
    targets: Mapping[str, Tensor],
    *,
    mask_target: Literal["binary", "soft"] = "binary",
    rpn_beta: float = 1 / 9,
    box_beta: float = 1 / 9,
) -> dict[str, Tensor]:
    """Five terms of weight 1, over A sampled anchors and R sampled regions, P of each being positive.

        rpn_class = mean over A of the binary cross-entropy of objectness
        rpn_box = 1 / A sum over P of smooth_l1(deltas - wanted deltas; rpn_beta)
        class = mean over R of the cross-entropy over T classes and the background
        box = 1 / R sum over P of smooth_l1(deltas of the true class - wanted deltas; box_beta)
        mask = mean over P and m x m of the binary cross-entropy of the true class' map

    with smooth_l1(x; b) the sum over four deltas of x^2 / 2b below b and |x| - b / 2 above. Each in [0, inf), 0 at a perfect
    prediction; boxes and masks are 0 without a positive. Computed in float32. Masks that compete over classes ("softmax") have
    the cross-entropy over all maps instead, the background's being true outside the object.

    The wanted mask is the object's, read in the region: "binary" as in Detectron2, decided at 0.5, half a pixel better placed
    than "soft", which is the mean over each cell, as torchvision has it.

    Source: He et al., "Mask R-CNN", ICCV 2017, section 3; betas as in torchvision (Detectron: 1/9 and 1).

    Args:
        output: logits (R, T + 1) and the parts that `models.parts.roi_heads` and `models.parts.rpn` sampled in training.
        targets: "objects.masks" (Q, H, W) of 0 and 1.
        mask_target: "binary" or "soft".
        rpn_beta: where the loss of the proposals' boxes turns from square to linear; greater than 0.
        box_beta: the same for the boxes of regions.

    Raises:
        SegmentationError: the output has nothing to learn from, since it is one of evaluation or was made without targets.
    """
    parts = output.parts or {}
    if "rpn_label" not in parts:
        raise SegmentationError(
            f"The output has the parts {', '.join(parts) or 'none'}, and the loss learns from sampled anchors and regions "
            "(rpn_label and others). Call the network in training mode with the targets."
        )
    anchors, regions = len(parts["rpn_label"]), len(parts["label"])
    objectness = F.binary_cross_entropy_with_logits(parts["rpn_objectness"].float(), parts["rpn_label"].float(), reduction="sum")
    rpn_box = F.smooth_l1_loss(parts["rpn_deltas"].float(), parts["rpn_delta_targets"], beta=rpn_beta, reduction="sum")
    entropy = F.cross_entropy(output.logits.float(), parts["label"], reduction="sum")
    box = F.smooth_l1_loss(parts["box_deltas"].float(), parts["box_delta_targets"], beta=box_beta, reduction="sum")
    return {
        "rpn_class": objectness / max(1, anchors),
        "rpn_box": rpn_box / max(1, anchors),
        "class": entropy / max(1, regions),
        "box": box / max(1, regions),
        "mask": _mask_term(parts, targets["objects.masks"], mask_target),
    }


def _mask_term(parts: Mapping[str, Tensor], masks: Tensor, mask_target: str) -> Tensor:
    by_class = parts.get("mask_class_logits")
    logits = (parts["mask_logits"] if by_class is None else by_class).float()
    if logits.numel() == 0:
        return logits.sum()
    wanted = _wanted_masks(masks, parts["mask_object"], parts["mask_boxes_xyxy"], logits.shape[-1], mask_target == "binary")
    if by_class is None:
        return F.binary_cross_entropy_with_logits(logits, wanted)
    true_class = parts["label"][parts["label"] > 0]
    own = logits.log_softmax(1)
    there = own[torch.arange(len(own), device=own.device), true_class]
    return -(wanted * there + (1 - wanted) * own[:, 0]).mean()


def _wanted_masks(masks: Tensor, index: Tensor, boxes_xyxy: Tensor, side: int, binary: bool) -> Tensor:
    """(P, m, m) of the objects' masks (Q, H, W) at `index`, read in the boxes; only those used are made floats."""
    used, place = torch.unique(index, return_inverse=True)
    boxes = torch.cat([place[:, None].float(), boxes_xyxy.float()], 1)
    read = roi_align(masks[used, None].float(), boxes, (side, side), samples=0, aligned=binary)[:, 0]
    return (read >= 0.5).float() if binary else read
