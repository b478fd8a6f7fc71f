import numpy as np
import pytest

from intarsia.classical._relations import ABOVE, AROUND, BELOW, INSIDE, UNRELATED, relations


def scene() -> np.ndarray:
    """0 sky, 1 grass, 2 a ball in the grass, 3 a wall on the right from top to bottom."""
    ids = np.zeros((20, 30), np.int32)
    ids[10:] = 1
    ids[13:17, 5:9] = 2
    ids[:, 20:] = 3
    return ids


def test_a_scene_by_hand() -> None:
    expected = np.full((4, 4), UNRELATED)
    expected[0, 1], expected[1, 0] = ABOVE, BELOW
    expected[0, 2], expected[2, 0] = ABOVE, BELOW
    expected[2, 1], expected[1, 2] = INSIDE, AROUND
    assert np.array_equal(relations(scene()), expected)
    assert relations(np.zeros((3, 3), np.int32)).tolist() == [[UNRELATED]]


@pytest.mark.parametrize("seed", range(3))
def test_each_relation_is_the_other_seen_from_the_other_side(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = np.kron(rng.permutation(24).reshape(4, 6), np.ones((5, 5), int))
    for _ in range(6):
        y, x = rng.integers(0, 20, 2)
        ids[y : y + rng.integers(3, 12), x : x + rng.integers(3, 12)] = rng.integers(0, 24)
    ids = np.unique(ids, return_inverse=True)[1].reshape(ids.shape)
    found = relations(ids)
    assert np.array_equal(found == ABOVE, (found == BELOW).T)
    assert np.array_equal(found == INSIDE, (found == AROUND).T)
    assert not found.diagonal().any()
    flipped = relations(ids[::-1])
    assert np.array_equal(flipped == ABOVE, found == BELOW)
    assert np.array_equal(flipped == INSIDE, found == INSIDE)
    assert np.array_equal(relations(ids[:, ::-1]), found)
