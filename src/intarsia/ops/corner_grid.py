"""Sizes for networks that resize with aligned corners: one pixel more than a multiple of the stride."""

from __future__ import annotations

from torch import Tensor

from intarsia.ops.reflect import grow_to_multiple, reflect_border

__all__ = ["grow_to_corner_grid"]


def grow_to_corner_grid(image: Tensor, stride: int, *, divisor: int = 1) -> Tensor:
    """Grow (N, C, H, W) at the bottom and on the right, by reflection, until H and W are stride * n + 1.

    Convolutions of odd size and stride 2 then put the features exactly on pixels 0, stride, 2 stride ... of the image, the last
    one included, so that bilinear resizing with aligned corners puts every value back where it came from.

    Args:
        image: maps of any size.
        stride: of the coarsest feature.
        divisor: what the sizes must be a multiple of. Other than 1, they are made one and no more: no size satisfies both.
    """
    if divisor != 1:
        return grow_to_multiple(image, divisor)
    bottom, right = (1 - image.shape[-2]) % stride, (1 - image.shape[-1]) % stride
    return reflect_border(image, top=0, bottom=bottom, left=0, right=right)
