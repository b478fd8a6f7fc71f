"""Soft Dice: one minus the overlap of predicted probability and truth, averaged over classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intarsia.losses._prepare import prepare
from intarsia.ops.over_processes import sum_over_processes

__all__ = ["DiceLoss", "dice_loss"]


class DiceLoss(nn.Module):
    """`dice_loss` with its settings.

    Args:
        ignore_id: label value of pixels without truth.
    """

    COUNTS_CLASSES_ALIKE = True

    def __init__(self, *, ignore_id: int) -> None:
        super().__init__()
        self.ignore_id = ignore_id

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        return dice_loss(logits, label, ignore_id=self.ignore_id)


def dice_loss(logits: Tensor, label: Tensor, *, ignore_id: int) -> Tensor:
    """Soft Dice over the softmax, pooled over the batch.

    With p = softmax(logits), t the one-hot truth and i running over the valid pixels of all images of the batch together:

        dice[k] = 2 sum_i p[i, k] t[i, k] / (sum_i p[i, k] + sum_i t[i, k])
        loss    = 1 - mean of dice[k] over the classes k that the batch's truth contains

    Pooling over the batch keeps a class that has three pixels in one image from deciding that image's loss. A class that the
    truth lacks would have dice 0 however small its p, so it is left out of the mean; p spent on it is still missing from the
    others. Each class counts alike whatever its area, so there are no class weights.

    In [0, 1]; 0 at a perfect prediction. Without a valid pixel it is 0 and so is its gradient. Computed in float32. One logit
    (K = 1) is the score of class 1 against class 0, with labels 0 and 1, and both classes count.

    Source: Milletari, Navab, Ahmadi, "V-Net", 3DV 2016, section 3, which squares p and t in the divisor; without the squares as
    in Drozdzal et al., "The Importance of Skip Connections in Biomedical Image Segmentation", 2016.

    Args:
        logits: (N, K, H, W).
        label: (N, H, W) integer class ids, or `ignore_id`.
        ignore_id: label value of pixels that do not count.

    Raises:
        SegmentationError: logits and label of shapes that do not fit together.
    """
    logits, label = prepare(logits, label)
    label, valid = label.unsqueeze(1), (label != ignore_id).unsqueeze(1)
    prob = torch.where(valid, logits.softmax(1), 0.0)
    truth = (label == torch.arange(logits.shape[1], device=label.device).view(1, -1, 1, 1)) & valid
    overlap = sum_over_processes(torch.where(truth, prob, 0.0).sum((0, 2, 3)))
    truth_pixels = sum_over_processes(truth.sum((0, 2, 3)))
    present = truth_pixels > 0
    # An absent class with p = 0 divides 0 by 0, and a NaN would pass `where` on the way back: its divisor is 1.
    dice = 2 * overlap / (sum_over_processes(prob.sum((0, 2, 3))) + truth_pixels.clamp(min=1))
    return torch.where(present, 1 - dice, 0.0).sum() / present.sum().clamp(min=1)
