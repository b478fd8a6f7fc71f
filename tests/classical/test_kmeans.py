import numpy as np
import pytest
from sklearn.cluster import KMeans

from intarsia.classical._pixels import as_features
from intarsia.classical.kmeans import kmeans, largest_first
from intarsia.core import SettingsError


def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Three colours in stripes of 10, 20 and 30 columns, with noise far smaller than their distance."""
    stripes = np.repeat([0, 1, 2], [10, 20, 30])[None].repeat(20, 0)
    colors = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]])
    noise = np.random.default_rng(0).normal(0, 3, (20, 60, 3))
    return (colors[stripes] + noise).clip(0, 255).astype(np.uint8), 2 - stripes


def test_separated_colors_are_parted_exactly_largest_first() -> None:
    image, expected = blobs()
    assert np.array_equal(kmeans(image, clusters=3, position=0.0), expected)


def test_one_cluster_is_everything_and_numbers_follow_the_counts() -> None:
    image, _ = blobs()
    assert not kmeans(image, clusters=1).any()
    assert largest_first(np.array([7, 7, 3, 9, 9, 9])).tolist() == [1, 1, 2, 0, 0, 0]


def test_the_partition_is_a_fixed_point_and_no_worse_than_one_start() -> None:
    image = np.random.default_rng(1).integers(0, 256, (24, 24, 3), np.uint8)
    features, labels = as_features(image, 0.2), kmeans(image, clusters=5).ravel()
    means = np.stack([features[labels == k].mean(0) for k in range(5)])
    distance = ((features[:, None] - means) ** 2).sum(2)
    assert np.array_equal(distance.argmin(1), labels)
    single = KMeans(5, n_init=1, random_state=0).fit(features)
    assert distance.min(1).sum() <= single.inertia_ * (1 + 1e-9)


def test_position_makes_clusters_compact() -> None:
    checks = np.indices((40, 40)).sum(0) % 2 * 40 + 100
    image = checks.astype(np.uint8)[..., None].repeat(3, 2)
    near = kmeans(image, clusters=4, position=20.0)
    assert all(np.ptp(np.argwhere(near == k), axis=0).max() < 35 for k in range(4))


def test_errors() -> None:
    with pytest.raises(SettingsError, match="clusters is 5; from 1 up to the 4 pixels"):
        kmeans(np.zeros((2, 2, 3), np.uint8), clusters=5)
