"""Soft Jaccard: one minus intersection over union of predicted probability and truth, averaged over classes."""

from __future__ import annotations

from torch import Tensor, nn

from intarsia.losses._overlap import mean_over_present, need_smooth, soft_overlap
from intarsia.losses._prepare import prepare

__all__ = ["JaccardLoss", "jaccard_loss"]


class JaccardLoss(nn.Module):
    """`jaccard_loss` with its settings.

    Args:
        ignore_id: label value of pixels without truth.
        smooth: added above and below the line, in pixels, >= 0.
    """

    COUNTS_CLASSES_ALIKE = True

    def __init__(self, *, ignore_id: int, smooth: float = 0.0) -> None:
        super().__init__()
        self.ignore_id, self.smooth = ignore_id, need_smooth(smooth)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        return jaccard_loss(logits, label, ignore_id=self.ignore_id, smooth=self.smooth)


def jaccard_loss(logits: Tensor, label: Tensor, *, ignore_id: int, smooth: float = 0.0) -> Tensor:
    """Soft Jaccard over the softmax, pooled over the batch.

    With p = softmax(logits), t the one-hot truth and i running over the valid pixels of all images of the batch together:

        both[k]    = sum_i p[i, k] t[i, k]
        jaccard[k] = (both[k] + smooth) / (sum_i p[i, k] + sum_i t[i, k] - both[k] + smooth)
        loss       = 1 - mean of jaccard[k] over the classes k that the batch's truth contains

    Classes that the truth lacks, single logits and overlapping classes are as in `dice_loss`; for one class,
    jaccard = dice / (2 - dice).

    In [0, 1]; 0 at a perfect prediction. Without a valid pixel it is 0 and so is its gradient. Computed in float32.

    Source: Rahman, Wang, "Optimizing Intersection-over-Union in Deep Neural Networks for Image Segmentation", ISVC 2016,
    equations 3 and 4.

    Args:
        logits: (N, K, H, W).
        label: (N, H, W) integer class ids, or (N, K, H, W) of 0 and 1; or `ignore_id`.
        ignore_id: label value of pixels that do not count.
        smooth: in pixels.

    Raises:
        SegmentationError: logits and label of shapes that do not fit together, or labels that are no class.
    """
    both, predicted, truth = soft_overlap(prepare(logits, label, ignore_id))
    jaccard = (both + smooth) / (predicted + truth.clamp(min=1) - both + smooth)
    return mean_over_present(1 - jaccard, truth)
