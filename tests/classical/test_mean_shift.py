import numpy as np
import pytest
from skimage.measure import label

from intarsia.classical._pixels import as_lab
from intarsia.classical.mean_shift import _joined, fuse_regions, mean_shift
from intarsia.core import SettingsError


def halves(noise: float = 0.0) -> np.ndarray:
    colors = np.array([[190, 70, 70], [70, 70, 190]])[np.broadcast_to(np.arange(60) >= 25, (40, 60)).astype(int)]
    return (colors + np.random.default_rng(0).normal(0, noise, (40, 60, 3))).clip(0, 255).astype(np.uint8)


def test_two_noisy_colors_are_two_regions() -> None:
    ids = mean_shift(halves(noise=6), color=30.0)
    assert np.array_equal(ids, np.broadcast_to(np.arange(60) >= 25, (40, 60)))


def test_joining_follows_the_distance_of_neighbours() -> None:
    """Values 0, 3, 6, 20: steps of 3 are joined at a distance of 4 although the ends of the chain are 6 apart."""
    colors = np.array([[0.0, 3.0, 6.0, 20.0]])[..., None]
    assert _joined(colors, 4.0).tolist() == [[0, 0, 0, 1]]
    assert _joined(colors, 3.0).tolist() == [[0, 1, 2, 3]]


def test_fusion_takes_the_nearest_pair_first_and_weighs_means_by_size() -> None:
    """Means 0 (3 pixels), 4 (1), 9 (1): 0 and 4 fuse to 1, which is then 8 from 9 and no longer within 6."""
    ids = np.array([[0, 0, 0, 1, 2]])
    colors = np.array([[0.0, 0.0, 0.0, 4.0, 9.0]])[..., None]
    assert fuse_regions(ids, colors, distance=6.0).tolist() == [[0, 0, 0, 0, 1]]
    assert fuse_regions(ids, colors, distance=8.1).tolist() == [[0, 0, 0, 0, 0]]
    assert fuse_regions(ids, colors, distance=3.0).tolist() == [[0, 0, 0, 1, 2]]


def slow_fusion(ids: np.ndarray, colors: np.ndarray, distance: float) -> np.ndarray:
    """Look at all pairs of neighbours again after each join."""
    ids = ids.copy()
    while True:
        means = {k: colors[ids == k].mean(0) for k in np.unique(ids).tolist()}
        touching = {
            (min(p), max(p)) for p in zip(ids[:-1].ravel().tolist(), ids[1:].ravel().tolist(), strict=True) if p[0] != p[1]
        }
        sides = zip(ids[:, :-1].ravel().tolist(), ids[:, 1:].ravel().tolist(), strict=True)
        touching |= {(min(p), max(p)) for p in sides if p[0] != p[1]}
        gaps = sorted((float(np.linalg.norm(means[a] - means[b])), a, b) for a, b in touching)
        if not gaps or gaps[0][0] >= distance:
            return ids
        ids[ids == gaps[0][2]] = gaps[0][1]


def test_fusion_against_the_slow_way() -> None:
    rng = np.random.default_rng(3)
    ids = np.kron(np.arange(20).reshape(4, 5), np.ones((3, 4), np.int64))
    colors = rng.normal(0, 10, (20, 3))[ids] + rng.normal(0, 0.1, (*ids.shape, 3))
    for distance in (5.0, 12.0, 20.0):
        ours, theirs = fuse_regions(ids, colors, distance=distance), slow_fusion(ids, colors, distance)
        assert len(np.unique(np.stack([ours, theirs]).reshape(2, -1), axis=1).T) == len(np.unique(ours)) == len(np.unique(theirs))


def test_regions_are_connected_large_enough_and_apart() -> None:
    image = np.random.default_rng(1).integers(60, 200, (48, 52, 3), np.uint8)
    ids = mean_shift(image, min_size=40)
    assert np.bincount(ids.ravel()).min() >= 40
    assert all(label(ids == number, connectivity=1).max() == 1 for number in np.unique(ids))
    assert mean_shift(image, fuse=1000.0).max() == 0


def test_a_constant_image_and_one_pixel_are_one_region() -> None:
    assert mean_shift(np.full((10, 12, 3), 70, np.uint8)).max() == 0
    assert mean_shift(np.zeros((1, 1, 3), np.uint8)).tolist() == [[0]]
    assert as_lab(halves()).shape == (40, 60, 3)


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"spatial is 0\.0, color 16\.0"):
        mean_shift(halves(), spatial=0.0)
