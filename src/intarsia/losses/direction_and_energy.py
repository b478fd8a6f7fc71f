"""Losses of Deep Watershed: the angle of the direction, the level of the energy, and the class that gates both."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia.core import Output, SegmentationError, SettingsError
from intarsia.losses._pixels import mean_over_valid
from intarsia.ops.over_processes import sum_over_processes

__all__ = ["direction_and_energy_loss"]

OBJECT_LOSS = True
IGNORED = 255
LEVEL_WEIGHTS = (3.0, 3.0, 3.0, 2.0)
"""Of the lowest levels, where the cut is; 1 of all others."""
SHRINK = 0.999999
"""Keeps the arc cosine off its ends, where its slope is infinite."""


def direction_and_energy_loss(
    output: Output, targets: Mapping[str, Tensor], *, direction: float = 1.0, energy: float = 1.0, semantic: float = 1.0
) -> dict[str, Tensor]:
    """Each term by itself, times its weight; a term of weight 0 is left out.

    With w_i the size weight of pixel i, u the true and v the predicted unit vector, l the true level and p the softmax over the
    levels k of weight c[k]:

        direction = sum_i w_i arccos(u_i . v_i)^2 / sum_i w_i, over the pixels that have a true direction
        energy    = sum_i w_i sum_k c[k] (-[k = l_i] log p[i, k] - [k != l_i] log(1 - p[i, k])) / sum_i w_i
        semantic  = mean_i of the cross-entropy of the class of things or none; only of networks that learn it

    Each in [0, inf), 0 at a perfect prediction (direction: 2e-6) and where nothing weighs, as in images without objects; then its
    gradient is 0 too. Computed in float32.

    Source: Bai, Urtasun, "Deep Watershed Transform", CVPR 2017, sections 3.1 and 3.2, and their code. That divides the first by
    the number of pixels, which is another learning rate; here both are means, so that they can be added. The paper trains
    the direction alone, then the energy alone, then both networks by the energy: see the recipe. It is given the classes.

    Args:
        output: logits (N, 16, H, W) of the energy; parts "direction" (N, 2, H, W) and, if learnt, "semantic" (N, T + 1, H, W).
        targets: "direction" (N, 2, H, W), "energy" and "thing_label" (N, H, W), 255 where nothing is known, "size_weights".
        direction: weight of the term.
        energy: likewise.
        semantic: likewise.

    Raises:
        SettingsError: a negative weight, or no term left.
        SegmentationError: the network has another number of classes than the target.
    """
    if min(direction, energy, semantic) < 0 or not any((direction, energy, semantic)):
        raise SettingsError(
            f"The weights of the loss direction_and_energy are direction {direction}, energy {energy} and semantic {semantic}; "
            "none is negative, and one at least is greater than 0."
        )
    parts = output.parts or {}
    weight = targets["size_weights"]
    terms = {}
    if direction:
        terms["direction"] = direction * _angle(_full(parts["direction"]), targets["direction"], weight)
    if energy:
        terms["energy"] = energy * _levels(_full(output.logits), targets["energy"], weight)
    if semantic and "semantic" in parts:
        terms["semantic"] = semantic * _semantic(_full(parts["semantic"]), targets["thing_label"].long())
    return terms


def _full(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _angle(predicted: Tensor, true: Tensor, weight: Tensor) -> Tensor:
    known = weight * true.any(1)
    cosine = (predicted * true).sum(1) * SHRINK
    return _weighted_mean(cosine.clamp(-SHRINK, SHRINK).acos().square(), known)


def _levels(logits: Tensor, level: Tensor, weight: Tensor) -> Tensor:
    count = logits.shape[1]
    known = weight * (level != IGNORED)
    log_prob = logits.log_softmax(1)
    one_hot = level.long().clamp(max=count - 1).unsqueeze(1) == torch.arange(count, device=logits.device).view(1, -1, 1, 1)
    level_weight = torch.tensor([*LEVEL_WEIGHTS, *[1.0] * count][:count], device=logits.device)
    entropy = -torch.where(one_hot, log_prob, _log_one_minus(log_prob)) * level_weight.view(1, -1, 1, 1)
    return _weighted_mean(entropy.sum(1), known)


def _log_one_minus(log_prob: Tensor) -> Tensor:
    """log(1 - exp(x)) for x <= 0, finite at 0 too, where 1 - p is taken as the rounding error of float32."""
    x = log_prob.clamp(max=-torch.finfo(torch.float32).eps)
    return torch.where(x > -0.5, (-x.expm1()).log(), (-x.exp()).log1p())


def _semantic(logits: Tensor, label: Tensor) -> Tensor:
    valid = label != IGNORED
    if label.device.type == "cpu":  # elsewhere reading it would make every step wait
        largest = int(label.where(valid, 0).amax())
        if largest >= logits.shape[1]:
            raise SegmentationError(
                f"The truth has a class of things number {largest}, and the network was made for {logits.shape[1] - 1} of them."
            )
    return mean_over_valid(F.cross_entropy(logits, label, ignore_index=IGNORED, reduction="none"), valid)


def _weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    total, divisor = sum_over_processes((values * weight).sum()), sum_over_processes(weight.sum())
    return total / torch.where(divisor > 0, divisor, 1)
