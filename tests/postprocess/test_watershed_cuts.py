import numpy as np
import pytest
from scipy import ndimage

from intarsia.core import Array, LabelMap, SettingsError
from intarsia.data.targets.energy import energy
from intarsia.postprocess.watershed_cuts import decode_watershed_cuts


def logits_of(level: Array) -> Array:
    """Scores whose best level is this one, with probability near 1."""
    return (20.0 * (np.arange(16)[:, None, None] == level)).astype(np.float32)


def gate_of(label: Array, things: int = 1) -> Array:
    return (np.arange(things + 1)[:, None, None] == label).astype(np.float32)


def discs(*circles: tuple[float, float, float], size: tuple[int, int] = (48, 80)) -> Array:
    """Object numbers of discs (row, column, radius)."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    ids = np.zeros(size, np.int32)
    for number, (row, column, radius) in enumerate(circles, 1):
        ids[np.hypot(rows - row, columns - column) <= radius] = number
    return ids


def decoded(ids: Array, **options: object) -> tuple[Array, Array, Array]:
    """A map of what is found in true levels, classes and scores."""
    masks, class_index, score = decode_watershed_cuts(
        logits_of(energy(LabelMap(ids))), {"gate": gate_of(ids > 0)}, ids.shape, **options
    )
    found = np.zeros(ids.shape, np.int32)
    for index, (where, crop) in enumerate(masks.crops(), 1):
        found[where][crop] = index
    return found, class_index, score


def test_by_hand() -> None:
    level = np.zeros((9, 24), np.int64)
    level[2:7, 2:8], level[2:7, 11:20] = 2, 5
    masks, class_index, score = decode_watershed_cuts(
        logits_of(level), {"gate": gate_of(level > -1)}, (9, 24), cut=1, min_size=30
    )
    # Both grow by one pixel on all sides; a core of 30 pixels is large enough.
    assert masks.boxes_xyxy.tolist() == [[1, 1, 9, 8], [10, 1, 21, 8]]
    assert masks.areas().tolist() == [7 * 8, 7 * 11]
    assert class_index.tolist() == [0, 0]
    assert score == pytest.approx([1, 1], abs=1e-6)
    higher = decode_watershed_cuts(logits_of(level), {"gate": gate_of(level > -1)}, (9, 24), cut=2)
    assert higher[0].boxes_xyxy.tolist() == [[9, 0, 22, 9]]  # the first is not above; the second grows by two


@pytest.mark.parametrize("cut", [1, 2])
def test_discs_that_touch_are_parted(cut: int) -> None:
    ids = discs((24, 20, 14), (24, 48, 14), (10, 70, 8))
    found, _, _ = decoded(ids, cut=cut, grow=cut + 1, inside=True)
    assert found.max() == 3
    for number in (1, 2, 3):
        own = found == np.bincount(found[ids == number])[1:].argmax() + 1
        assert (own & (ids == number)).sum() / (own | (ids == number)).sum() > 0.95


def test_growth_equals_dilating_each_core_and_meets_in_the_middle() -> None:
    ids = discs((24, 20, 12), (20, 60, 9))
    found, _, _ = decoded(ids, cut=2)
    cores, _ = ndimage.label(energy(LabelMap(ids)) > 2, np.ones((3, 3)))
    expected = ndimage.grey_dilation(cores, (5, 5))
    assert np.array_equal(found, expected)
    level = np.zeros((6, 21), np.int64)
    level[:, :8], level[:, 11:] = 3, 3
    met, _, _ = decode_watershed_cuts(logits_of(level), {"gate": gate_of(level > -1)}, (6, 21), grow=9)
    assert met.boxes_xyxy[:, [0, 2]].tolist() in ([[0, 9], [9, 21]], [[0, 10], [10, 21]])


def test_lengths_are_in_pixels_of_the_network() -> None:
    ids = discs((24, 20, 12), (20, 60, 9))
    large = np.kron(ids, np.ones((2, 2), int))
    small, _, _ = decoded(ids, cut=1, min_size=100)
    masks, _, _ = decode_watershed_cuts(
        np.kron(logits_of(energy(LabelMap(ids))), np.ones((1, 2, 2))),
        {"gate": gate_of(large > 0)},
        large.shape,
        scale_yx=(2, 2),
        min_size=100,
    )
    assert masks.areas().tolist() == (4 * np.bincount(small.ravel())[1:]).tolist()


def test_each_class_has_its_cut_and_its_least_size() -> None:
    level = np.zeros((12, 40), np.int64)
    level[2:10, 2:10], level[2:10, 14:22], level[2:6, 26:30] = 2, 2, 4
    label = np.zeros((12, 40), np.int64)
    label[:, :12], label[:, 12:24], label[:, 24:] = 1, 2, 2
    masks, class_index, _ = decode_watershed_cuts(
        logits_of(level), {"gate": gate_of(label, 2)}, (12, 40), cut=(1, 2), min_size=(20, 16)
    )
    assert class_index.tolist() == [0, 1]
    assert masks.boxes_xyxy.tolist() == [[1, 1, 11, 11], [24, 0, 32, 8]]


def test_small_holes_are_filled_and_large_ones_are_not() -> None:
    level = np.full((30, 30), 4, np.int64)
    level[5:8, 5:8], level[15:25, 15:25] = 0, 0
    masks, _, _ = decode_watershed_cuts(logits_of(level), {"gate": gate_of(level > -1)}, (30, 30), cut=0)
    assert masks.areas().tolist() == [900 - 100]


@pytest.mark.parametrize("size", [(1, 1), (5, 7)])
def test_nothing_there(size: tuple[int, int]) -> None:
    for label in (0, 1):
        level = np.full(size, 9 if label == 0 else 0)
        masks, class_index, score = decode_watershed_cuts(logits_of(level), {"gate": gate_of(np.full(size, label))}, size)
        assert (len(masks), class_index.shape, score.shape, masks.size_hw) == (0, (0,), (0,), size)


def test_errors() -> None:
    logits, parts = np.zeros((16, 4, 4), np.float32), {"gate": np.zeros((3, 4, 4), np.float32)}
    with pytest.raises(SettingsError, match=r"cut is 15, .* cuts are levels from 0 to 14"):
        decode_watershed_cuts(logits, parts, (4, 4), cut=15)
    with pytest.raises(SettingsError, match=r"min_size is \(1, 2, 3\); one number, or one for each of the 2"):
        decode_watershed_cuts(logits, parts, (4, 4), min_size=(1, 2, 3))
