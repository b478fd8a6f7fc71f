"""Soft overlap of prediction and truth of each class: what Dice, Jaccard and Tversky are made of."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from intarsia.core import SettingsError
from intarsia.losses._prepare import Prepared
from intarsia.ops.over_processes import sum_over_processes

__all__ = ["Overlap", "mean_over_present", "need_smooth", "soft_overlap"]


class Overlap(NamedTuple):
    """Sums over the valid pixels of all images of the batch, (K,) each.

    both: of the probability where the class is true.
    predicted: of the probability.
    truth: pixels of the class.
    """

    both: Tensor
    predicted: Tensor
    truth: Tensor


def soft_overlap(given: Prepared) -> Overlap:
    """The overlap of each class: of a single logit both classes, of several classes at once each against its absence."""
    # By factors of 0 and 1: on a CPU, `where` and sums of bools take several times as long.
    dtype = given.logits.dtype
    valid = given.valid.to(dtype)
    if given.by_sigmoid and not given.multi_label:
        truth, absent = given.label.to(dtype), (-given.logits).sigmoid() * valid
        missed = (absent * truth).sum()
        predicted = torch.stack([absent.sum(), (given.logits.sigmoid() * valid).sum()])
        here = torch.stack([valid.sum() - truth.sum(), truth.sum()])
        sums = torch.stack([torch.stack([predicted[0], here[1]]) - missed, predicted, here])
    else:
        prob, truth = given.prob() * (valid if given.multi_label else valid.unsqueeze(1)), given.one_hot().to(dtype)
        sums = torch.stack([part.sum((0, 2, 3)) for part in (prob * truth, prob, truth)])
    both, predicted, here = sum_over_processes(sums)
    return Overlap(both, predicted, here)


def mean_over_present(values: Tensor, truth: Tensor) -> Tensor:
    """The mean of (K,) values over the classes that the batch's truth contains; 0 where it contains none."""
    present = truth > 0
    return torch.where(present, values, 0.0).sum() / present.sum().clamp(min=1)


def need_smooth(smooth: float) -> float:
    """The pixels added above and below the line.

    Raises:
        SettingsError: fewer than 0.
    """
    if smooth < 0:
        raise SettingsError(f"smooth is {smooth}; it is a number of pixels, 0 or greater.")
    return smooth
