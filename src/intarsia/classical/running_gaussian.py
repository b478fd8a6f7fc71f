"""Running Gaussian: what differs from the usual brightness of its pixel moves.

Wren, Azarbayejani, Darrell, Pentland, "Pfinder: Real-Time Tracking of the Human Body", IEEE Transactions on Pattern Analysis and
Machine Intelligence 1997.

Idea: each pixel keeps a mean and a variance of its colour, which follow it slowly while it is background. A colour further than
`threshold` standard deviations from the mean is foreground.

Source: section II-B, for the scene; each channel by itself, the furthest counts. The mean starts at the median of the first
`start` frames, so that an object that moves among them leaves no ghost.
Limits: a camera that stands still; leaves, water and shadows move too (see `background_mixture`); an object that stops stays
foreground, as the mean does not follow it.
"""

from __future__ import annotations

import numpy as np

from intarsia.classical._motion import drop_small
from intarsia.classical._pixels import as_unit_range
from intarsia.core import Array, SettingsError

__all__ = ["running_gaussian", "running_gaussian_background"]

RESULT = "foreground"
SEQUENCE = True
LEAST_DEVIATION = 2 / 255


def running_gaussian(
    frames: Array, *, learning: float = 0.02, threshold: float = 4.0, deviation: float = 0.04, start: int = 25, min_size: int = 20
) -> Array:
    """Find what moves before a still background.

    Args:
        frames: (T, H, W, C), any range of their dtype.
        learning: share of a new frame in the mean and the variance, 0 to 1.
        threshold: in standard deviations.
        deviation: the first standard deviation, where black to white is 1.
        start: of how many frames the median is taken to begin with; 1 begins with the first frame.
        min_size: connected foreground of fewer pixels is dropped.

    Returns:
        (T, H, W) bool.

    Raises:
        SettingsError: learning outside 0 to 1, start below 1, a threshold or deviation that is not positive.
    """
    if not 0 <= learning <= 1 or start < 1 or threshold <= 0 or deviation <= 0:
        raise SettingsError(
            f"learning is {learning}, start {start}, threshold {threshold} and deviation {deviation}; 0 to 1, 1 or more, and two "
            "positive numbers are expected."
        )
    mean = np.median(as_unit_range(frames[:start].reshape(-1, *frames.shape[2:])).reshape(-1, *frames.shape[1:]), 0)
    variance = np.full_like(mean, deviation**2)
    masks = []
    for frame in frames:
        moving, mean, variance = running_gaussian_background(as_unit_range(frame), mean, variance, learning, threshold)
        masks.append(drop_small(moving, min_size))
    return np.stack(masks)


def running_gaussian_background(
    pixels: Array, mean: Array, variance: Array, learning: float, threshold: float
) -> tuple[Array, Array, Array]:
    """One frame: (H, W) bool foreground, and the (H, W, C) mean and variance after it, which follow the background only."""
    off = np.square(pixels - mean)
    moving = (off > threshold**2 * variance).any(2)
    rate = np.where(moving, 0, learning)[..., None].astype(pixels.dtype)
    return moving, mean + rate * (pixels - mean), np.maximum(variance + rate * (off - variance), LEAST_DEVIATION**2)
