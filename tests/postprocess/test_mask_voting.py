import tracemalloc

import numpy as np
import pytest

from intarsia.postprocess.mask_voting import decode_mask_voting
from intarsia.postprocess.paste_masks import paste_mask


def parts_of(boxes, grids):
    return {"boxes_xyxy": np.array(boxes, np.float32).reshape(-1, 4), "mask_logits": np.array(grids, np.float32)}


def logit(prob):
    prob = np.asarray(prob, float)
    return np.log(prob / (1 - prob))


def test_by_hand():
    """Two candidates of one box, one for its left half and one for its right three quarters; a third far off has no say."""
    left, right = np.full((4, 4), -9.0), np.full((4, 4), -9.0)
    left[:, :2], right[:, 1:] = 9, 9
    boxes = [[0, 0, 4, 4], [0, 0, 4, 4], [6, 0, 10, 4]]
    for prob, expected in (((0.6, 0.2), [1, 1, 0, 0]), ((0.6, 0.4), [1, 1, 1, 1]), ((0.5, 0.5), [1, 1, 1, 1])):
        logits = np.log([[1 - prob[0], prob[0]], [1 - prob[1], prob[1]], [0.9, 0.1]])
        masks, class_index, score = decode_mask_voting(logits, parts_of(boxes, [left, right, left]), (4, 12))
        # at 0.6 and 0.2 the right one has a quarter of the votes, at 0.6 and 0.4 the four tenths that are enough
        assert masks.mask(0)[0, :4].astype(int).tolist() == expected
        assert score.tolist() == pytest.approx([prob[0], 0.1])
        assert class_index.tolist() == [0, 0]
        assert masks.boxes_xyxy[1].tolist() == [6, 0, 8, 4], "boxes fit their masks"


def slow(logits, parts, size_hw, nms, vote, threshold, count):
    """Pixel by pixel at full size, as it is told."""
    prob = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    boxes = parts["boxes_xyxy"].astype(float)

    def iou(a, b):
        inner = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
        return inner / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner)

    full = []
    for box, grid in zip(boxes, parts["mask_logits"].astype(float), strict=True):
        (y, x), crop = paste_mask(1 / (1 + np.exp(-grid)), box, size_hw, threshold=threshold)
        picture = np.zeros(size_hw)
        picture[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
        full.append(picture)
    found = []
    for k in range(1, logits.shape[1]):
        kept = []
        for i in sorted(range(len(boxes)), key=lambda i: -prob[i, k]):
            if all(iou(boxes[i], boxes[j]) <= nms for j in kept):
                kept.append(i)
        for i in kept:
            voters = [j for j in range(len(boxes)) if iou(boxes[i], boxes[j]) >= vote]
            total = sum(prob[j, k] for j in voters)
            mask = sum(prob[j, k] / total * full[j] for j in voters)
            found.append((prob[i, k], k - 1, mask >= threshold - 1e-6))
    found = sorted(found, key=lambda one: -one[0])[:count]
    return [one for one in found if one[2].any()]


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_a_slow_loop(seed):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-3, 20, (25, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(4, 14, (25, 2))], 1)
    boxes[5:] = boxes[rng.integers(0, 5, 20)] + rng.uniform(-1.5, 1.5, (20, 4))  # many about few places
    parts, logits = parts_of(boxes, rng.normal(0, 2, (25, 7, 7))), rng.normal(0, 1, (25, 4))
    options = {"nms_threshold": 0.3, "vote_threshold": 0.5, "mask_threshold": 0.4, "max_objects": 9}
    masks, class_index, score = decode_mask_voting(logits, parts, (30, 26), min_score=0.0, **options)
    expected = slow(logits, parts, (30, 26), 0.3, 0.5, 0.4, 9)
    assert len(masks) == len(expected) > 5
    for index, (prob, of, mask) in enumerate(expected):
        assert (class_index[index], score[index]) == (of, pytest.approx(prob))
        assert np.array_equal(masks.mask(index), mask)


def test_boxes_are_enlarged_before_grids():
    y, x = np.mgrid[:21, :21]
    disc = np.clip(3 * (10 - np.hypot(y - 10, x - 10)), -9, 9)
    parts = parts_of([[1, 1, 7, 7], [1, 1, 7, 7]], [disc, disc])
    masks, _, _ = decode_mask_voting(np.array([[0, 4.0], [0, 3.0]]), parts, (8, 8), scale_yx=(16.0, 16.0))
    assert (len(masks), masks.size_hw) == (1, (128, 128))
    assert masks.boxes_xyxy[0].tolist() == pytest.approx([18, 18, 110, 110], abs=3)
    assert masks.areas()[0] == pytest.approx(np.pi * (10 * 96 / 21) ** 2, rel=0.05)


def test_limits_and_what_covers_no_pixel():
    boxes = [[0, 0, 4, 4], [4, 0, 8, 4], [20, 20, 24, 24], [5, 5, 5, 7]]
    parts = parts_of(boxes, np.full((4, 3, 3), 8.0))
    prob = np.array([[0.7, 0.3], [0.1, 0.9], [0.2, 0.8], [0.4, 0.6]])
    masks, class_index, score = decode_mask_voting(np.log(prob), parts, (8, 8))
    assert score.tolist() == pytest.approx([0.9, 0.3]), "one lies outside, one has no area"
    assert class_index.tolist() == [0, 0]
    assert masks.areas().tolist() == [16, 16]
    assert len(decode_mask_voting(np.log(prob), parts, (8, 8), min_score=0.5)[2]) == 1
    assert len(decode_mask_voting(np.log(prob), parts, (8, 8), max_objects=1)[2]) == 1
    masks, class_index, score = decode_mask_voting(np.zeros((0, 2)), parts_of([], np.zeros((0, 3, 3))), (8, 8))
    assert (len(masks), len(class_index), len(score), score.dtype) == (0, 0, 0, np.float32)


def test_memory_follows_the_objects():
    """Six hundred full-size masks of 2000 x 2000 would be 2.4 GB."""
    y, x = np.divmod(np.arange(300), 20)
    boxes = np.stack([90 * x, 130 * y, 90 * x + 80, 130 * y + 110], 1)
    parts = parts_of(np.concatenate([boxes, boxes + 4]), np.full((600, 21, 21), 5.0))
    logits = np.stack([np.zeros(600), np.linspace(5, 1, 600)], 1)
    tracemalloc.start()
    masks, _, _ = decode_mask_voting(logits, parts, (2000, 2000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(masks) == 100
    assert peak < 32e6
