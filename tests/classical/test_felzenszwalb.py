import numpy as np
import pytest
from skimage.measure import label

from intarsia.classical.felzenszwalb import felzenszwalb
from intarsia.core import SettingsError


def test_flat_areas_a_slope_and_an_edge() -> None:
    """The left half is flat, the right a gentle slope: the edge between them is the only border."""
    image = np.zeros((40, 80, 1), np.uint8)
    image[:, :40] = 20
    image[:, 40:] = (np.arange(40) + 160)[None, :, None]
    ids = felzenszwalb(image, scale=100.0, sigma=0.0, min_size=5)
    assert np.array_equal(ids, (ids[0, 40] * (np.arange(80) >= 40) + ids[0, 0] * (np.arange(80) < 40))[None].repeat(40, 0))
    assert ids[0, 0] != ids[0, 40]


def test_regions_are_connected_and_not_smaller_than_asked() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    ids = felzenszwalb(image, scale=50.0, min_size=30)
    assert np.bincount(ids.ravel()).min() >= 30
    assert all(label(ids == number, connectivity=2).max() == 1 for number in np.unique(ids))


def test_a_larger_scale_joins_more() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    counts = [felzenszwalb(image, scale=scale, min_size=1).max() for scale in (5.0, 50.0, 5000.0)]
    assert counts == sorted(counts, reverse=True)


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"scale is -1.0, sigma 0.8 and min_size 50"):
        felzenszwalb(np.zeros((4, 4, 3), np.uint8), scale=-1.0)
