import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intarsia.postprocess.paste_masks import decode_paste_masks, paste_mask


def full(corner, crop, size_hw):
    picture = np.zeros(size_hw, np.bool_)
    (y, x), (h, w) = corner, crop.shape
    picture[y : y + h, x : x + w] = crop
    return picture


def test_a_grid_of_ones_fills_the_pixels_whose_centres_lie_in_the_box():
    corner, crop = paste_mask(np.ones((28, 28)), np.array([2.5, 1.4, 7.49, 4.51]), (6, 10))
    assert corner == (1, 2)
    assert crop.tolist() == [[True] * 5] * 4, "centres 2.5 ... 6.5 across, 1.5 ... 4.5 down"


def test_the_border_between_two_cells_is_half_way():
    """Columns 0 and 8 wide cells: 1 left, 0 right; the interpolated value falls below 0.5 in the middle of the box."""
    _, crop = paste_mask(np.array([[1.0, 0.0]]), np.array([0.0, 0, 16, 1]), (1, 16))
    assert crop[0].tolist() == [True] * 8 + [False] * 8


def slow_paste(grid, box, size_hw, threshold):
    """Every pixel of the image for itself, by the four cells around its centre."""
    x0, y0, x1, y1 = box
    rows, columns = grid.shape
    picture = np.zeros(size_hw, np.bool_)
    for y in range(size_hw[0]):
        for x in range(size_hw[1]):
            if not (x0 <= x + 0.5 <= x1 and y0 <= y + 0.5 <= y1):
                continue
            u = min(max((x + 0.5 - x0) / (x1 - x0) * columns - 0.5, 0), columns - 1)
            v = min(max((y + 0.5 - y0) / (y1 - y0) * rows - 0.5, 0), rows - 1)
            value = 0.0
            for j in (int(np.floor(v)), int(np.floor(v)) + 1):
                for i in (int(np.floor(u)), int(np.floor(u)) + 1):
                    if 0 <= j < rows and 0 <= i < columns:
                        value += grid[j, i] * (1 - abs(v - j)) * (1 - abs(u - i))
            picture[y, x] = value >= threshold
    return picture


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31))
def test_it_agrees_with_a_slow_loop(seed):
    rng = np.random.default_rng(seed)
    grid = rng.random(rng.integers(1, 6, 2))
    size = tuple(rng.integers(1, 14, 2).tolist())
    box = rng.uniform(-6, 18, 4)
    corner, crop = paste_mask(grid, box, size, threshold=0.45)
    assert np.array_equal(full(corner, crop, size), slow_paste(grid, box, size, 0.45))


def detections(boxes, scores, m=5, logit=8.0):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return {
        "boxes_xyxy": boxes,
        "class_index": np.arange(len(boxes)),
        "score": np.array(scores, np.float32),
        "mask_logits": np.full((len(boxes), m, m), logit, np.float32),
    }


def test_boxes_are_enlarged_before_grids():
    """A disc found at a sixteenth of the size is round at full size, and not a staircase of its grid."""
    y, x = np.mgrid[:28, :28]
    disc = detections([[1, 1, 7, 7]], [0.9], 28)
    disc["mask_logits"][0] = np.clip(3 * (13.5 - np.hypot(y - 13.5, x - 13.5)), -9, 9)
    masks, _, _ = decode_paste_masks(np.zeros(0), disc, (8, 8), scale_yx=(16.0, 16.0))
    assert masks.size_hw == (128, 128)
    assert masks.boxes_xyxy[0].tolist() == pytest.approx([18, 18, 110, 110], abs=2)
    assert masks.areas()[0] == pytest.approx(np.pi * (13.5 * 96 / 28) ** 2, rel=0.01)


def test_order_limits_and_what_covers_no_pixel():
    found = detections([[0, 0, 4, 4], [4, 0, 8, 4], [0, 4, 4, 8], [30, 30, 40, 40], [2, 2, 2, 5]], [0.3, 0.9, 0.3, 0.8, 0.7])
    masks, class_index, score = decode_paste_masks(np.zeros(0), found, (8, 8))
    assert class_index.tolist() == [1, 0, 2], "best first, of equal ones the earlier; two lie nowhere"
    assert score.tolist() == pytest.approx([0.9, 0.3, 0.3])
    assert masks.areas().tolist() == [16, 16, 16]
    assert decode_paste_masks(np.zeros(0), found, (8, 8), max_objects=1)[1].tolist() == [1]
    assert decode_paste_masks(np.zeros(0), found, (8, 8), min_score=0.5)[1].tolist() == [1]
    masks, class_index, score = decode_paste_masks(np.zeros(0), detections([], []), (8, 8))
    assert (len(masks), len(class_index), len(score), masks.size_hw) == (0, 0, 0, (8, 8))
    assert score.dtype == np.float32


def test_a_thousand_objects_of_a_large_image_take_little_memory():
    """A thousand full-size masks of 2000 x 2000 would be 4 GB."""
    y, x = np.divmod(np.arange(1000), 40)
    many = detections(np.stack([50 * x, 80 * y, 50 * x + 45, 80 * y + 70], 1), np.linspace(1, 0.1, 1000), 28)
    tracemalloc.start()
    masks, _, _ = decode_paste_masks(np.zeros(0), many, (2000, 2000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(masks) == 1000
    assert peak < 16e6
