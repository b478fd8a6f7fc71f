"""Background mixture: each pixel keeps a few usual colours, and what fits none of the common ones moves.

Stauffer, Grimson, "Adaptive Background Mixture Models for Real-Time Tracking", CVPR 1999.

Idea: the colours of a pixel over time are a mixture of Gaussians. A new colour joins the first component within `threshold`
standard deviations, else it replaces the rarest. Components that are frequent and narrow, as many as make up the share
`background`, are the background, which may so have several colours: leaves and sky, a screen that flickers.

Source: section 2, equations 3 to 9, with one variance for all channels. A component that is new has the weight alpha, and so
1 - (1 - alpha)^n after n frames without a break. Deviations: alpha is 1 / t for the first frames, so that what is seen then is
averaged; means and variances follow by alpha / weight instead of alpha times the density, which is far too slow.
Limits: a camera that stands still; what stops for long becomes background; shadows move.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from intarsia.classical._motion import drop_small
from intarsia.classical._pixels import as_unit_range
from intarsia.core import Array, BoolArray, SettingsError

__all__ = ["MixtureOverTime", "background_mixture", "background_mixture_states"]

RESULT = "foreground"
SEQUENCE = True
LEAST_DEVIATION = 2 / 255


class MixtureOverTime(NamedTuple):
    """foreground: (T, H, W) bool, specks and all. weight, variance: (H, W, K) at the end; mean: (H, W, K, C)."""

    foreground: BoolArray
    weight: Array
    mean: Array
    variance: Array


def background_mixture(
    frames: Array,
    *,
    components: int = 3,
    learning: float = 0.02,
    threshold: float = 2.5,
    background: float = 0.7,
    deviation: float = 0.04,
    min_size: int = 20,
) -> Array:
    """Find what moves before a background that may itself be restless.

    Args:
        frames: (T, H, W, C), any range of their dtype.
        components: K, colours that a pixel may keep.
        learning: alpha, share of a new frame, above 0 up to 1.
        threshold: in standard deviations, on the mean over channels.
        background: share of the time that the background is seen.
        deviation: standard deviation of a new component, where black to white is 1.
        min_size: connected foreground of fewer pixels is dropped.

    Returns:
        (T, H, W) bool.

    Raises:
        SettingsError: a value outside its range.
    """
    states = background_mixture_states(
        frames, components=components, learning=learning, threshold=threshold, background=background, deviation=deviation
    )
    return np.stack([drop_small(mask, min_size) for mask in states.foreground])


def background_mixture_states(
    frames: Array,
    *,
    components: int = 3,
    learning: float = 0.02,
    threshold: float = 2.5,
    background: float = 0.7,
    deviation: float = 0.04,
) -> MixtureOverTime:
    """The foreground pixel by pixel, and the mixtures at the end; arguments as of `background_mixture`."""
    if components < 1 or not 0 < learning <= 1 or min(threshold, deviation) <= 0 or not 0 < background <= 1:
        raise SettingsError(
            f"components is {components}, learning {learning}, threshold {threshold}, deviation {deviation} and background "
            f"{background}; 1 or more, above 0 up to 1, two positive numbers and above 0 up to 1 are expected."
        )
    count, height, width, channels = frames.shape
    weight = np.zeros((height * width, components))
    mean = np.zeros((height * width, components, channels))
    variance = np.ones((height * width, components))
    moving = np.zeros((count, height * width), np.bool_)
    for number, frame in enumerate(frames):
        pixels = as_unit_range(frame).reshape(height * width, channels)
        alpha = max(learning, 1 / (number + 1))
        _observe(pixels, weight, mean, variance, moving[number], alpha, threshold, background, deviation**2, LEAST_DEVIATION**2)
    size = height, width
    shaped = (part.reshape(*size, *part.shape[1:]) for part in (weight, mean, variance))
    return MixtureOverTime(moving.reshape(count, *size), *shaped)


@njit(cache=True)
def _observe(
    pixels: Array,
    weight: Array,
    mean: Array,
    variance: Array,
    moving: Array,
    alpha: float,
    threshold: float,
    background: float,
    first_variance: float,
    least_variance: float,
) -> None:
    """Take in one frame. Components of a pixel stay sorted by weight / deviation, unused ones (weight 0) last."""
    count, components, channels = mean.shape
    for n in range(count):
        match = -1
        for k in range(components):
            if weight[n, k] == 0:
                break
            far = 0.0
            for c in range(channels):
                far += (pixels[n, c] - mean[n, k, c]) ** 2
            if far <= threshold**2 * variance[n, k] * channels:
                match = k
                break
        before = 0.0  # share of the components that come before the one of this pixel
        for k in range(match):
            before += weight[n, k]
        moving[n] = weight[n, 0] > 0 and (match < 0 or before > background)
        if match < 0:
            match = components - 1
            for k in range(components - 1, -1, -1):
                if weight[n, k] == 0:
                    match = k
            left = 0.0
            for k in range(components):
                if k != match:
                    left += weight[n, k]
            for k in range(components):
                weight[n, k] *= (1 - alpha) / left if left > 0 else 0.0
            weight[n, match] = alpha if left > 0 else 1.0
            variance[n, match] = first_variance
            for c in range(channels):
                mean[n, match, c] = pixels[n, c]
        else:
            for k in range(components):
                weight[n, k] *= 1 - alpha
            weight[n, match] += alpha
            rate = min(1.0, alpha / weight[n, match])
            far = 0.0
            for c in range(channels):
                off = pixels[n, c] - mean[n, match, c]
                mean[n, match, c] += rate * off
                far += off * off / channels
            variance[n, match] = max(least_variance, variance[n, match] + rate * (far - variance[n, match]))
        k = match
        while k > 0 and weight[n, k] ** 2 / variance[n, k] > weight[n, k - 1] ** 2 / variance[n, k - 1]:
            weight[n, k], weight[n, k - 1] = weight[n, k - 1], weight[n, k]
            variance[n, k], variance[n, k - 1] = variance[n, k - 1], variance[n, k]
            for c in range(channels):
                mean[n, k, c], mean[n, k - 1, c] = mean[n, k - 1, c], mean[n, k, c]
            k -= 1
