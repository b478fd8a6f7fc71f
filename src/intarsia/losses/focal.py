"""Focal loss: cross-entropy that fades where the network is right already."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from intarsia.core import SettingsError
from intarsia.losses._pixels import mean_over, mean_over_valid, pixel_cross_entropy, pixel_weights
from intarsia.losses._prepare import as_class_weight, need_class_weights, prepare

__all__ = ["FocalLoss", "focal_loss"]


class FocalLoss(nn.Module):
    """`focal_loss` with its settings.

    Args:
        ignore_id: label value of pixels without truth.
        class_weight: weight of each class; None weighs all alike.
        gamma: how fast it fades, >= 0.
        alpha: weight of presence against absence, in (0, 1), for single logits and overlapping classes.
    """

    class_weight: Tensor | None

    def __init__(
        self,
        *,
        ignore_id: int,
        class_weight: Sequence[float] | Tensor | None = None,
        gamma: float = 2.0,
        alpha: float | None = None,
    ) -> None:
        super().__init__()
        if gamma < 0:
            raise SettingsError(f"The gamma of the focal loss is {gamma}; it is 0 or greater, such as 2.")
        if alpha is not None and not 0 < alpha < 1:
            raise SettingsError(f"The alpha of the focal loss is {alpha}; it is a share between 0 and 1, such as 0.25.")
        self.ignore_id, self.gamma, self.alpha = ignore_id, gamma, alpha
        self.register_buffer("class_weight", as_class_weight(class_weight), persistent=False)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        return focal_loss(
            logits, label, ignore_id=self.ignore_id, class_weight=self.class_weight, gamma=self.gamma, alpha=self.alpha
        )


def focal_loss(
    logits: Tensor,
    label: Tensor,
    *,
    ignore_id: int,
    class_weight: Tensor | None = None,
    gamma: float = 2.0,
    alpha: float | None = None,
) -> Tensor:
    """Focal loss of the softmax over classes, averaged over the valid pixels.

    With p[i] the probability of the true class y[i] of valid pixel i, and w the class weights:

        loss = sum_i w[y_i] (1 - p[i])^gamma (-log p[i]) / sum_i w[y_i]

    gamma = 0 is `cross_entropy_loss`. The mean is over pixels: the paper divides by the anchors on objects, which are few among
    very many; here nearly every pixel is on something. For one logit (K = 1, the score of class 1 against class 0) and where a
    pixel can have several classes, p is a sigmoid, and alpha is a factor of presence and 1 - alpha one of absence, as in the
    paper, which do not enter the divisor.

    In [0, inf); 0 at a perfect prediction. Without a valid pixel it is 0 and so is its gradient. Computed in float32.

    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, equations 4 and 5.

    Args:
        logits: (N, K, H, W).
        label: (N, H, W) integer class ids, or (N, K, H, W) of 0 and 1; or `ignore_id`.
        ignore_id: label value of pixels that do not count.
        class_weight: (K,), two for a single logit.
        gamma: >= 0.
        alpha: in (0, 1), or None.

    Raises:
        SegmentationError: logits and label of shapes that do not fit together, or labels that are no class.
        SettingsError: another number of weights than of classes, or alpha with a softmax.
    """
    given = prepare(logits, label, ignore_id)
    entropy = pixel_cross_entropy(given)
    wrong = 1 - torch.exp(-entropy)
    if 0 < gamma < 1:  # a root has no slope at 0
        wrong = wrong.clamp(min=torch.finfo(entropy.dtype).tiny)
    loss = wrong**gamma * entropy
    if alpha is not None:
        if not given.by_sigmoid:
            raise SettingsError(
                f"alpha = {alpha} weighs one class against its absence, and there are {logits.shape[1]} classes that exclude "
                "each other. Give class weights instead."
            )
        loss = loss * torch.where(given.label, alpha, 1 - alpha)
    if class_weight is None:
        return mean_over_valid(loss, given.valid)
    weights = pixel_weights(given, need_class_weights(class_weight, given))
    return mean_over(weights * loss, weights)
