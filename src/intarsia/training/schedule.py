"""Learning rate over a training, and which parameters decay."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn

from intarsia.core import SettingsError
from intarsia.recipes import Stage

__all__ = ["learning_rate_factor", "make_optimizer"]


def learning_rate_factor(schedule: str, total_steps: int, warmup_steps: int) -> Callable[[int], float]:
    """Factor on the peak learning rate at step 0, 1, ... `total_steps` - 1.

    A linear warm-up from 1 / `warmup_steps`, then "poly" (1 - t)^0.9, "cosine" (1 + cos πt) / 2 or "constant", where t runs from
    0 at the end of the warm-up to 1 at `total_steps`.
    """

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        t = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
        falling = {"poly": math.pow(1 - t, 0.9), "cosine": 0.5 * (1 + math.cos(math.pi * t)), "constant": 1.0}
        return falling[schedule]

    return factor


def make_optimizer(named_parameters: Iterable[tuple[str, nn.Parameter]], stage: Stage) -> torch.optim.Optimizer:
    """AdamW or SGD with momentum 0.9; weights of two and more dimensions decay, biases and normalisations do not."""
    trained = [parameter for _, parameter in named_parameters if parameter.requires_grad]
    decay = stage.weight_decay if stage.weight_decay is not None else {"adamw": 1e-2, "sgd": 5e-4}[stage.optimizer]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if stage.lr is None:
        raise SettingsError("The learning rate of the stage is None; it is decided before the optimizer is made.")
    if stage.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=stage.lr, momentum=0.9)
    return torch.optim.AdamW(groups, lr=stage.lr)
