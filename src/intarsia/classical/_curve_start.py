"""Where a curve starts, which side of it is the foreground, and what it should stop at."""

from __future__ import annotations

import numpy as np

from intarsia.classical._pixels import as_gray
from intarsia.core import Array, BoolArray, Hints, SettingsError

__all__ = ["checkerboard", "edge_indicator", "foreground_side", "starting_region"]

MARGIN = 0.04
"""What the default region leaves free on each side, of the shorter side of the image."""


def starting_region(size_hw: tuple[int, int], hints: Hints | None) -> BoolArray:
    """(H, W) inside of the first curve: boxes, else points and scribbles of a class above 0, else the image less a margin.

    Raises:
        SettingsError: the hints leave nothing inside.
    """
    height, width = size_hw
    inside = np.zeros(size_hw, bool)
    if hints is None:
        margin = int(np.ceil(MARGIN * min(size_hw))) if min(size_hw) > 2 else 0
        inside[margin : height - margin, margin : width - margin] = True
        return inside
    if hints.boxes_xyxy is not None:
        for x0, y0, x1, y1 in hints.boxes_xyxy.clip(0).astype(int):
            inside[y0:y1, x0:x1] = True
    else:
        inside = hints.seeds(size_hw) > 0
    if not inside.any():
        raise SettingsError(
            f"The hints mark no pixel of the {height}x{width} image as inside; a curve starts from a box that meets the image, "
            "or from points or scribbles of a class above 0."
        )
    return inside


def checkerboard(size_hw: tuple[int, int], period: float = 10.0) -> Array:
    """(H, W) float64 in -1 to 1 with zeros every half period; many small curves, which meet every part of the image."""
    rows, columns = (np.sin(2 * np.pi / period * (np.arange(side) + 0.5)) for side in size_hw)
    return np.outer(rows, columns)


def foreground_side(inside: BoolArray) -> BoolArray:
    """Of a region and what is left, the side that holds less of the image's border; the darker and brighter have no names."""
    rim = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
    return ~inside if 2 * rim.sum() > rim.size else inside


def edge_indicator(image: Array, sigma: float, edge: float) -> Array:
    """(H, W) float64 g = 1 / (1 + |grad G_sigma * I|^2 / edge^2), near 0 at edges and 1 where the image is flat.

    Args:
        image: (H, W, C), read as grey in 0 to 1.
        sigma: of the blur, in pixels.
        edge: slope at which g is a half, in grey levels (of 255) per pixel.
    """
    from scipy.ndimage import gaussian_filter

    blurred = np.pad(gaussian_filter(as_gray(image).astype(np.float64) * 255, sigma, mode="nearest"), 1, mode="edge")
    dy = (blurred[2:, 1:-1] - blurred[:-2, 1:-1]) / 2
    dx = (blurred[1:-1, 2:] - blurred[1:-1, :-2]) / 2
    indicator: Array = 1 / (1 + (dy**2 + dx**2) / edge**2)
    return indicator
