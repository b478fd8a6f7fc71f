"""A stretch of a network that stays in float32 where the rest runs in half precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

__all__ = ["full_precision"]


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """Switch autocast off for what follows on the device of `x`, which should be float32; does nothing where it is off already.

    Meant for what is not continuous: of two pixels that round to the same half-precision number, pooling may remember the wrong
    one, and a value that is unpooled there is off by a pixel.
    """
    kind = x.device.type
    on = kind != "meta" and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if on else nullcontext()
