"""What every loss on a label map does first: check, widen to float32, and read one logit as a pair."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from intarsia.core import SegmentationError, SettingsError

__all__ = ["as_class_weight", "prepare"]


def prepare(logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (N, K, H, W) of at least float32 and K >= 2, and label (N, H, W) int64.

    A single logit z is the score of class 1 against class 0. It becomes the pair (0, z), whose softmax is
    (1 - sigmoid(z), sigmoid(z)), so one logit needs no formula of its own.

    Raises:
        SegmentationError: shapes that do not fit together.
    """
    if logits.ndim != 4 or label.shape != (logits.shape[0], *logits.shape[2:]):
        raise SegmentationError(
            f"The logits have shape {tuple(logits.shape)} and the label {tuple(label.shape)}; (N, K, H, W) and (N, H, W) with "
            "the same N, H and W belong together. Resize the logits to the label first."
        )
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], 1)
    return logits, label.long()


def as_class_weight(class_weight: Sequence[float] | Tensor | None) -> Tensor | None:
    """Class weights as a (K,) float32 tensor.

    Raises:
        SettingsError: not a row of finite numbers >= 0.
    """
    if class_weight is None:
        return None
    weight = torch.as_tensor(class_weight, dtype=torch.float32).detach().clone()
    if weight.ndim != 1 or not all(math.isfinite(value) and value >= 0 for value in weight.tolist()):
        raise SettingsError(f"The class weights are {weight.tolist()}; one finite number >= 0 for each class is expected.")
    return weight
