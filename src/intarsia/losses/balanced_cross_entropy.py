"""Balanced cross-entropy: presence and absence of a class weighed against each other, by a given share or by each image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intarsia.core import SettingsError
from intarsia.losses._pixels import mean_over, mean_over_valid, pixel_cross_entropy
from intarsia.losses._prepare import Prepared, prepare

__all__ = ["BalancedCrossEntropyLoss", "balanced_cross_entropy_loss"]


class BalancedCrossEntropyLoss(nn.Module):
    """`balanced_cross_entropy_loss` with its settings.

    Args:
        ignore_id: label value of pixels without truth.
        beta: weight of class 1 against class 0, in (0, 1); None takes it from each image.
    """

    COUNTS_CLASSES_ALIKE = True

    def __init__(self, *, ignore_id: int, beta: float | None = None) -> None:
        super().__init__()
        if beta is not None and not 0 < beta < 1:
            raise SettingsError(f"The beta of balanced cross-entropy is {beta}; it is a share between 0 and 1, such as 0.9.")
        self.ignore_id, self.beta = ignore_id, beta

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        return balanced_cross_entropy_loss(logits, label, ignore_id=self.ignore_id, beta=self.beta)


def balanced_cross_entropy_loss(logits: Tensor, label: Tensor, *, ignore_id: int, beta: float | None = None) -> Tensor:
    """Cross-entropy in which a class weighs more, the fewer pixels it has.

    With q the probability of class 1, p = 1 where it is true and 0 elsewhere, and i running over the valid pixels of the batch,
    a given beta is

        loss = mean_i of -(beta p[i] log q[i] + (1 - beta) (1 - p[i]) log(1 - q[i]))

    and without one it is balanced in each image by itself: with C[n] the classes that the truth of image n contains, I[n, k] its
    valid pixels of class k, and y the label,

        loss = mean over n of mean over k in C[n] of mean over i in I[n, k] of -log prob[i, y_i]

    For two classes that is the paper's sum, with beta = share of class 0, divided by 2 beta (1 - beta) and the number of pixels:
    the factor keeps the size of the loss the same where a class has few pixels, and an image of one class counts, whose weight
    would be 0.

    In [0, inf); 0 at a perfect prediction. Without a valid pixel it is 0 and so is its gradient. Computed in float32. One logit
    (K = 1) is the score of class 1 against class 0. Where a pixel can have several classes, each class of each image is balanced
    against its own absence.

    Source: Xie, Tu, "Holistically-Nested Edge Detection", ICCV 2015, equation 2.

    Args:
        logits: (N, K, H, W).
        label: (N, H, W) integer class ids, or (N, K, H, W) of 0 and 1; or `ignore_id`.
        ignore_id: label value of pixels that do not count.
        beta: in (0, 1), or None.

    Raises:
        SegmentationError: logits and label of shapes that do not fit together, or labels that are no class.
        SettingsError: a beta for more than two classes that exclude each other.
    """
    given = prepare(logits, label, ignore_id)
    if beta is not None:
        if not given.by_sigmoid and logits.shape[1] != 2:
            raise SettingsError(
                f"beta = {beta} weighs class 1 against class 0, and there are {logits.shape[1]} classes. Leave it out to balance "
                "each image, or give class weights to cross_entropy."
            )
        return mean_over_valid(torch.where(given.label == 1, beta, 1 - beta) * pixel_cross_entropy(given), given.valid)
    if given.multi_label:
        rows = [part.flatten(0, 1) for part in (given.logits, given.label, given.valid)]
        given = Prepared(rows[0], rows[1], rows[2], given.ignore_id)
    sizes = given.one_hot().sum((2, 3))
    kinds = (sizes > 0).sum(1, keepdim=True)
    weight = torch.where(sizes > 0, 1 / (sizes * kinds).clamp(min=1).to(given.logits.dtype), 0.0)
    each = weight.gather(1, given.ids().flatten(1)).view_as(given.label)
    return mean_over(each * pixel_cross_entropy(given), kinds > 0)
