"""The Lovász extension of the Jaccard loss: what a sorted error of each pixel weighs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from intarsia.losses._pixels import mean_over

__all__ = ["lovasz_of_present", "lovasz_weights"]

NEARLY_ZERO = 1e-30


def lovasz_of_present(errors: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """The mean over images of the mean, over the classes that the truth of the image contains, of the Lovász extension.

    Args:
        errors: (N, K, P) >= 0.
        truth: (N, K, P) bool, False where it is not valid.
        valid: (N, P) bool.

    Returns:
        A scalar, 0 without a valid pixel; it has the gradient of the errors.
    """
    present = truth.any(2)
    rows = present.flatten().nonzero().squeeze(1)  # the one place where a step waits for a GPU: it spares sorting absent classes
    parts = [part.flatten(0, 1) for part in (errors.detach(), truth, valid.unsqueeze(1).expand_as(truth))]
    if len(rows) == present.numel():
        weights = lovasz_weights(*parts)
    else:
        weights = torch.zeros_like(parts[0])
        weights[rows] = lovasz_weights(*(part[rows] for part in parts))
    each = (errors * weights.view_as(errors)).sum(2).sum(1) / present.sum(1).clamp(min=1)
    return mean_over(each, present.any(1))


def lovasz_weights(errors: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """The gradient of the Lovász extension with respect to the errors of each row; the extension is its product with them.

    With the pixels of a row in order of falling error, J(i) = 1 - |truth not among the first i| / |truth or among the first i| is
    the Jaccard loss where those i are wrong and the others right, and the weight of pixel i is J(i) - J(i - 1). With S pixels of
    truth in the row, F of them and B others among the first i,

        J(i) - J(i - 1) = 1 / (S + B) for a pixel of truth, else (S - F) / ((S + B - 1) (S + B)),

    which rounds better than the difference of two numbers near 1. The weights are >= 0 and their sum in a row is 1; in a row
    without truth the largest error weighs 1. Of equal errors any order gives the same extension.

    Source: Berman, Rannen Triki, Blaschko, "The Lovász-Softmax loss", CVPR 2018, equation 9 and algorithm 1.

    Args:
        errors: (R, P) >= 0.
        truth: (R, P) bool.
        valid: (R, P) bool; other pixels weigh 0.

    Returns:
        (R, P), of the dtype of `errors`, without a gradient.
    """
    # In place wherever possible: on a CPU, new memory takes longer than the arithmetic.
    order = _order(errors.detach().neg().masked_fill_(~valid, torch.inf))
    found = (truth & valid).gather(1, order)
    first = found.cumsum(1, dtype=torch.int32).to(errors.dtype)  # a sum of integers is deterministic on CUDA too
    whole = first[:, -1:].clamp(min=NEARLY_ZERO)  # so that in a row without truth the first pixel weighs 1
    union = torch.arange(1, errors.shape[1] + 1, device=errors.device, dtype=errors.dtype) - first
    union += whole
    missing = first.neg_().add_(whole)
    weight = missing.div_((union - 1).add_(NEARLY_ZERO)).masked_fill_(found, 1).div_(union)
    return torch.empty_like(weight).scatter_(1, order, weight).masked_fill_(~valid, 0)


def _order(keys: Tensor) -> Tensor:
    """Indices (R, P) that sort each row, the smallest first."""
    if keys.device.type == "cpu":  # NumPy sorts with the processor's vector instructions, six times as fast as torch
        return torch.from_numpy(np.argsort(keys.numpy(), axis=1))
    return keys.argsort(dim=1)
