"""Learning rate over a training, and which parameters learn how fast and decay."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from torch import nn

from intarsia.core import SettingsError
from intarsia.recipes import Stage

__all__ = ["learning_rate_factor", "make_optimizer"]

DECAY = {"adamw": 1e-2, "adam": 0.0, "sgd": 5e-4, "rmsprop": 0.0}
"""Weight decay where the stage does not say it."""


def learning_rate_factor(stage: Stage, total_steps: int) -> Callable[[int], float]:
    """Factor on the peak learning rate at step 0, 1, ... `total_steps` - 1.

    A linear warm-up from 1 / its steps, then what `Stage.schedule` says, where t runs from 0 at the end of the warm-up to 1 at
    `total_steps`; milestones and epochs are counted over all steps. Never below `lr_min` / `lr`.
    """
    warmup = round(stage.warmup * total_steps)
    floor = stage.lr_min / (stage.lr or 1.0)

    def falling(step: int) -> float:
        t = min(1.0, (step - warmup) / max(1, total_steps - warmup))
        if stage.schedule == "poly":
            return math.pow(1 - t, stage.power)
        if stage.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * t))
        if stage.schedule == "step":
            return math.prod(stage.gamma for share in stage.milestones if step >= share * total_steps)
        if stage.schedule == "exponential":
            return math.pow(stage.gamma, step * (stage.epochs or 1) // total_steps)
        return 1.0

    return lambda step: (step + 1) / warmup if step < warmup else max(floor, falling(step))


def make_optimizer(named_parameters: Iterable[tuple[str, nn.Parameter]], stage: Stage) -> torch.optim.Optimizer:
    """The optimizer of the stage over all parameters that are not frozen, in groups of one learning rate and decay.

    Raises:
        SettingsError: the learning rate is still open, or `lr_factors` names no parameter.
    """
    if stage.lr is None:
        raise SettingsError("The learning rate of the stage is None; it is decided before the optimizer is made.")
    decay = DECAY[stage.optimizer] if stage.weight_decay is None else stage.weight_decay
    named = list(named_parameters)
    _need_prefixes([name for name, _ in named], stage)
    members: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in named:
        if parameter.requires_grad:
            factor = max(
                (len(prefix), factor) for prefix, factor in {"": 1.0, **stage.lr_factors}.items() if name.startswith(prefix)
            )[1]
            factor *= stage.bias_lr_factor if name.endswith("bias") else 1.0
            members[factor, decay if stage.decay_all or parameter.ndim > 1 else 0.0].append(parameter)
    groups = [{"params": own, "lr": stage.lr * factor, "weight_decay": wd} for (factor, wd), own in members.items()]
    if stage.optimizer == "sgd":
        momentum = 0.9 if stage.momentum is None else stage.momentum
        return torch.optim.SGD(groups, lr=stage.lr, momentum=momentum, nesterov=stage.nesterov)
    if (
        stage.optimizer == "rmsprop"
    ):  # the mean square fades by 0.9 a step, as where papers use it (Keras, Lasagne); PyTorch has 0.99
        return torch.optim.RMSprop(groups, lr=stage.lr, alpha=0.9, momentum=stage.momentum or 0.0)
    return (torch.optim.AdamW if stage.optimizer == "adamw" else torch.optim.Adam)(groups, lr=stage.lr)


def _need_prefixes(names: list[str], stage: Stage) -> None:
    for prefix in stage.lr_factors:
        if not any(name.startswith(prefix) for name in names):
            tops = ", ".join(dict.fromkeys(name.split(".")[0] for name in names))
            raise SettingsError(
                f"lr_factors names {prefix!r}, and no parameter of {stage.model} begins so. They begin with {tops}."
            )
