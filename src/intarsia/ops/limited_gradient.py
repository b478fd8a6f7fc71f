"""The identity, through which only small gradients go back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["limited_gradient"]


def limited_gradient(x: Tensor, limit: float) -> Tensor:
    """Return x as it is; each entry of its gradient is clamped to [-limit, limit], and with 0 nothing goes back.

    The limit is of the gradient as it arrives: where the loss is scaled up for 16-bit floats, so is what is compared with it.

    Args:
        x: of any shape.
        limit: not negative.
    """
    same: Tensor = _Limited.apply(x, limit) if limit else x.detach()
    return same


class _Limited(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, limit: float) -> Tensor:
        context.limit = limit
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0].clamp(-context.limit, context.limit), None
