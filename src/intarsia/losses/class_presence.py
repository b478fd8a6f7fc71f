"""Class presence (semantic encoding loss): which classes an image holds, asked of the image as a whole."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import SegmentationError

__all__ = ["ClassPresenceLoss", "class_presence_loss"]


class ClassPresenceLoss(nn.Module):
    """`class_presence_loss`, which has no settings."""

    def forward(self, logits: Tensor, presence: Tensor) -> Tensor:
        return class_presence_loss(logits, presence)


def class_presence_loss(logits: Tensor, presence: Tensor) -> Tensor:
    """`loss = mean over images and classes of -(p log q + (1 - p) log(1 - q))`, q = sigmoid(logits), p = presence.

    In [0, inf); 0 in the limit of a perfect prediction. Small objects count as much as large ones. Computed in float32.

    Source: Zhang et al., "Context Encoding for Semantic Segmentation", CVPR 2018, section 3 (SE-loss).

    Args:
        logits: (N, K), a score of each class for the whole image.
        presence: (N, K) 0 or 1, whether a pixel of the image has the class.

    Raises:
        SegmentationError: shapes that differ.
    """
    if logits.ndim != 2 or logits.shape != presence.shape:
        raise SegmentationError(
            f"The presence logits have shape {tuple(logits.shape)} and their target {tuple(presence.shape)}; both are (N, K), a "
            "value for each image and class."
        )
    return F.binary_cross_entropy_with_logits(logits.float(), presence.float())
