"""Threshold and watershed: what is brighter or darker than its surroundings, cut where two objects touch.

Otsu, "A Threshold Selection Method from Gray-Level Histograms", IEEE Transactions on Systems, Man, and Cybernetics 1979;
splitting by the distance transform as in Vincent, Soille, PAMI 1991.

Idea: a threshold parts objects from the background; the distance of each object pixel to the background has a peak in the middle
of each round object, also where several touch, so that flooding the distance from its peaks cuts them at their necks. Then each
object gets a threshold of its own, a share of its own height over the background, so that dim ones beside bright ones keep their
size.

Source: the usual chain of nucleus segmentation; the parts are SciPy's and scikit-image's.
Limits: objects that are much brighter in the middle, or not convex, are cut wrongly; the objects are taken to cover less than
half of the image, which decides whether they are the bright or the dark side.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from intarsia.classical._pixels import as_gray
from intarsia.core import Array, BoolArray, SettingsError

__all__ = ["split_touching", "threshold_watershed"]

RESULT = "objects"


def threshold_watershed(
    image: Array,
    *,
    threshold: Literal["otsu", "local"] = "otsu",
    objects: Literal["auto", "bright", "dark"] = "auto",
    sigma: float = 0.5,
    window: int = 101,
    level: float = 0.6,
    own_level: float = 0.45,
    surroundings: float = 15.0,
    depth: float = 1.0,
    min_size: int = 30,
) -> Array:
    """Find the objects of an image. The defaults do well on microscopy of nuclei; see `benchmarks/nuclei_classical.py`.

    Args:
        image: (H, W, C), any range of its dtype; colour is read as luma, from its darkest to its brightest half percent.
        threshold: "otsu", one for the image, over its median below; or "local", the mean of a window around each pixel and the
            deviation from it.
        objects: whether objects are bright or dark; "auto": the side of Otsu's threshold with fewer pixels.
        sigma: blur before, in pixels.
        window: of the local mean, in pixels.
        level: where objects begin, as a share of the way from the background to the threshold.
        own_level: and then of the way from the background around it to the upper quartile of each object; 0 leaves it as it is.
        surroundings: how far around an object its background is looked for, the sigma of a Gaussian in pixels.
        depth: by how many pixels a peak of the distance must stand out to be an object of its own.
        min_size: objects of fewer pixels are dropped.

    Returns:
        (H, W) int32 object numbers, 0 where there is none.

    Raises:
        SettingsError: a negative blur, depth or size, or a window below 3.
    """
    from scipy.ndimage import binary_fill_holes, gaussian_filter, uniform_filter
    from skimage.filters import threshold_otsu

    if min(sigma, depth, min_size, surroundings) < 0 or window < 3:
        raise SettingsError(
            f"sigma is {sigma}, depth {depth}, min_size {min_size}, surroundings {surroundings} and window {window}; none of "
            "them can be negative, and the window is 3 pixels or more."
        )
    gray = gaussian_filter(as_gray(image), sigma, mode="nearest")
    low, high = np.percentile(gray, (0.5, 99.5))
    if high - low < 1e-6:
        return np.zeros(gray.shape, np.int32)
    gray = ((gray - low) / (high - low)).clip(0, 1)
    if objects == "dark" or (objects == "auto" and (gray > threshold_otsu(gray)).mean() > 0.5):
        gray = 1 - gray
    if threshold == "otsu":
        limit = threshold_otsu(gray)
        background = np.full_like(gray, np.median(gray[gray <= limit]))
    else:
        background = uniform_filter(gray, window, mode="reflect")
        limit = background + (gray - background).std()
    ids = split_touching(binary_fill_holes(gray > background + level * (limit - background)), depth=depth, min_size=min_size)
    if own_level:
        background = _background(gray, ids == 0, surroundings, background)
        mask = gray > background + own_level * (_heights(gray, ids) - background)
        ids = split_touching(binary_fill_holes(mask & (ids > 0)), depth=depth, min_size=min_size)
    return ids


def _background(gray: Array, outside: BoolArray, sigma: float, otherwise: Array) -> Array:
    """(H, W) the mean of the pixels outside all objects, weighted by a Gaussian; `otherwise` where there are none near."""
    from scipy.ndimage import gaussian_filter

    near = gaussian_filter(outside.astype(np.float32), sigma)
    total = gaussian_filter(np.where(outside, gray, 0), sigma)
    return np.where(near > 1e-3, total / np.maximum(near, 1e-3), otherwise)


def _heights(gray: Array, ids: Array) -> Array:
    """(H, W) the upper quartile of the values of the object that each pixel belongs to."""
    order = np.argsort(ids.ravel(), kind="stable")
    parts = np.split(gray.ravel()[order], np.cumsum(np.bincount(ids.ravel()))[:-1])
    return np.array([np.quantile(part, 0.75) if len(part) else 0.0 for part in parts])[ids]


def split_touching(mask: BoolArray, *, depth: float = 1.0, min_size: int = 0) -> Array:
    """Cut a mask where round parts of it touch: watershed of the distance to the background.

    Args:
        mask: (H, W) bool.
        depth: by how many pixels a peak of the distance must stand out to be a part of its own.
        min_size: parts of fewer pixels are dropped.

    Returns:
        (H, W) int32 part numbers from 1 without gaps, 0 outside the mask.
    """
    from scipy.ndimage import distance_transform_edt, label
    from skimage.morphology import reconstruction
    from skimage.segmentation import relabel_sequential, watershed

    distance = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]  # outside the image is background, so that its border counts
    lowered = reconstruction(distance - depth, distance) if depth else distance
    peaks = (lowered - reconstruction(lowered - 1e-3, lowered) > 0) & mask
    markers, _ = label(peaks, np.ones((3, 3)))
    ids = watershed(-distance, markers, mask=mask)
    sizes = np.bincount(ids.ravel())
    small = sizes < min_size
    return np.asarray(relabel_sequential(np.where(small[ids], 0, ids))[0], np.int32)
