"""Unpooling to fixed places: each value is repeated, or put into a corner of zeros."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from intarsia.core import SettingsError

__all__ = ["bed_of_nails", "nearest_unpool"]


def nearest_unpool(x: Tensor, factor: int = 2) -> Tensor:
    """Repeat each value of maps (N, C, h, w) over `factor` x `factor` pixels: (N, C, h * factor, w * factor).

    Raises:
        SettingsError: a factor below one.
    """
    _check(factor)
    return F.interpolate(x, scale_factor=float(factor), mode="nearest")


def bed_of_nails(x: Tensor, factor: int = 2) -> Tensor:
    """Put each value of maps (N, C, ..., d) into the first of `factor` pixels along every axis, with zeros in the others.

    Works in one and more dimensions: (N, C, d0, d1, ...) to (N, C, d0 * factor, d1 * factor, ...).

    Raises:
        SettingsError: a factor below one.
    """
    _check(factor)
    axes = x.ndim - 2
    spread = x.reshape(*x.shape[:2], *(n for size in x.shape[2:] for n in (size, 1)))
    return F.pad(spread, (0, factor - 1, 0, 0) * axes).reshape(*x.shape[:2], *(size * factor for size in x.shape[2:]))


def _check(factor: int) -> None:
    if factor < 1:
        raise SettingsError(f"Unpooling enlarges by a whole number from 1 up; {factor} was given.")
