"""Tversky: an overlap in which what is too much and what is missing weigh differently."""

from __future__ import annotations

from torch import Tensor, nn

from intarsia.core import SettingsError
from intarsia.losses._overlap import Overlap, mean_over_present, need_smooth, soft_overlap
from intarsia.losses._prepare import prepare

__all__ = ["TverskyLoss", "need_tversky_weights", "tversky_index", "tversky_loss"]


class TverskyLoss(nn.Module):
    """`tversky_loss` with its settings.

    Args:
        ignore_id: label value of pixels without truth.
        alpha: weight of false positives, >= 0.
        beta: weight of false negatives, >= 0.
        smooth: added above and below the line, in pixels, >= 0.
    """

    COUNTS_CLASSES_ALIKE = True

    def __init__(self, *, ignore_id: int, alpha: float = 0.3, beta: float = 0.7, smooth: float = 0.0) -> None:
        super().__init__()
        self.ignore_id, self.smooth = ignore_id, need_smooth(smooth)
        self.alpha, self.beta = need_tversky_weights(alpha, beta)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        return tversky_loss(logits, label, ignore_id=self.ignore_id, alpha=self.alpha, beta=self.beta, smooth=self.smooth)


def tversky_loss(
    logits: Tensor, label: Tensor, *, ignore_id: int, alpha: float = 0.3, beta: float = 0.7, smooth: float = 0.0
) -> Tensor:
    """Tversky loss over the softmax, pooled over the batch.

    With p = softmax(logits), t the one-hot truth and i running over the valid pixels of all images of the batch together:

        both[k], over[k], missed[k] = sum_i p t, sum_i p (1 - t), sum_i (1 - p) t    of class k
        index[k] = (both[k] + smooth) / (both[k] + alpha over[k] + beta missed[k] + smooth)
        loss     = 1 - mean of index[k] over the classes k that the batch's truth contains

    alpha = beta = 1/2 is soft Dice (with half its `smooth`), 1 and 1 soft Jaccard; beta > alpha asks for recall. Classes that the
    truth lacks, single logits and overlapping classes are as in `dice_loss`.

    In [0, 1]; 0 at a perfect prediction. Without a valid pixel it is 0 and so is its gradient. Computed in float32.

    Source: Salehi, Erdogmus, Gholipour, "Tversky loss function for image segmentation using 3D fully convolutional deep
    networks", MLMI 2017, equation 2; the default weights are the best of its table 1.

    Args:
        logits: (N, K, H, W).
        label: (N, H, W) integer class ids, or (N, K, H, W) of 0 and 1; or `ignore_id`.
        ignore_id: label value of pixels that do not count.
        alpha: weight of false positives.
        beta: weight of false negatives.
        smooth: in pixels.

    Raises:
        SegmentationError: logits and label of shapes that do not fit together, or labels that are no class.
    """
    overlap = soft_overlap(prepare(logits, label, ignore_id))
    return mean_over_present(1 - tversky_index(overlap, alpha, beta, smooth), overlap.truth)


def tversky_index(overlap: Overlap, alpha: float, beta: float, smooth: float) -> Tensor:
    """The index of each class, (K,); of a class without truth and with alpha p = 0 it is 0."""
    both, predicted, truth = overlap
    missed = truth.clamp(min=1) - both  # 1 of an absent class, so that it does not divide 0 by 0
    return (both + smooth) / (both + alpha * (predicted - both) + beta * missed + smooth)


def need_tversky_weights(alpha: float, beta: float) -> tuple[float, float]:
    """The weights of false positives and false negatives.

    Raises:
        SettingsError: alpha is negative, or beta is not positive.
    """
    if alpha < 0 or beta <= 0:
        raise SettingsError(
            f"The Tversky weights are alpha = {alpha} and beta = {beta}; false positives weigh 0 or more, and false negatives "
            "more than 0, such as 0.3 and 0.7."
        )
    return alpha, beta
