"""Sums over the processes of a parallel training, with gradients: the loss of a step is that of all its images together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, distributed

__all__ = ["batch_over_processes", "sum_over_processes"]

_joined: ContextVar[bool] = ContextVar("joined", default=False)


@contextmanager
def batch_over_processes() -> Iterator[None]:
    """Inside, `sum_over_processes` sums over all processes, which must all get there; elsewhere each has its own batch."""
    token = _joined.set(distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1)
    try:
        yield
    finally:
        _joined.reset(token)


def sum_over_processes(values: Tensor) -> Tensor:
    """The sum of `values` over all processes inside `batch_over_processes`, else `values`.

    A loss L of such sums is the same number in each process. Its gradient with respect to what a process put in is W dL/dvalues
    for W processes, so that the mean of the processes' gradients, which parallel training takes, is the gradient of L: that of
    one process with the batches of all.
    """
    summed: Tensor = _Sum.apply(values) if _joined.get() else values
    return summed


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(_context: Any, values: Tensor) -> Tensor:
        return _all_reduced(values)

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        return _all_reduced(gradients[0])


def _all_reduced(values: Tensor) -> Tensor:
    values = values.contiguous().clone()
    distributed.all_reduce(values)
    return values
