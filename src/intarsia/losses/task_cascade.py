"""Loss of Multi-task Network Cascades: boxes, masks and classes, each stage on what the one before found."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

from intarsia.core import Output
from intarsia.losses._proposals import box_term, learnt_parts, proposal_terms

__all__ = ["task_cascade_loss"]

OBJECT_LOSS = True


def task_cascade_loss(
    output: Output,
    targets: Mapping[str, Tensor],
    *,
    mask_weight: float = 2.0,
    rpn_beta: float = 1 / 9,
    box_beta: float = 1.0,
) -> dict[str, Tensor]:
    """Ten terms: two of the proposals, and four of masks and classes, which come again for the boxes that were moved.

        rpn_class, rpn_box: as in `boxes_and_masks_loss`
        mask = mask_weight * mean over P and m x m of the binary cross-entropy of the mask, whatever its class
        class = mean over R of the cross-entropy over T classes and the background, told by the box
        mask_class = the same, told by the predicted mask
        box = 1 / R sum over P of smooth_l1(deltas of the true class - wanted deltas; box_beta)
        mask_again, class_again, mask_class_again, box_again: the same of the moved boxes

    over R regions, P of which are positive. Each in [0, inf), 0 at a perfect prediction; boxes and masks are 0 without a
    positive. Computed in float32.

    Source: Dai, He, Sun: Instance-aware Semantic Segmentation via Multi-task Network Cascades, CVPR 2016, section 3; weights as
    in the authors' code. By what that divides the sum over masks we do not know; here it is a mean over their pixels.

    Args:
        output: parts that `models.instance.mnc` made in training.
        targets: not looked at, since the parts say what is wanted.
        mask_weight: of both terms of masks.
        rpn_beta: where the loss of the proposals' boxes turns from square to linear; greater than 0.
        box_beta: the same for the boxes of regions.

    Raises:
        SegmentationError: the output has nothing to learn from, since it is one of evaluation or was made without targets.
    """
    parts = learnt_parts(output)
    terms = proposal_terms(parts, rpn_beta)
    for turn in ("", "_again"):
        label, masks = parts[f"label{turn}"], parts[f"mask_logits{turn}"].float()
        regions = max(1, len(label))
        entropy = F.binary_cross_entropy_with_logits(masks, parts[f"mask_targets{turn}"].float(), reduction="sum")
        told_by_mask = parts[f"mask_class_logits{turn}"].float()
        box = box_term(parts[f"box_deltas{turn}"], parts[f"box_delta_targets{turn}"], box_beta).sum()
        terms |= {
            f"mask{turn}": mask_weight * entropy / max(1, masks.numel()),
            f"class{turn}": F.cross_entropy(parts[f"class_logits{turn}"].float(), label, reduction="sum") / regions,
            f"mask_class{turn}": F.cross_entropy(told_by_mask, parts[f"mask_label{turn}"], reduction="sum") / regions,
            f"box{turn}": box / regions,
        }
    return terms
