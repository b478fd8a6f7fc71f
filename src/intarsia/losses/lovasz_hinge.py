"""Lovász hinge: a convex surrogate of the Jaccard loss of each image, for logits that decide alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intarsia.losses._lovasz import lovasz_of_present, lovasz_weights
from intarsia.losses._pixels import mean_over
from intarsia.losses._prepare import prepare

__all__ = ["LovaszHingeLoss", "lovasz_hinge_loss"]


class LovaszHingeLoss(nn.Module):
    """`lovasz_hinge_loss` with its settings.

    Args:
        ignore_id: label value of pixels without truth.
    """

    COUNTS_CLASSES_ALIKE = True

    def __init__(self, *, ignore_id: int) -> None:
        super().__init__()
        self.ignore_id = ignore_id

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        return lovasz_hinge_loss(logits, label, ignore_id=self.ignore_id)


def lovasz_hinge_loss(logits: Tensor, label: Tensor, *, ignore_id: int) -> Tensor:
    """Lovász extension of the Jaccard loss, of the hinge errors of each logit.

    With s = 1 where the class is true and -1 elsewhere, i running over the valid pixels of an image, and the weights of
    `lovasz_weights` from the order of the margins 1 - s z, of one class of one image it is

        loss = sum_i weight[i] max(0, 1 - s[i] z[i]),    z = logits

    and the mean of that over images and classes. One logit (K = 1) is the score of class 1 against class 0, and class 1 alone is
    asked for, in every image: without truth it is the largest error. Where a pixel can have several classes, likewise for each.
    Of classes that exclude each other, each is taken against the rest, in the images whose truth contains it.

    In [0, inf), convex in the logits; 0 where every s z >= 1, 1 where all logits are 0. Images without a valid pixel do not
    count; with none it is 0 and so is its gradient. Computed in float32.

    Source: Berman, Rannen Triki, Blaschko, "The Lovász-Softmax loss", CVPR 2018, equations 9 and 10; Yu, Blaschko 2015.

    Args:
        logits: (N, K, H, W).
        label: (N, H, W) integer class ids, or (N, K, H, W) of 0 and 1; or `ignore_id`.
        ignore_id: label value of pixels that do not count.

    Raises:
        SegmentationError: logits and label of shapes that do not fit together, or labels that are no class.
    """
    given = prepare(logits, label, ignore_id)
    if given.by_sigmoid:
        scores, truth, valid = (part.flatten(0, -3).flatten(1) for part in given[:3])
        errors = (1 - torch.where(truth, scores, -scores)).clamp(min=0)
        return mean_over((errors * lovasz_weights(errors, truth, valid)).sum(1), valid.any(1))
    scores, truth = given.logits.flatten(2), given.one_hot().flatten(2)
    return lovasz_of_present((1 - torch.where(truth, scores, -scores)).clamp(min=0), truth, given.valid.flatten(1))
