import numpy as np
import pytest
from scipy import ndimage

from intarsia.core import SettingsError
from intarsia.postprocess.border_watershed import decode_border_watershed


def scores(objects: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """Logits +-2 from masks (T, H, W) and (H, W)."""
    return np.where(np.concatenate([objects, borders[None]]), 2.0, -2.0).astype(np.float32)


def blocks() -> tuple[np.ndarray, np.ndarray]:
    """Two squares that touch at the column 8, and one alone."""
    objects, borders = np.zeros((1, 12, 30), np.bool_), np.zeros((12, 30), np.bool_)
    objects[0, 2:10, 1:15] = objects[0, 2:10, 20:28] = True
    borders[:, 7:9] = True
    return objects, borders


def test_by_hand() -> None:
    masks, class_index, score = decode_border_watershed(scores(*blocks()), {}, (12, 30))
    assert sorted(map(tuple, masks.boxes_xyxy.tolist())) == [(1, 2, 8, 10), (8, 2, 15, 10), (20, 2, 28, 10)]
    assert masks.areas().sum() == 8 * 14 + 8 * 8  # the border is given back to the two
    assert class_index.tolist() == [0, 0, 0]
    assert score == pytest.approx([1 / (1 + np.exp(-2))] * 3)


def test_equals_growing_by_layers() -> None:
    """Flooding at one speed gives each pixel to an island at the smallest number of steps (8 neighbours) within the mask."""
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.standard_normal((2, 40, 50)), (0, 3, 3)).astype(np.float32)
    logits = 60 * smooth
    masks, _, _ = decode_border_watershed(logits, {}, (40, 50), min_size=0)
    prob = 1 / (1 + np.exp(-logits.astype(np.float64)))
    mask = prob[0] > 0.5
    islands, count = ndimage.label(prob[0] * (1 - prob[1]) > 0.5)
    assert len(masks) == count > 2
    steps = np.stack([layers(islands == number, mask) for number in range(1, count + 1)])
    for index in range(count):
        found = masks.mask(index)
        assert found[islands == index + 1].all()
        assert (steps[index][found] == steps.min(0)[found]).all()
    assert sum(masks.mask(index) for index in range(count)).max() == 1


def layers(seed: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Steps within the mask from the seed, infinite where it cannot be reached."""
    steps = np.where(seed, 0.0, np.inf)
    for step in range(1, mask.size):
        grown = ndimage.binary_dilation(steps < np.inf, np.ones((3, 3))) & mask & (steps == np.inf)
        if not grown.any():
            break
        steps[grown] = step
    return steps


def test_classes_are_cut_each_by_itself() -> None:
    objects, borders = blocks()
    objects = np.concatenate([objects, np.zeros_like(objects)])
    objects[1, :, 20:] = objects[0, :, 20:]
    objects[0, :, 20:] = False
    masks, class_index, _ = decode_border_watershed(scores(objects, borders), {}, (12, 30))
    assert sorted(zip(class_index.tolist(), masks.boxes_xyxy[:, 0].tolist(), strict=True)) == [(0, 1), (0, 8), (1, 20)]


def test_no_seed_and_few_pixels() -> None:
    objects, borders = blocks()
    borders[:, 20:] = True
    assert len(decode_border_watershed(scores(objects, borders), {}, (12, 30))[0]) == 2
    kept, _, _ = decode_border_watershed(scores(objects, borders), {}, (12, 30), keep_seedless=True)
    assert sorted(kept.areas().tolist()) == [56, 56, 64]
    assert len(decode_border_watershed(scores(objects, borders), {}, (12, 30), min_size=57)[0]) == 0


def test_the_score_leads_the_flood_to_the_middle_of_the_border() -> None:
    logits = np.full((2, 9, 31), 4.0, np.float32)
    logits[1] = (
        6 - np.abs(np.arange(31) - 20) * 1.5
    )  # a border around the column 20, in the wider part of which nothing is a seed
    masks, _, _ = decode_border_watershed(logits, {}, (9, 31), flood="score")
    assert sorted(masks.boxes_xyxy[:, 2].tolist()) in ([20, 31], [21, 31])


@pytest.mark.parametrize("size", [(1, 1), (5, 7)])
def test_nothing_there(size: tuple[int, int]) -> None:
    for value in (-9.0, 9.0):  # no object; all border
        masks, class_index, score = decode_border_watershed(
            np.full((3, *size), value, np.float32), {}, size, keep_seedless=value < 0
        )
        assert (len(masks), class_index.shape, score.shape, masks.size_hw) == (0, (0,), (0,), size)


def test_errors() -> None:
    logits = np.zeros((2, 4, 4), np.float32)
    with pytest.raises(SettingsError, match=r"threshold is 1, seed_threshold 0\.5"):
        decode_border_watershed(logits, {}, (4, 4), threshold=1)
    with pytest.raises(SettingsError, match="flood 'deep'"):
        decode_border_watershed(logits, {}, (4, 4), flood="deep")  # type: ignore[arg-type]
