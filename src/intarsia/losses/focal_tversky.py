"""Focal Tversky: a power of the Tversky loss that turns from the classes that are found to those that are not."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intarsia.core import SettingsError
from intarsia.losses._overlap import mean_over_present, need_smooth, soft_overlap
from intarsia.losses._prepare import prepare
from intarsia.losses.tversky import need_tversky_weights, tversky_index

__all__ = ["FocalTverskyLoss", "focal_tversky_loss"]


class FocalTverskyLoss(nn.Module):
    """`focal_tversky_loss` with its settings.

    Args:
        ignore_id: label value of pixels without truth.
        alpha: weight of false positives, >= 0.
        beta: weight of false negatives, > 0.
        gamma: > 0.
        smooth: added above and below the line, in pixels, >= 0.
    """

    COUNTS_CLASSES_ALIKE = True

    def __init__(
        self, *, ignore_id: int, alpha: float = 0.3, beta: float = 0.7, gamma: float = 4 / 3, smooth: float = 0.0
    ) -> None:
        super().__init__()
        if not gamma > 0:
            raise SettingsError(f"The gamma of focal Tversky is {gamma}; it is greater than 0, such as 4/3.")
        self.ignore_id, self.gamma, self.smooth = ignore_id, gamma, need_smooth(smooth)
        self.alpha, self.beta = need_tversky_weights(alpha, beta)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        return focal_tversky_loss(
            logits,
            label,
            ignore_id=self.ignore_id,
            alpha=self.alpha,
            beta=self.beta,
            gamma=self.gamma,
            smooth=self.smooth,
        )


def focal_tversky_loss(
    logits: Tensor,
    label: Tensor,
    *,
    ignore_id: int,
    alpha: float = 0.3,
    beta: float = 0.7,
    gamma: float = 4 / 3,
    smooth: float = 0.0,
) -> Tensor:
    """`loss = mean of (1 - index[k]) ** (1 / gamma)` over the classes k that the truth contains; index as in `tversky_loss`.

    With gamma > 1 the gradient grows as a class gets better, so that small regions are finished; gamma = 1 is `tversky_loss`.

    In [0, 1]; 0 at a perfect prediction. Without a valid pixel it is 0 and so is its gradient. Computed in float32. Single logits
    and overlapping classes are as in `dice_loss`.

    Source: Abraham, Khan, "A novel focal Tversky loss function with improved attention U-Net for lesion segmentation", ISBI 2019,
    equation 4, whose alpha is the weight of false negatives; here alpha and beta are those of Salehi et al.

    Args:
        logits: (N, K, H, W).
        label: (N, H, W) integer class ids, or (N, K, H, W) of 0 and 1; or `ignore_id`.
        ignore_id: label value of pixels that do not count.
        alpha: weight of false positives.
        beta: weight of false negatives.
        gamma: in [1, 3] in the paper.
        smooth: in pixels.

    Raises:
        SegmentationError: logits and label of shapes that do not fit together, or labels that are no class.
    """
    overlap = soft_overlap(prepare(logits, label, ignore_id))
    distance = 1 - tversky_index(overlap, alpha, beta, smooth)
    # The root has no slope at 0: a class that is found whole has no gradient instead of NaN.
    powered = distance.clamp(min=torch.finfo(distance.dtype).tiny) ** (1 / gamma)
    return mean_over_present(torch.where(distance <= 0, 0.0, powered), overlap.truth)
