import numpy as np
import pytest

from intarsia.core import LabelMap
from intarsia.data.targets import make_targets
from intarsia.data.targets.size_weights import size_weights


def test_by_hand() -> None:
    ids = np.zeros((20, 40), np.int32)
    ids[:20, :20] = 5  # 400 pixels
    ids[0, 30:33] = 7  # 3 pixels weigh as those of an object of 100
    weights = make_targets(["size_weights"], LabelMap(ids))["size_weights"]
    assert weights.dtype == np.float32
    assert weights[0, [0, 30, 25]].tolist() == [10, 20, 0]
    assert size_weights(LabelMap(ids), min_size=1)[0, 31] == pytest.approx(200 / np.sqrt(3))


def test_an_object_weighs_as_its_diameter() -> None:
    ids = np.zeros((100, 100), np.int32)
    ids[:20, :20], ids[40:80, 40:80] = 1, 2
    weights = size_weights(LabelMap(ids))
    assert weights[ids == 2].sum() == pytest.approx(2 * weights[ids == 1].sum())


@pytest.mark.parametrize("shape", [(0, 3), (1, 1)])
def test_without_objects(shape: tuple[int, int]) -> None:
    assert np.array_equal(size_weights(LabelMap(np.zeros(shape, np.int32))), np.zeros(shape))
