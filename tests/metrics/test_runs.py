import numpy as np
import pytest

from intarsia.metrics._runs import LANES, TILE, list_runs

SIZE = 3 * TILE + 464


def listed(one: np.ndarray, other: np.ndarray, start: int, pixels: int, most: int = TILE) -> list[int]:
    ends = np.full(TILE + LANES, 9999, np.uint32)
    return ends[: list_runs(one, other, start, pixels, most, ends)].tolist()


def slow(one: np.ndarray, other: np.ndarray, start: int, pixels: int) -> list[int]:
    pairs = list(zip(one.tolist(), other.tolist(), strict=True))[start : start + pixels]
    return [k for k in range(pixels) if k + 1 == pixels or pairs[k] != pairs[k + 1]]


def test_by_hand() -> None:
    one, other = np.zeros(200, np.uint8), np.zeros(200, np.uint8)
    one[3:70], other[10:130] = 5, 7
    assert listed(one, other, 0, 192) == [2, 9, 69, 129, 191]
    assert listed(one, other, 64, 128) == [5, 65, 127]


@pytest.mark.parametrize("dtypes", [(np.uint8, np.uint8), (np.uint16, np.int32), (np.int64, np.uint8)])
@pytest.mark.parametrize("longest", [1, 3, 40, 700])
def test_against_a_slow_loop(dtypes: tuple[type, type], longest: int) -> None:
    rng = np.random.default_rng(longest)
    # Ids that differ in their highest byte only, too: none may be lost in a narrower comparison.
    one, other = (
        rng.integers(0, 3, SIZE).repeat(rng.integers(1, longest + 1, SIZE))[:SIZE].astype(dtype)
        << (8 * (np.dtype(dtype).itemsize - 1))
        for dtype in dtypes
    )
    for start, pixels in ((0, TILE), (2 * TILE, TILE), (3 * TILE, 464), (SIZE - 1, 1), (SIZE - 64, 64), (7, 65), (1, TILE - 1)):
        expected = slow(one, other, start, pixels)
        blocks = min(pixels, SIZE - 1 - start) // LANES * LANES
        found = listed(one, other, start, pixels)
        assert [end for end in found if end < blocks - 1] == [end for end in expected if end < blocks - 1]
        assert found[-1] == pixels - 1
        assert set(expected) <= set(found)
        assert set(found) - set(expected) <= set(range(blocks, pixels)), "pixels of the rest may be listed one by one"


def test_it_gives_up_where_there_are_no_runs() -> None:
    noise = np.arange(TILE + 1, dtype=np.uint8)
    still = np.zeros(TILE + 1, np.uint8)
    assert listed(noise, still, 0, TILE, most=TILE // 10) == []
    assert listed(still, noise, 0, TILE, most=TILE - 1) == []
    assert listed(still, noise, 0, TILE) == list(range(TILE))
    assert listed(still, still, 0, TILE, most=0) == [TILE - 1]
