"""Watershed: the gradient is a landscape flooded from markers, and regions end where floods meet.

Vincent, Soille, "Watersheds in Digital Spaces: An Efficient Algorithm Based on Immersion Simulations", PAMI 1991; compact form
by Neubert, Protzel, "Compact Watershed and Preemptive SLIC", ICPR 2014.

Idea: water rises from the markers; a pixel belongs to the marker whose water comes first over the lowest pass, so borders lie
on ridges of the gradient. Markers are the minima of the gradient that are deeper than `depth`, which keeps noise from making a
region of every dip, or a grid of as many as asked for. With compactness the way from the marker counts too, and regions grow
round.

Source: flooding by priority queue; scikit-image does the work.
Limits: a leak of the gradient joins what it should part; on plateaus the nearer marker wins, ties by the marker's number.
"""

from __future__ import annotations

import numpy as np

from intarsia.classical._pixels import as_unit_range
from intarsia.core import Array, SettingsError

__all__ = ["gradient", "watershed"]

RESULT = "regions"


def watershed(image: Array, *, depth: float = 0.02, markers: int = 0, compactness: float = 0.0, sigma: float = 1.5) -> Array:
    """Cut an image into one region for each marker.

    Args:
        image: (H, W, C), any range of its dtype.
        depth: of the minima of the gradient that become markers, in shares of the range of values per pixel.
        markers: in place of minima, about so many markers on a regular grid, each moved to the lowest gradient next to it.
        compactness: weight of the distance from the marker, in units of the gradient.
        sigma: of the Gaussian whose derivative the gradient is, in pixels.

    Returns:
        (H, W) int32 region numbers from 0, each region connected.

    Raises:
        SettingsError: a negative setting.
    """
    from skimage.segmentation import watershed as flood

    if min(depth, markers, compactness, sigma) < 0:
        raise SettingsError(
            f"depth is {depth}, markers {markers}, compactness {compactness} and sigma {sigma}; none of them can be negative."
        )
    height = gradient(image, sigma)
    seeds = _grid(height, markers) if markers else _minima(height, depth)
    ids = flood(height, seeds, compactness=compactness)
    return np.asarray(ids - 1, np.int32)


def gradient(image: Array, sigma: float = 1.5) -> Array:
    """(H, W) float32 steepest slope over channels, in shares of the range of values per pixel; Gaussian derivatives."""
    from scipy.ndimage import gaussian_filter

    pixels = as_unit_range(image)
    slopes = [
        np.hypot(*(gaussian_filter(pixels[..., c], sigma, order=order, mode="nearest") for order in ((1, 0), (0, 1))))
        for c in range(pixels.shape[2])
    ]
    return np.asarray(np.max(slopes, axis=0), np.float32)


def _minima(height: Array, depth: float) -> Array:
    """Markers 1, 2, ...: the connected minima that are at least `depth` deep. A flat landscape is one."""
    from scipy.ndimage import label
    from skimage.morphology import reconstruction

    filled = reconstruction(
        height + np.float32(depth), height, method="erosion"
    )  # h-minima: dips shallower than depth are filled
    basins = reconstruction(filled + np.float32(1e-6), filled, method="erosion") > filled  # its regional minima
    seeds, count = label(basins, np.ones((3, 3)))
    return np.asarray(seeds if count else np.ones(height.shape), np.int32)


def _grid(height: Array, markers: int) -> Array:
    rows, columns = height.shape
    step = max(1.0, np.sqrt(rows * columns / markers))
    seeds = np.zeros(height.shape, np.int32)
    ys, xs = (np.linspace(0, size, max(1, round(size / step)) + 1) for size in (rows, columns))
    number = 0
    for y in ((ys[1:] + ys[:-1]) / 2).astype(int):
        for x in ((xs[1:] + xs[:-1]) / 2).astype(int):
            top, left = max(0, y - 1), max(0, x - 1)
            dip = height[top : y + 2, left : x + 2]
            dy, dx = np.unravel_index(dip.argmin(), dip.shape)
            if seeds[top + dy, left + dx] == 0:
                number += 1
                seeds[top + dy, left + dx] = number
    return seeds
