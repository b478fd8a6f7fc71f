"""Quick shift: every pixel is linked to the nearest one of higher density, and long links are cut.

Vedaldi, Soatto, "Quick Shift and Kernel Methods for Mode Seeking", ECCV 2008.

Idea: the density of pixels in colour and position is estimated with a Gaussian kernel. Linking each pixel to its nearest
neighbour of higher density gives a tree whose root is the highest mode; links longer than a distance are cut, and each tree
that remains is a region. It seeks modes as mean shift does, without iterating.

Source: sections 2 and 5; scikit-image does the work.
Limits: cost grows with the square of the kernel; ties in density are broken by noise that `rng` seeds, so it has a part in the
result on flat areas.
"""

from __future__ import annotations

import numpy as np

from intarsia.classical._pixels import as_unit_range
from intarsia.core import Array, SettingsError

__all__ = ["quickshift"]

RESULT = "regions"


def quickshift(
    image: Array, *, kernel_size: float = 3.0, max_dist: float = 8.0, ratio: float = 0.5, sigma: float = 1.0, rng: int = 0
) -> Array:
    """Cut an image into regions.

    Args:
        image: (H, W, C), any range of its dtype; three channels are colour and are compared in CIELAB.
        kernel_size: standard deviation of the density estimate, in pixels.
        max_dist: longest link, in pixels and colour together; larger gives fewer regions.
        ratio: weight of colour against position, in (0, 1].
        sigma: blur before, in pixels.
        rng: seed of the noise that breaks ties.

    Returns:
        (H, W) int32 region numbers from 0.

    Raises:
        SettingsError: a kernel below 1, or a ratio outside (0, 1].
    """
    from skimage.segmentation import quickshift as segment

    if kernel_size < 1 or not 0 < ratio <= 1 or max_dist <= 0:
        raise SettingsError(
            f"kernel_size is {kernel_size}, ratio {ratio} and max_dist {max_dist}; a kernel of 1 or more, a ratio in "
            "(0, 1] and a distance above 0 fit."
        )
    pixels = as_unit_range(image)
    lab = pixels.shape[2] == 3
    ids = segment(
        pixels if lab else pixels * 100,  # grey on the scale of L*
        ratio=ratio,
        kernel_size=kernel_size,
        max_dist=max_dist,
        sigma=sigma,
        convert2lab=lab,
        rng=rng,
        channel_axis=2,
    )
    return np.asarray(ids, np.int32)
