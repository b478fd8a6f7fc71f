import numpy as np
import pytest
from scipy.spatial.distance import cdist
from skimage.measure import label

from intarsia.classical.watershed import _grid, gradient, watershed
from intarsia.core import SettingsError


def noise(height: int = 50, width: int = 70) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_flat_areas_meet_at_the_edge() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, 25:] = (180, 90, 60)
    ids = watershed(image)
    assert len(np.unique(ids)) == 2
    assert np.array_equal(ids == ids[0, 0], np.broadcast_to(np.arange(60) < 25, (40, 60)))


def test_a_region_for_each_marker_and_each_connected() -> None:
    ids = watershed(noise(), markers=30)
    assert np.unique(ids).tolist() == list(range(_grid(gradient(noise()), 30).max()))
    assert all(label(ids == number, connectivity=1).max() == 1 for number in np.unique(ids))


def test_deeper_minima_are_fewer() -> None:
    counts = [watershed(noise(), depth=depth).max() for depth in (0.0, 0.01, 0.03, 1.0)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 0


def test_endless_compactness_is_the_voronoi_partition_of_the_markers() -> None:
    image = noise(40, 48)
    seeds = _grid(gradient(image), 12)
    ids = watershed(image, markers=12, compactness=1e6)
    places = np.stack([np.argwhere(seeds == number)[0] for number in range(1, seeds.max() + 1)])
    distance = cdist(np.indices((40, 48)).reshape(2, -1).T, places)
    nearest = np.sort(distance, 1)
    clear = nearest[:, 1] - nearest[:, 0] > 1.5  # away from the borders of the cells, where the flood is not Euclidean
    assert (ids.ravel() == distance.argmin(1))[clear].mean() > 0.99


def test_gradient_of_a_ramp() -> None:
    ramp = (np.arange(64, dtype=np.float32) / 100)[None, :, None].repeat(20, 0)
    assert gradient(ramp)[10, 20:44] == pytest.approx(0.01, abs=1e-5)


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"depth is 0\.02, markers -3"):
        watershed(noise(), markers=-3)
