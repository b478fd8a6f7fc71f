"""Averages over a grid of cells whose number is fixed, of maps of any size, also in a graph that is exported.

ONNX has no pooling whose window depends on a size that is known only when it runs. Matrix products say the same there:
row i of `cell_shares` holds the weight of each place in the mean of cell i.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["cell_shares", "corner_shares", "is_exporting"]


def is_exporting() -> bool:
    """Whether a graph is being made of what runs, for `torch.export`, ONNX or TorchScript."""
    jit: Any = torch.jit  # it has no types
    return torch.compiler.is_exporting() or bool(jit.is_tracing())


def cell_shares(start: Tensor, stop: Tensor, side: int) -> Tensor:
    """The matrix (cells, side) float32 that averages a side of a map over cells from `start` to before `stop`, integers."""
    place = torch.arange(side, device=start.device)
    inside = (place >= start[:, None]) & (place < stop[:, None])
    return inside.float() / (stop - start)[:, None]


def corner_shares(count: Tensor, cells: int, side: int) -> Tensor:
    """The matrix (side, cells) float32 that enlarges the first `count` of a row of cells to a side, with aligned corners."""
    place = torch.arange(side, device=count.device)
    at = place * (count - 1) / place[-1].clamp_min(1)
    return (1 - (at[:, None] - torch.arange(cells, device=count.device)).abs()).clamp_min(0)
