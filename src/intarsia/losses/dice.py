"""Soft Dice: one minus the overlap of predicted probability and truth, averaged over classes."""

from __future__ import annotations

from torch import Tensor, nn

from intarsia.losses._overlap import mean_over_present, need_smooth, soft_overlap
from intarsia.losses._prepare import prepare

__all__ = ["DiceLoss", "dice_loss"]


class DiceLoss(nn.Module):
    """`dice_loss` with its settings.

    Args:
        ignore_id: label value of pixels without truth.
        smooth: added above and below the line, in pixels, >= 0.
    """

    COUNTS_CLASSES_ALIKE = True

    def __init__(self, *, ignore_id: int, smooth: float = 0.0) -> None:
        super().__init__()
        self.ignore_id, self.smooth = ignore_id, need_smooth(smooth)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        return dice_loss(logits, label, ignore_id=self.ignore_id, smooth=self.smooth)


def dice_loss(logits: Tensor, label: Tensor, *, ignore_id: int, smooth: float = 0.0) -> Tensor:
    """Soft Dice over the softmax, pooled over the batch.

    With p = softmax(logits), t the one-hot truth and i running over the valid pixels of all images of the batch together:

        dice[k] = (2 sum_i p[i, k] t[i, k] + smooth) / (sum_i p[i, k] + sum_i t[i, k] + smooth)
        loss    = 1 - mean of dice[k] over the classes k that the batch's truth contains

    Pooling over the batch keeps a class that has three pixels in one image from deciding that image's loss. A class that the
    truth lacks would have dice 0 however small its p, so it is left out of the mean; p spent on it is still missing from the
    others. Each class counts alike whatever its area, so there are no class weights.

    In [0, 1]; 0 at a perfect prediction. Without a valid pixel it is 0 and so is its gradient. Computed in float32. One logit
    (K = 1) is the score of class 1 against class 0, with labels 0 and 1, and both classes count. Where a pixel can have several
    classes, p = sigmoid(logits), and each class counts by its presence alone.

    Source: Milletari, Navab, Ahmadi, "V-Net", 3DV 2016, section 3, which squares p and t in the divisor; without the squares as
    in Drozdzal et al., "The Importance of Skip Connections in Biomedical Image Segmentation", 2016.

    Args:
        logits: (N, K, H, W).
        label: (N, H, W) integer class ids, or (N, K, H, W) of 0 and 1; or `ignore_id`.
        ignore_id: label value of pixels that do not count.
        smooth: in pixels; 1 is common and makes the loss of a small object smaller.

    Raises:
        SegmentationError: logits and label of shapes that do not fit together, or labels that are no class.
    """
    both, predicted, truth = soft_overlap(prepare(logits, label, ignore_id))
    # An absent class with p = 0 divides 0 by 0, and a NaN would pass `where` on the way back: its truth is 1.
    dice = (2 * both + smooth) / (predicted + truth.clamp(min=1) + smooth)
    return mean_over_present(1 - dice, truth)
