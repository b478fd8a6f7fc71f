"""What networks that propose boxes learn first: which anchors hold an object, and where its box really is."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

from intarsia.core import Output, SegmentationError

__all__ = ["box_term", "learnt_parts", "proposal_terms"]


def learnt_parts(output: Output) -> Mapping[str, Tensor]:
    """The parts of an output of training.

    Raises:
        SegmentationError: it is one of evaluation, or was made without targets.
    """
    parts = output.parts or {}
    if "rpn_label" not in parts:
        raise SegmentationError(
            f"The output has the parts {', '.join(parts) or 'none'}, and the loss learns from sampled anchors and regions "
            "(rpn_label and others). Call the network in training mode with the targets."
        )
    return parts


def proposal_terms(parts: Mapping[str, Tensor], beta: float) -> dict[str, Tensor]:
    """Terms rpn_class and rpn_box as `boxes_and_masks_loss` has them; `beta` is where the second turns from square to linear."""
    label = parts["rpn_label"].float()
    entropy = F.binary_cross_entropy_with_logits(parts["rpn_objectness"].float(), label, reduction="sum")
    box = box_term(parts["rpn_deltas"], parts["rpn_delta_targets"], beta).sum()
    return {"rpn_class": entropy / max(1, len(label)), "rpn_box": box / max(1, len(label))}


def box_term(deltas: Tensor, wanted: Tensor, beta: float) -> Tensor:
    """(P,) smooth L1 of each box, summed over its four deltas."""
    return F.smooth_l1_loss(deltas.float(), wanted.float(), beta=beta, reduction="none").sum(1)
