"""Grow an image by reflection to a size that a network can take, and crop its answer back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["crop", "grow_to_multiple", "reflect_border"]


def reflect_border(image: Tensor, *, top: int, bottom: int, left: int, right: int) -> Tensor:
    """Add a border (N, C, H, W) -> (N, C, top + H + bottom, left + W + right) that mirrors the image about its edge pixels.

    The edge pixel is not doubled (abc -> bc|abc|ab reads cb|abc|ba). Unlike `torch.nn.functional.pad`, the border may be wider
    than the image: the reflection is then reflected again, and a side of one pixel is repeated.
    """
    rows = _mirrored(image.shape[-2], top, bottom, image.device)
    columns = _mirrored(image.shape[-1], left, right, image.device)
    return image.index_select(-2, rows).index_select(-1, columns)


def _mirrored(size: int, before: int, after: int, device: torch.device) -> Tensor:
    """Which pixel of a side stands at each place of the grown side."""
    period = (2 * torch.arange(size, device=device)[-1]).clamp_min(1)  # a tensor, since ONNX divides by no size that varies
    folded = torch.arange(-before, size + after, device=device).remainder(period)
    return torch.minimum(folded, period - folded)


def grow_to_multiple(image: Tensor, divisor: int) -> Tensor:
    """Grow (N, C, H, W) at the bottom and on the right, by reflection, until H and W are multiples of `divisor`."""
    if divisor == 1:
        return image
    bottom, right = -image.shape[-2] % divisor, -image.shape[-1] % divisor
    return reflect_border(image, top=0, bottom=bottom, left=0, right=right)


def crop(x: Tensor, size_hw: Sequence[int], offset: int = 0) -> Tensor:
    """The window of height and width `size_hw` of maps (N, C, h, w), its top left pixel at row and column `offset`; a view."""
    return x[..., offset : offset + size_hw[0], offset : offset + size_hw[1]]
