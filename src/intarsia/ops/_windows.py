"""Windows of an image behind the values of a tensor, along one axis of the image, and what operations make of them.

Windows are an int32 array (2, d0, d1, ...): the first pixel and *minus* the last, so that the minimum of two of them is the
smallest window around both. A dimension of the tensor along which they do not change has length 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["NOTHING", "Index", "Windows"]

Windows: TypeAlias = npt.NDArray[np.int32]
Index: TypeAlias = npt.NDArray[np.int64]
"""(outputs, taps): which inputs an output sees; -1 for none."""

NOTHING = 2**30
"""First and minus last of a window without a pixel."""

MOST = 2**22
"""Windows that are held apart; where there would be more, all see what any of them sees."""


def nothing(dims: int) -> Windows:
    return np.full((2, *[1] * dims), NOTHING, np.int32)


def union(parts: Sequence[Windows], dims: int) -> Windows:
    """Windows around those of tensors that are broadcast to `dims` dimensions."""
    parts = [part.reshape(2, *[1] * (dims + 1 - part.ndim), *part.shape[1:]) for part in parts]
    if math.prod(np.broadcast_shapes(*(part.shape[1:] for part in parts))) > MOST:
        parts = [hull(part, range(dims)) for part in parts]
    found = parts[0]
    for part in parts[1:]:
        found = np.minimum(found, part)
    return found


def hull(windows: Windows, dims: Sequence[int], keep: bool = True) -> Windows:
    """Each sees all that there is along `dims`."""
    axes = tuple(dim % (windows.ndim - 1) + 1 for dim in dims)
    seen: Windows = windows.min(axis=axes, keepdims=keep)
    return seen


def gather(windows: Windows, dim: int, index: Index) -> Windows:
    """Windows around those that `index` names, along `dim`."""
    if windows.shape[dim + 1] == 1:
        return windows
    border = np.full_like(windows.take([0], dim + 1), NOTHING)
    found: Windows = np.concatenate([windows, border], dim + 1).take(index, dim + 1).min(dim + 2)
    return found


def put(windows: Windows, dim: int, size: int, where: slice, part: Windows) -> Windows:
    """Windows of a tensor, `size` long, after `part` was written to some places along `dim`."""
    if windows.shape[dim + 1] == part.shape[dim + 1] == 1:
        return union([windows, part], windows.ndim - 1)
    shape = list(np.broadcast_shapes(windows.shape, part.take([0], dim + 1).shape))
    shape[dim + 1] = size
    full = np.broadcast_to(windows, shape).copy()
    full[(slice(None), *[slice(None)] * dim, where)] = part
    return full


def concatenate(parts: Sequence[Windows], dim: int, sizes: Sequence[int], apart: bool = False) -> Windows:
    """Side by side along `dim`; where none of them changes along it (channels), windows around all, unless to be held apart."""
    if not apart and all(part.shape[dim + 1] == 1 for part in parts):
        return union(parts, parts[0].ndim - 1)
    around = np.broadcast_shapes(*(part.take([0], dim + 1).shape for part in parts))
    shapes = [(*around[: dim + 1], size, *around[dim + 2 :]) for size in sizes]
    return np.concatenate([np.broadcast_to(part, shape) for part, shape in zip(parts, shapes, strict=True)], dim + 1)


def reshape(windows: Windows, before: Sequence[int], after: Sequence[int]) -> Windows:
    """Of a tensor of shape `before` that is read as one of shape `after`.

    Dimensions fall into groups of equal products. A group stays compact if the windows do not change in it.
    """
    full, target = [2], [2]
    i = j = 0
    while i < len(before) or j < len(after):
        first, start = i, j
        old = new = 1
        while old != new or (i == first and j == start):
            if (old <= new and i < len(before)) or j == len(after):
                old, i = old * before[i], i + 1
            else:
                new, j = new * after[j], j + 1
        varies = any(windows.shape[dim + 1] > 1 for dim in range(first, i))
        full += before[first:i] if varies else [1] * (i - first)
        target += after[start:j] if varies else [1] * (j - start)
    if math.prod(full) > 2 * MOST:
        return hull(windows, range(len(before))).reshape(2, *[1] * len(after))
    return np.broadcast_to(windows, full).reshape(target)


def sliding(size: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Index:
    """What the windows of a convolution or a pooling see."""
    index = np.arange(outputs)[:, None] * stride - padding + np.arange(kernel) * dilation
    return np.where((index >= 0) & (index < size), index, -1)


def pasted(size: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Index:
    """Which inputs reach an output of a transposed convolution."""
    index = np.arange(outputs)[:, None] + padding - np.arange(kernel) * dilation
    return np.where((index % stride == 0) & (index >= 0) & (index < size * stride), index // stride, -1)


def padded(size: int, before: int, after: int, mode: str) -> Index:
    """What a border shows: "constant" nothing, "reflection" the mirrored map, "replication" its edge."""
    index = np.arange(-before, size + after)
    if mode == "constant":
        index = np.where((index >= 0) & (index < size), index, -1)
    elif mode == "reflection":
        index = (size - 1) - np.abs((size - 1) - np.abs(index))
    return index.clip(-1 if mode == "constant" else 0, size - 1)[:, None]


def adaptive(size: int, outputs: int) -> Index:
    """Bins of adaptive pooling."""
    ends = np.arange(outputs + 1) * size
    first, last = ends[:-1] // outputs, -(-ends[1:] // outputs)
    index = first[:, None] + np.arange(int((last - first).max()))
    return np.where(index < last[:, None], index, -1)


def interpolated(size: int, outputs: int, mode: str, *, align_corners: bool = False, scale: float | None = None) -> Index:
    """Which pixels an interpolation mixes; those of weight zero do not count. `mode` as in the names of torch's operators."""
    ratio = 1 / scale if scale else size / outputs
    place = np.arange(outputs)
    if mode in ("nearest", "nearest_exact"):
        cells: Index = ((place + (0.5 if mode == "nearest_exact" else 0)) * ratio).astype(np.int64)
        return cells.clip(0, size - 1)[:, None]
    where = place * (size - 1) / max(outputs - 1, 1) if align_corners else (place + 0.5) * ratio - 0.5
    if mode == "linear":
        where = where.clip(0)
    base = np.floor(where + 1e-9).astype(np.int64)
    taps = np.arange(2) if mode == "linear" else np.arange(-1, 3)
    on_pixel = np.abs(where - base) < 1e-6
    index = (base[:, None] + taps).clip(0, size - 1)
    return np.where(on_pixel[:, None] & (taps != 0), -1, index)
