"""Theoretical receptive field: which window of the image can have a say in a pixel of what a network makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from intarsia.core import SettingsError
from intarsia.ops._field_walk import Bounds, FieldWalk
from intarsia.ops.effective_field import map_of

__all__ = ["ReceptiveField", "pixel_windows", "receptive_field"]

LARGE, LARGEST = 2048, 8192
"""Sides of images. A network sees images whole if its map's first pixel sees all of the one, or all pixels the other's border."""

_Axis: TypeAlias = tuple[float, float, float, float]
"""Largest and smallest size, stride and offset along one axis."""


class ReceptiveField(NamedTuple):
    """Windows of the image behind the pixels of a map, in pixels; each pair is (vertical, horizontal).

    size_hw: of the largest window; `math.inf` where it is the whole image, however large.
    smallest_hw: of the smallest: pixels of one map see windows of different sizes where strides and upsampling meet.
    stride_hw: from one pixel's window to the next one's.
    offset_yx: middle of the window of the map's first pixel, counted from the middle of the image's first pixel.
    """

    size_hw: tuple[float, float]
    smallest_hw: tuple[float, float]
    stride_hw: tuple[float, float]
    offset_yx: tuple[float, float]


def receptive_field(
    module: nn.Module, input_size: tuple[int, int, int] = (3, 512, 512), *, output: Callable[[Any], Tensor] | None = None
) -> ReceptiveField:
    """Follow the windows through every operation of a network, branches and skip connections included.

    Nothing is computed: the network runs on the meta device, in evaluation mode, and stays as it is. Windows of pixels next to
    the border are cut off there and do not count; where all of them are cut off, larger images are tried, up to 8192 pixels.

    Args:
        module: takes one image (1, C, H, W).
        input_size: C, H and W of the first image tried.
        output: picks a map (1, K, h, w) out of what the module returns. By default it is the tensor itself, the `logits`, or
            the last entry of a sequence (the coarsest feature).

    Raises:
        SettingsError: no map is returned, or there is an operation that cannot be followed.
    """
    channels, *sides = input_size
    while True:
        windows = pixel_windows(module, (channels, sides[0], sides[1]), output=output)
        axes = [_summary(bounds, side) for bounds, side in zip(windows, sides, strict=True)]
        cut = [axis is None and not _settled(bounds, side) for axis, bounds, side in zip(axes, windows, sides, strict=True)]
        if not any(cut):
            break
        sides = [2 * side if more else side for side, more in zip(sides, cut, strict=True)]
    found = [axis or _whole(len(bounds), side) for axis, bounds, side in zip(axes, windows, sides, strict=True)]
    size, smallest, stride, offset = zip(*found, strict=True)
    return ReceptiveField(size, smallest, stride, offset)


def pixel_windows(
    module: nn.Module, input_size: tuple[int, int, int], *, output: Callable[[Any], Tensor] | None = None
) -> tuple[Bounds, Bounds]:
    """The windows of all pixels of a map for one size of image.

    Returns:
        First and last row (h, 2) that the rows of the map see, and first and last column (w, 2) for its columns. What sees no
        pixel of the image has 0 and -1.

    Raises:
        SettingsError: as in `receptive_field`.
    """
    training = [part for part in module.modules() if part.training]
    state = {name: value.to("meta") for name, value in [*module.named_parameters(), *module.named_buffers()]}
    image = torch.empty(1, *input_size, device="meta")
    module.eval()
    try:
        with torch.no_grad(), FieldWalk(image) as walk:
            made = (output or map_of)(torch.func.functional_call(module, state, (image,)))
    finally:
        for part in training:
            part.training = True
    if made.ndim < 3:
        raise SettingsError(
            f"A map with rows and columns was expected of {type(module).__name__}; it returned {tuple(made.shape)}."
        )
    windows: tuple[Bounds, Bounds] = walk.windows(made)
    return windows


def _settled(bounds: Bounds, side: int) -> bool:
    """Whether an image is as large as it needs to be to say that a network sees any image whole."""
    first, last = bounds[0]
    return side >= LARGEST or (side >= LARGE and first == 0 and last == side - 1)


def _whole(pixels: int, side: int) -> _Axis:
    stride = side / pixels
    return math.inf, math.inf, stride, (stride - 1) / 2


def _summary(bounds: Bounds, side: int) -> _Axis | None:
    """Of the pixels whose windows the border does not cut; None if they are too few to tell."""
    first, last = bounds.T
    inside = np.flatnonzero((first > 0) & (last < side - 1) & (first <= last))
    if len(first) > 5 * inside.size:
        return None
    inside = np.arange(inside[0], inside[-1] + 1)
    sizes, middles = (last - first + 1)[inside], ((first + last) / 2)[inside]
    if period := _period(sizes, middles):
        stride = float(middles[period] - middles[0]) / period
        offset = float((middles - stride * inside)[:period].mean())
    elif 2 * inside.size >= len(first) > 2:
        stride, offset = map(float, np.polyfit(inside, middles, 1))
    else:
        return None
    return int(sizes.max()), int(sizes.min()), stride, offset


def _period(sizes: Bounds, middles: npt.NDArray[np.float64]) -> int:
    """After how many pixels the windows repeat, moved by so many strides; 0 if they do not."""
    for period in range(1, len(sizes) // 2 + 1):
        moved = middles[period:] - middles[:-period]
        if np.array_equal(sizes[period:], sizes[:-period]) and np.array_equal(moved, np.full_like(moved, moved[0])):
            return period
    return 0
