"""Graph-based regions: neighbours are joined, cheapest edge first, while the edge is no stranger than either side inside.

Felzenszwalb, Huttenlocher, "Efficient Graph-Based Image Segmentation", IJCV 2004.

Idea: the pixels are a graph whose edges weigh the difference of colours. In the order of Kruskal's spanning tree, an edge joins
two regions if it weighs no more than the largest edge in either of them plus scale / size: a region must show more evidence of
a border the smaller it is. Smooth slopes stay one region, and textures do if they are textured throughout.

Source: section 3; scikit-image does the work.
Limits: region sizes differ widely; `scale` sets the size that is preferred, not a number of regions.
"""

from __future__ import annotations

import numpy as np

from intarsia.classical._pixels import as_unit_range
from intarsia.core import Array, SettingsError

__all__ = ["felzenszwalb"]

RESULT = "regions"


def felzenszwalb(image: Array, *, scale: float = 200.0, sigma: float = 0.8, min_size: int = 50) -> Array:
    """Cut an image into regions.

    Args:
        image: (H, W, C), any range of its dtype.
        scale: preference for large regions, the k of the paper: colour differences count in units of 1/255.
        sigma: blur before, in pixels.
        min_size: regions of fewer pixels are joined to their nearest neighbour.

    Returns:
        (H, W) int32 region numbers from 0.

    Raises:
        SettingsError: a negative setting.
    """
    from skimage.segmentation import felzenszwalb as segment

    if min(scale, sigma, min_size) < 0:
        raise SettingsError(f"scale is {scale}, sigma {sigma} and min_size {min_size}; none of them can be negative.")
    return np.asarray(segment(as_unit_range(image), scale=scale, sigma=sigma, min_size=min_size, channel_axis=2), np.int32)
