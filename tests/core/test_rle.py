import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from intarsia.core import InstanceMasks, SegmentationError
from intarsia.core.rle import crop_of_runs, rle_text, runs_of_mask, runs_of_text


def packed(mask: np.ndarray) -> InstanceMasks:
    return InstanceMasks.pack([mask], mask.shape)


def test_by_hand():
    mask = np.array([[0, 1, 0], [0, 1, 1]], np.bool_)
    runs = runs_of_mask(packed(mask), 0)
    assert runs.tolist() == [2, 2, 1, 1], "down the columns, and on from the bottom of one to the top of the next"
    assert rle_text(runs) == b"221O", "48 + 2, 48 + 2, 48 + 1, and 1 - 2 = -1 in five bits"
    assert runs_of_mask(packed(~mask), 0).tolist() == [0, 2, 2, 1, 1], "zeros come first, though there are none"
    assert runs_of_text("221O").tolist() == [2, 2, 1, 1]


@settings(max_examples=60, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.sampled_from([1, 40]))
def test_as_pycocotools_and_back(mask, scale):
    mask = np.kron(mask, np.ones((scale, 3), np.bool_))
    text = rle_text(runs_of_mask(packed(mask), 0))
    assert text == coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    again = InstanceMasks.pack_crops([crop_of_runs(runs_of_text(text), mask.shape)], mask.shape)
    assert np.array_equal(again.mask(0), mask)


@pytest.mark.parametrize("mask", [np.zeros((3, 4), np.bool_), np.ones((3, 4), np.bool_)])
def test_empty_and_full(mask):
    runs = runs_of_mask(packed(mask), 0)
    assert runs.tolist() == ([0, 12] if mask.all() else [12])
    (top, left), crop = crop_of_runs(runs, mask.shape)
    assert (top, left, crop.sum()) == (0, 0, mask.sum())


def test_errors():
    with pytest.raises(SegmentationError, match="add up to 11 do not fit a mask of 3 x 4"):
        crop_of_runs([5, 6], (3, 4))
    with pytest.raises(SegmentationError, match="do not fit"):
        crop_of_runs([13, -1], (3, 4))
    for text in ("", "2 1", "2\u20ac", b"22Q"):
        with pytest.raises(SegmentationError, match="no run-length text"):
            runs_of_text(text)
