"""Activation checkpointing: memory for time.

Chen, Xu, Zhang, Guestrin: Training Deep Nets with Sublinear Memory Cost. 2016.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

__all__ = ["checkpointed"]


def checkpointed(block: nn.Module, *inputs: Tensor) -> Any:
    """`block(*inputs)`, whose activations are not kept for the backward pass but computed again there.

    The result, the gradients and the running statistics of batch normalisation are those of the plain call: the second time,
    dropout repeats its choice, and the statistics stay as they are. Outside of training it is the plain call.
    """
    if not (block.training and torch.is_grad_enabled()):
        return block(*inputs)
    return checkpoint(block, *inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), _still_statistics(block)))


@contextmanager
def _still_statistics(block: nn.Module) -> Iterator[None]:
    """Batch normalisation by the batch that leaves its running statistics and its count of batches alone.

    A momentum of 0 rather than no statistics: autograd expects the same tensors to be saved the second time.
    """
    kept = [(norm, norm.momentum, norm.num_batches_tracked) for norm in block.modules() if isinstance(norm, _BatchNorm)]
    for norm, *_ in kept:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, momentum, count in kept:
            norm.momentum, norm.num_batches_tracked = momentum, count
