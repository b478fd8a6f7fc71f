"""Loss of FCIS: classes, masks and boxes of the regions that are hardest."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia.core import Output
from intarsia.losses._proposals import box_term, learnt_parts, proposal_terms

__all__ = ["inside_outside_loss"]

OBJECT_LOSS = True


def inside_outside_loss(
    output: Output,
    targets: Mapping[str, Tensor],
    *,
    mask_weight: float = 10.0,
    rpn_beta: float = 1 / 9,
    box_beta: float = 1.0,
) -> dict[str, Tensor]:
    """Five terms: two of the proposals, and three of regions. Region r has the loss

        class_r + mask_r + box_r
        class_r = cross-entropy over T classes and the background
        mask_r = mask_weight * mean over m x m of the cross-entropy of inside against outside, of the true class
        box_r = smooth_l1(deltas - wanted deltas; box_beta), summed over the four

    where masks and boxes are of positive regions alone. `class`, `mask` and `box` are means over regions: over all of them, or
    where the output says how many shall be looked at, over those of each image whose loss is greatest (online hard example
    mining). Each in [0, inf), 0 at a perfect prediction; boxes and masks are 0 without a positive. Computed in float32.

    Source: Li, Qi, Dai, Ji, Wei: Fully Convolutional Instance-aware Semantic Segmentation, CVPR 2017, section 3.2; weights as in
    the authors' code, which divides by 128 also where there are fewer regions. Shrivastava, Gupta, Girshick: Training
    Region-based Object Detectors with Online Hard Example Mining, CVPR 2016.

    Args:
        output: parts that `models.instance.fcis` made in training; of them "hardest" () is how many regions of each image count.
        targets: not looked at, since the parts say what is wanted.
        mask_weight: of masks.
        rpn_beta: where the loss of the proposals' boxes turns from square to linear; greater than 0.
        box_beta: the same for the boxes of regions.

    Raises:
        SegmentationError: the output has nothing to learn from, since it is one of evaluation or was made without targets.
    """
    parts = learnt_parts(output)
    label = parts["label"]
    positive = torch.where(label > 0)[0]
    entropy = F.cross_entropy(parts["class_logits"].float(), label, reduction="none")
    of_pixels = F.binary_cross_entropy_with_logits(parts["mask_logits"].float(), parts["mask_targets"].float(), reduction="none")
    mask = entropy.new_zeros(len(label)).index_copy(0, positive, mask_weight * of_pixels.mean((1, 2)))
    box = entropy.new_zeros(len(label)).index_copy(
        0, positive, box_term(parts["box_deltas"], parts["box_delta_targets"], box_beta)
    )
    terms = {"class": entropy, "mask": mask, "box": box}
    if "hardest" in parts:
        kept = _hardest((entropy + mask + box).detach(), parts["region_image"], int(parts["hardest"]))
        terms = {name: loss[kept] for name, loss in terms.items()}
    return proposal_terms(parts, rpn_beta) | {name: loss.sum() / max(1, len(loss)) for name, loss in terms.items()}


def _hardest(loss: Tensor, image: Tensor, count: int) -> Tensor:
    """Positions of the `count` greatest losses (R,) of each image (R,), or of all if there are fewer."""
    kept = []
    for number in torch.unique(image):
        mine = torch.where(image == number)[0]
        kept.append(mine[loss[mine].topk(min(count, len(mine))).indices])
    return torch.cat(kept) if kept else image
