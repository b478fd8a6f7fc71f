"""How classical methods read pixels, whatever dtype an image has."""

from __future__ import annotations

import numpy as np

from intarsia.core import Array

__all__ = ["as_byte_color", "as_features", "as_gray", "as_lab", "as_unit_range"]


def as_unit_range(image: Array) -> Array:
    """(H, W, C) float32 in [0, 1]: integers by the range of their dtype, floats outside [0, 1] by their own range."""
    if image.dtype.kind == "u":
        return image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)
    pixels = image.astype(np.float32)
    low, high = min(0.0, float(pixels.min())), max(1.0, float(pixels.max()))
    return pixels if (low, high) == (0.0, 1.0) else (pixels - low) / (high - low)


def as_gray(image: Array) -> Array:
    """(H, W) float32 in [0, 1]: luma of colour (ITU-R BT.601), else the mean over channels."""
    pixels = as_unit_range(image)
    if pixels.shape[2] == 3:
        gray: Array = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
        return gray
    return np.asarray(pixels.mean(2), np.float32)


def as_byte_color(image: Array) -> Array:
    """(H, W, 3) uint8, as OpenCV's colour methods take it; grey is repeated, of more than three channels three count."""
    pixels = np.rint(as_unit_range(image) * 255).astype(np.uint8)
    return np.ascontiguousarray(pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1].repeat(3, 2))


def as_lab(image: Array) -> Array:
    """(H, W, 3) float32 CIELAB (L* 0 to 100) of colour; (H, W, C) in [0, 100] otherwise, so that distances are of one size."""
    pixels = as_unit_range(image)
    if pixels.shape[2] != 3:
        return pixels * np.float32(100)
    from skimage.color import rgb2lab

    return np.asarray(rgb2lab(pixels), np.float32)


def as_features(image: Array, position: float) -> Array:
    """(H * W, C + 2) float64 colour in [0, 1] (CIELAB / 100 of colour images), then row and column.

    Args:
        image: (H, W, C).
        position: what the diagonal of the image counts for, where black to white is 1; 0 leaves position without effect.
    """
    height, width = image.shape[:2]
    rows, columns = np.mgrid[:height, :width] * (position / np.hypot(height, width))
    colors = as_lab(image).astype(np.float64) / 100
    return np.concatenate([colors, rows[..., None], columns[..., None]], 2).reshape(height * width, -1)
