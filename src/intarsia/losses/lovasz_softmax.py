"""Lovász-softmax: a surrogate of the mean IoU of each image, piecewise linear in the probabilities."""

from __future__ import annotations

from torch import Tensor, nn

from intarsia.core import SegmentationError
from intarsia.losses._lovasz import lovasz_of_present
from intarsia.losses._prepare import prepare

__all__ = ["LovaszSoftmaxLoss", "lovasz_softmax_loss"]


class LovaszSoftmaxLoss(nn.Module):
    """`lovasz_softmax_loss` with its settings.

    Args:
        ignore_id: label value of pixels without truth.
    """

    COUNTS_CLASSES_ALIKE = True

    def __init__(self, *, ignore_id: int) -> None:
        super().__init__()
        self.ignore_id = ignore_id

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        return lovasz_softmax_loss(logits, label, ignore_id=self.ignore_id)


def lovasz_softmax_loss(logits: Tensor, label: Tensor, *, ignore_id: int) -> Tensor:
    """Lovász extension of the Jaccard loss, of the errors of the softmax.

    With p = softmax(logits), t the one-hot truth, C[n] the classes that the truth of image n contains, i running over the valid
    pixels of an image, and weight[n, k, i] of `lovasz_weights`:

        loss = mean over n of mean over k in C[n] of sum_i weight[n, k, i] |t[n, k, i] - p[n, k, i]|

    Where every p is 0 or 1, it is 1 - the mean IoU of the image over C[n]. It is not convex in the logits, and flat where the
    network is sure: the paper goes over to it from cross-entropy, or adds it.

    In [0, 1]; 0 at a perfect prediction. Images without a valid pixel do not count; with none it is 0 and so is its gradient.
    Computed in float32. One logit (K = 1) is the score of class 1 against class 0, with labels 0 and 1, and both classes count.
    Choosing the classes that are there makes a step wait for a GPU once.

    Source: Berman, Rannen Triki, Blaschko, "The Lovász-Softmax loss", CVPR 2018, equations 11 to 13.

    Args:
        logits: (N, K, H, W).
        label: (N, H, W) integer class ids, or `ignore_id`.
        ignore_id: label value of pixels that do not count.

    Raises:
        SegmentationError: logits and label of shapes that do not fit together, labels that are no class, or classes that may
            overlap, which `lovasz_hinge_loss` takes.
    """
    given = prepare(logits, label, ignore_id)
    if given.multi_label:
        raise SegmentationError(
            f"The label has shape {tuple(label.shape)}, several classes at a pixel, and Lovász-softmax asks for one. "
            "Use lovasz_hinge, which takes both."
        )
    prob, truth = given.prob().flatten(2), given.one_hot().flatten(2)
    return lovasz_of_present((truth.to(prob.dtype) - prob).abs(), truth, given.valid.flatten(1))
