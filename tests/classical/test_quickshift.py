import numpy as np
import pytest

from intarsia.classical.quickshift import quickshift
from intarsia.core import SettingsError


def halves() -> np.ndarray:
    image = np.zeros((24, 36, 3), np.uint8)
    image[:, :18], image[:, 18:] = (200, 60, 60), (60, 60, 200)
    return image


def test_no_region_crosses_a_strong_edge() -> None:
    ids = quickshift(halves(), sigma=0.0)
    assert not set(np.unique(ids[:, :18])) & set(np.unique(ids[:, 18:]))


def test_a_longer_link_gives_fewer_regions_and_a_huge_one_a_single() -> None:
    image = np.random.default_rng(0).integers(100, 140, (20, 24, 3), np.uint8)
    counts = [len(np.unique(quickshift(image, max_dist=distance))) for distance in (2.0, 6.0, 1000.0)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 1


def test_the_seed_decides_ties() -> None:
    flat = np.full((16, 16, 3), 90, np.uint8)
    assert np.array_equal(quickshift(flat, rng=1), quickshift(flat, rng=1))


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"kernel_size is 0\.5, ratio 0\.5 and max_dist 8\.0"):
        quickshift(halves(), kernel_size=0.5)
