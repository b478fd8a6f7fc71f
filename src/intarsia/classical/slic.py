"""SLIC superpixels: k-means in colour and position, each centre looking only around itself.

Achanta, Shaji, Smith, Lucchi, Fua, Süsstrunk, "SLIC superpixels compared to state-of-the-art superpixel methods", PAMI 2012.

Idea: start the centres of k-means on a grid of step S = sqrt(pixels / segments), compare a pixel only with the centres within S
of it, and measure distance as colour^2 + (compactness / S)^2 position^2. The result is as many small, compact, boundary-keeping
regions as asked for, about.

Source: section 3; scikit-image does the work. Limits: the number of regions is a wish (fewer come out where small ones are joined
to their neighbours); ties go to the centre that comes first.
"""

from __future__ import annotations

import numpy as np

from intarsia.classical._pixels import as_unit_range
from intarsia.core import Array, SettingsError

__all__ = ["slic"]

RESULT = "regions"


def slic(image: Array, *, segments: int = 250, compactness: float = 10.0, iterations: int = 10, sigma: float = 0.0) -> Array:
    """Cut an image into about `segments` superpixels.

    Args:
        image: (H, W, C), any range of its dtype; three channels are colour and are compared in CIELAB.
        segments: how many are wished for.
        compactness: weight of position against colour; larger gives squarer regions. In units of L*, so 10 is usual.
        iterations: of k-means.
        sigma: blur before, in pixels.

    Returns:
        (H, W) int32 region numbers from 0, each region connected.

    Raises:
        SettingsError: a setting that is not larger than 0.
    """
    from skimage.segmentation import slic as segment

    if segments < 1 or compactness <= 0 or iterations < 1 or sigma < 0:
        raise SettingsError(
            f"segments is {segments}, compactness {compactness}, iterations {iterations} and sigma {sigma}; all are larger than "
            "0, and sigma may be 0."
        )
    pixels = as_unit_range(image)
    if pixels.shape[2] != 3:
        compactness = compactness / 100  # grey has the range 1, where L* has 100
    ids = segment(
        pixels,
        n_segments=segments,
        compactness=compactness,
        max_num_iter=iterations,
        sigma=sigma,
        convert2lab=pixels.shape[2] == 3,
        start_label=0,
        channel_axis=2,
    )
    return np.asarray(ids, np.int32)
