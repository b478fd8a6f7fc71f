"""Any image as something a screen can show."""

from __future__ import annotations

import numpy as np

from intarsia.core import Array, as_image

__all__ = ["as_rgb"]

PERCENTILES = (0.5, 99.5)
SAMPLED_PIXELS = 1 << 18


def as_rgb(image: Array) -> Array:
    """An image as (H, W, 3) uint8. May share memory with `image`: copy it before drawing.

    uint8 is shown as it is. 16-bit and float values are stretched so that all but the darkest and the brightest half percent lie
    between black and white, one stretch for all channels, so that hues stay. One or two channels: the first, as grey. More than
    three: the first three.

    Args:
        image: (H, W) or (H, W, C), uint8, uint16, bool or float.

    Raises:
        DataError: not an image.
    """
    image = as_image(image)
    shown = image[..., :3] if image.shape[2] >= 3 else image[..., :1]
    if shown.dtype != np.uint8:
        shown = _stretch(shown)
    return np.repeat(shown, 3, axis=2) if shown.shape[2] == 1 else shown


def _stretch(values: Array) -> Array:
    step = max(1, int(np.sqrt(values.shape[0] * values.shape[1] / SAMPLED_PIXELS)))
    sample = values[::step, ::step]
    finite = sample[np.isfinite(sample)]
    low, high = np.percentile(finite, PERCENTILES) if finite.size else (0.0, 0.0)
    scaled: Array = (values.astype(np.float32) - np.float32(low)) * np.float32(255 / max(high - low, 1e-12))
    shown: Array = np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255).round().astype(np.uint8)
    return shown
