import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from intarsia.core import InstanceMasks, SegmentationError
from intarsia.core.rle import crop_of_runs, mask_of_runs, rle_text, runs_of_full, runs_of_mask, runs_of_text


def packed(mask: np.ndarray) -> InstanceMasks:
    return InstanceMasks.pack([mask], mask.shape)


def test_by_hand():
    mask = np.array([[0, 1, 0], [0, 1, 1]], np.bool_)
    runs = runs_of_mask(packed(mask), 0)
    assert runs.tolist() == [2, 2, 1, 1], "down the columns, and on from the bottom of one to the top of the next"
    assert rle_text(runs) == b"221O", "48 + 2, 48 + 2, 48 + 1, and 1 - 2 = -1 in five bits"
    assert runs_of_mask(packed(~mask), 0).tolist() == [0, 2, 2, 1, 1], "zeros come first, though there are none"
    assert runs_of_text("221O").tolist() == [2, 2, 1, 1]


def coco_text(mask):
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]


@settings(max_examples=80, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.sampled_from([(1, 1), (1, 30), (40, 3), (7, 11)]))
def test_as_pycocotools_and_back(mask, scale):
    check_against_pycocotools(np.kron(mask, np.ones(scale, np.bool_)))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 150), st.integers(1, 150), st.sampled_from([0.0, 0.002, 0.1, 0.5, 0.98, 1.0]), st.integers(0, 2**32 - 1))
def test_noise_as_pycocotools_and_back(height, width, density, seed):
    """Sizes around the 64 pixels that are compared at once."""
    check_against_pycocotools(np.random.default_rng(seed).random((height, width)) < density)


@pytest.mark.parametrize("shape", [(1, 1), (1, 64), (64, 1), (65, 129), (3, 70000), (70000, 3)])
@pytest.mark.parametrize("drawn", ["nothing", "all", "first pixel", "last pixel", "last column", "all but the first pixel"])
def test_borders_and_long_runs_as_pycocotools_and_back(shape, drawn):
    mask = np.zeros(shape, np.bool_)
    at = {"first pixel": np.s_[0, 0], "last pixel": np.s_[-1, -1], "last column": np.s_[:, -1]}.get(drawn, np.s_[:])
    mask[at] = drawn != "nothing"
    mask[0, 0] &= drawn != "all but the first pixel"
    check_against_pycocotools(mask)


def check_against_pycocotools(mask):
    text = coco_text(mask)
    runs = runs_of_mask(packed(mask), 0)
    assert rle_text(runs) == text
    kept = mask.copy()
    kept.flags.writeable = False
    for laid_out in (kept, np.asfortranarray(mask), np.repeat(mask, 2, 1)[:, ::2]):
        assert np.array_equal(runs_of_full(laid_out), runs)
    read = runs_of_text(text)
    assert np.array_equal(read, runs)
    assert np.array_equal(runs_of_text(text.decode()), runs)
    assert np.array_equal(mask_of_runs(read, mask.shape), mask)
    (top, left), crop = crop_of_runs(read.tolist(), mask.shape)
    again = InstanceMasks.pack_crops([((top, left), crop)], mask.shape)
    assert np.array_equal(again.mask(0), mask)
    assert again.boxes_xyxy.tolist() == [[left, top, left + crop.shape[1], top + crop.shape[0]]], "the smallest box"


@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=30))
def test_text_of_any_numbers_and_back(numbers):
    assert runs_of_text(rle_text(np.array(numbers))).tolist() == numbers


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
    with pytest.raises(SegmentationError, match=r"add up to 36893488147419103243 do not fit"):
        mask_of_runs([2**63 - 1, 2**63 - 1, 2**63 - 1, 2**63 - 1, 2, 13], (3, 4))
    for text in ("", "2 1", "2\u20ac", b"22Q", b"o" * 12 + b"1"):
        with pytest.raises(SegmentationError, match="no run-length text"):
            runs_of_text(text)
