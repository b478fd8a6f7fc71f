"""Max pooling that remembers where each maximum stood, and unpooling that puts values back there."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

__all__ = ["Places", "max_pool", "max_unpool"]


class Places(NamedTuple):
    """Where the maxima of a pooling stood.

    indices: (N, C, h, w) int64, row * W + column of each maximum in its map of H x W pixels.
    size_hw: H and W before the pooling.
    """

    indices: Tensor
    size_hw: tuple[int, int]


def max_pool(x: Tensor, size: int = 2) -> tuple[Tensor, Places]:
    """Pool maps (N, C, H, W) over windows of `size` x `size` pixels side by side to (N, C, ceil(H / size), ceil(W / size)).

    Sizes are rounded up, as in Caffe, so that no row is lost: the last windows of an odd map are narrower. Of equal values the
    first in reading order is the maximum.

    Returns:
        The maxima, and their places for `max_unpool`.
    """
    pooled, indices = F.max_pool2d_with_indices(x, [size, size], [size, size], ceil_mode=True)
    return pooled, Places(indices, (x.shape[-2], x.shape[-1]))


def max_unpool(x: Tensor, places: Places) -> Tensor:
    """Put the values of maps (N, C, h, w) at the places of earlier maxima in maps (N, C, H, W) that are zero elsewhere.

    Windows side by side never name a pixel twice, so this is a plain scatter: the same on every run and every device, also under
    `torch.use_deterministic_algorithms`, where `torch.nn.functional.max_unpool2d` refuses to work.

    Source: Zeiler, Taylor, Fergus: Adaptive Deconvolutional Networks for Mid and High Level Feature Learning, 2011.
    """
    height, width = places.size_hw
    empty = x.new_zeros(x.shape[0], x.shape[1], height * width)
    return empty.scatter(-1, places.indices.flatten(2), x.flatten(2)).view(*x.shape[:2], height, width)
