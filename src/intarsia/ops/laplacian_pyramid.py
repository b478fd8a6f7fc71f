"""Laplacian pyramid: an image as bands of detail, each at half the resolution of the one before, and what is left."""

from __future__ import annotations

from torch import Tensor

from intarsia.ops.reflect import reflect_border

__all__ = ["blur_binomial", "laplacian_pyramid"]


def laplacian_pyramid(image: Tensor, levels: int) -> list[Tensor]:
    """Split an image (N, C, H, W) into `levels` bands (N, C, ceil(H / 2^level), ceil(W / 2^level)), fine to coarse.

    With g_0 the image, g_(l+1) every second pixel of the blurred g_l (row and column 0 among them), and `up` the interpolation
    of what is missing by the same kernel, band l is g_l - up(g_(l+1)), and the last is g itself; so pixel i of level l lies at
    pixel 2^l i of the image. Borders are mirrored. The image is what summing up again, coarse to fine, gives.

    Source: Burt, Adelson: The Laplacian Pyramid as a Compact Image Code, 1983, with their kernel at a = 3/8 (binomial).
    """
    bands = []
    for _ in range(levels - 1):
        coarse = blur_binomial(image)[..., ::2, ::2]
        bands.append(image - _expand(coarse, image))
        image = coarse
    return [*bands, image]


def blur_binomial(x: Tensor) -> Tensor:
    """Blur maps (N, C, H, W) by (1, 4, 6, 4, 1) / 16 along rows and columns, mirrored at the borders.

    Sums of shifted maps, which stay in the maps' precision under autocast.
    """
    x = reflect_border(x, top=2, bottom=2, left=2, right=2)
    height, width = x.shape[-2] - 4, x.shape[-1] - 4
    weights = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
    x = sum((weight * x[..., i : i + height, :] for i, weight in enumerate(weights[1:], 1)), weights[0] * x[..., :height, :])
    return sum((weight * x[..., i : i + width] for i, weight in enumerate(weights[1:], 1)), weights[0] * x[..., :width])


def _expand(coarse: Tensor, like: Tensor) -> Tensor:
    """Put the pixels on every second row and column of maps of the size of `like`, and interpolate the others.

    Dividing by the weight of the pixels that are there, a quarter but for sides of one pixel, keeps a constant constant.
    """
    spread, there = like.new_zeros(like.shape), like.new_zeros(1, 1, *like.shape[-2:])
    spread[..., ::2, ::2] = coarse
    there[..., ::2, ::2] = 1
    return blur_binomial(spread) / blur_binomial(there)
