"""Loss of networks that classify proposed regions."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

from intarsia.core import Output, SegmentationError

__all__ = ["region_classes_loss"]

OBJECT_LOSS = True


def region_classes_loss(output: Output, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Mean over the sampled regions of the cross-entropy of the class, T of things and the background.

    In [0, inf), 0 at a perfect prediction and without a region. Computed in float32.

    Source: Girshick et al., "Rich Feature Hierarchies for Accurate Object Detection and Semantic Segmentation", CVPR 2014,
    section 2.3 (fine-tuning), as Hariharan et al., "Simultaneous Detection and Segmentation", ECCV 2014, take it.

    Args:
        output: logits (R, T + 1) with the part "label" (R,), 0 being the background.
        targets: not looked at; what a region is was told when it was sampled.

    Raises:
        SegmentationError: the output has nothing to learn from, since it is one of evaluation or was made without targets.
    """
    parts = output.parts or {}
    if "label" not in parts:
        raise SegmentationError(
            f"The output has the parts {', '.join(parts) or 'none'}, and the loss learns from the label of sampled regions. Call "
            "the network in training mode with the targets."
        )
    logits = output.logits if output.logits.dtype.itemsize > 2 else output.logits.float()
    entropy = F.cross_entropy(logits, parts["label"], reduction="sum")
    return {"class": entropy / max(1, len(logits))}
