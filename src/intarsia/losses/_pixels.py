"""Cross-entropy of each pixel, and means over pixels: what the losses that look at one pixel at a time are made of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from intarsia.losses._prepare import Prepared
from intarsia.ops.over_processes import sum_over_processes

__all__ = ["mean_over", "mean_over_valid", "pixel_cross_entropy", "pixel_weights"]


def pixel_cross_entropy(given: Prepared) -> Tensor:
    """-log of the probability of the truth, in the shape of the label; 0 without truth, and no gradient there."""
    logits, label, valid, ignore_id = given
    if given.by_sigmoid:
        entropy: Tensor = _SigmoidEntropy.apply(logits, label, valid)
        return entropy
    # Summed by the caller: with reduction="none" torch's kernel is deterministic on CUDA.
    return F.cross_entropy(logits, label, ignore_index=ignore_id, reduction="none")


def pixel_weights(given: Prepared, class_weight: Tensor) -> Tensor:
    """The weight of the class of each pixel, in the shape of the label; 0 without truth."""
    weight = class_weight.view(-1, 1, 1) if given.multi_label else class_weight[given.ids()]
    return weight * given.valid


def mean_over_valid(values: Tensor, valid: Tensor) -> Tensor:
    """The mean of `values` over all that is valid, over all processes; 0 where nothing is. Elsewhere they must be 0 already."""
    return sum_over_processes(values.sum()) / sum_over_processes(torch.count_nonzero(valid)).clamp(min=1)


def mean_over(values: Tensor, weights: Tensor) -> Tensor:
    """The sum of `values` by that of `weights`, over all processes; 0 where nothing weighs."""
    total, divisor = sum_over_processes(values.sum()), sum_over_processes(weights.sum())
    return total / torch.where(divisor > 0, divisor, 1)


class _SigmoidEntropy(torch.autograd.Function):
    """log(1 + exp(-z)) where the class is true, log(1 + exp(z)) where it is not: one sigmoid on the way back.

    It is `binary_cross_entropy_with_logits` in half its time, which for a single logit is most of the loss.
    """

    @staticmethod
    def forward(context: Any, logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        known = valid.view(torch.int8)  # on a CPU, bytes become floats in an eighth of the time that bools take
        sign = (known - 2 * truth.view(torch.int8)).to(logits.dtype)  # -1 is true, 1 false, 0 not known
        wrong = logits * sign
        context.save_for_backward(wrong, sign)
        return F.softplus(wrong).mul_(known.to(logits.dtype))

    @staticmethod
    @once_differentiable
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        wrong, sign = context.saved_tensors
        return wrong.sigmoid().mul_(sign).mul_(gradients[0]), None, None
