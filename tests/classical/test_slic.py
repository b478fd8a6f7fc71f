import numpy as np
import pytest
from skimage.measure import label

from intarsia.classical.slic import slic
from intarsia.core import SettingsError


def test_a_constant_image_becomes_a_grid() -> None:
    ids = slic(np.full((60, 60, 3), 128, np.uint8), segments=9)
    assert len(np.unique(ids)) == 9
    assert np.bincount(ids.ravel()).min() >= 300
    assert all((ids[20 * i + 10, 20 * j + 10] != ids[20 * k + 10, 10]) for i in range(3) for j in (1, 2) for k in range(3))


def test_every_region_is_connected_and_numbered_from_zero() -> None:
    ids = slic(np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8), segments=40)
    numbers = np.unique(ids)
    assert numbers.tolist() == list(range(len(numbers)))
    assert all(label(ids == number, connectivity=1).max() == 1 for number in numbers)


def test_channels_of_a_grey_image_may_be_permuted_and_an_edge_is_kept() -> None:
    gray = np.tile(np.where(np.arange(64) < 29, 60, 190).astype(np.uint8)[None, :, None], (48, 1, 3))
    ids = slic(gray, segments=24)
    assert np.array_equal(ids, slic(gray[..., ::-1], segments=24))
    assert not set(np.unique(ids[:, :29])) & set(np.unique(ids[:, 29:])), "no region crosses the edge"


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"segments is 0, compactness 10\.0"):
        slic(np.zeros((8, 8, 3), np.uint8), segments=0)
