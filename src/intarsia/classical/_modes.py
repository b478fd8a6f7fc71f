"""Modes of the density of points: the mean-shift step, repeated until it stays."""

from __future__ import annotations

from typing import Literal

import numpy as np

from intarsia.core import Array, SettingsError

__all__ = ["seek_modes", "shift"]

Kernel = Literal["gaussian", "flat"]


def shift(points: Array, at: Array, bandwidth: float, *, kernel: Kernel = "gaussian", weights: Array | None = None) -> Array:
    """One step from each place: the mean of the points, weighted by the kernel around the place.

    Args:
        points: (N, D).
        at: (M, D) places.
        bandwidth: h. The Gaussian is exp(-|x - p|^2 / h^2) as in Shotton et al. 2011; the flat kernel is 1 up to the distance h.
        kernel: which.
        weights: (N,) of the points, >= 0; None: all alike.

    Returns:
        (M, D); a place without any weight around it stays.
    """
    squared = ((at[:, None] - points) ** 2).sum(2) / bandwidth**2
    near = np.exp(-squared) if kernel == "gaussian" else (squared <= 1).astype(np.float64)
    near = near if weights is None else near * weights
    total = near.sum(1, keepdims=True)
    return np.where(total > 0, near @ points / np.where(total > 0, total, 1.0), at)


def seek_modes(
    points: Array,
    start: Array,
    bandwidth: float,
    *,
    kernel: Kernel = "gaussian",
    weights: Array | None = None,
    iterations: int = 100,
    tolerance: float = 1e-4,
) -> tuple[Array, Array]:
    """Climb from each place to a mode of the density, and merge places that end within half a bandwidth of each other.

    Args:
        points: (N, D).
        start: (M, D) places to climb from.
        bandwidth: h.
        kernel: see `shift`.
        weights: (N,) of the points; None: all alike.
        iterations: at most.
        tolerance: a climb ends when no place moves by more than this share of the bandwidth.

    Returns:
        (Q, D) modes in the order in which `start` first reaches them, and (M,) the number of the mode that each place reached.

    Raises:
        SettingsError: a bandwidth that is not larger than 0.
    """
    if bandwidth <= 0:
        raise SettingsError(f"The bandwidth of mean shift is {bandwidth}; it is larger than 0.")
    at = start.astype(np.float64)
    for _ in range(iterations):
        moved = shift(points, at, bandwidth, kernel=kernel, weights=weights)
        step = np.sqrt(((moved - at) ** 2).sum(1)).max(initial=0)
        at = moved
        if step <= tolerance * bandwidth:
            break
    modes: list[Array] = []
    reached = np.zeros(len(at), np.int64)
    for index, place in enumerate(at):
        near = [number for number, mode in enumerate(modes) if ((mode - place) ** 2).sum() < (bandwidth / 2) ** 2]
        reached[index] = near[0] if near else len(modes)
        if not near:
            modes.append(place)
    return np.array(modes).reshape(len(modes), start.shape[1]), reached
