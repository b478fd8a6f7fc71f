import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intarsia.core import ClassSpace, InstanceMasks, Instances, LabelMap, Panoptic, Segment
from intarsia.data.preprocessing import resize_label
from intarsia.data.resampling import fit_truth, resample_truth
from intarsia.data.transforms import Augmentation, Draw, crop_image, crop_truth

SPACE = ClassSpace.from_names(["grass", "cow", "herd"], things=["cow", "herd"])


def overlapping(size, rng, count=6):
    """Objects of any shape, holes and several parts among them, that overlap; one is a crowd, one has a single pixel."""
    masks = [np.zeros(size, np.bool_) for _ in range(count)]
    for mask in masks[1:]:
        y, x = rng.integers(0, size[0]), rng.integers(0, size[1])
        mask[y : y + rng.integers(1, 12), x : x + rng.integers(1, 12)] = True
        mask &= rng.random(size) < 0.8
    masks[0][rng.integers(0, size[0]), rng.integers(0, size[1])] = True
    crowd = np.arange(count) == 2
    score = np.linspace(0.1, 0.9, count).astype(np.float32)
    return Instances(InstanceMasks.pack(masks, size), np.arange(count) % 2 + 1, SPACE, score, crowd)


def test_an_object_that_is_cut_gets_the_box_of_what_is_left_and_one_outside_is_left_out():
    ids = np.array([[1, 1, 1, 0, 2], [1, 0, 1, 0, 2], [1, 1, 1, 3, 3]])
    truth = Instances.from_ids(ids, SPACE, {1: 1, 2: 2, 3: 1})
    seen = resample_truth(truth, np.array([0, 1, 2]), np.array([1, 2, 3]))
    assert seen.to_ids().tolist() == [[1, 1, 0], [0, 1, 0], [1, 1, 2]]  # the hole of the first is now a bay
    assert seen.masks.boxes_xyxy.tolist() == [[0, 0, 2, 3], [2, 2, 3, 3]]
    assert seen.class_id.tolist() == [1, 1]


def test_half_the_size_loses_what_lies_between_the_centres():
    truth = Instances.from_ids(np.array([[1, 2, 0, 0], [1, 0, 0, 3]]), SPACE, 1)
    assert fit_truth(truth, (1, 2)).to_ids().tolist() == [[0, 1]]
    assert len(fit_truth(truth, (1, 2))) == 1


@given(
    size=st.tuples(st.integers(3, 40), st.integers(3, 40)),
    crop=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    zoom=st.floats(0.3, 3.0),
    place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    mirror=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=100, deadline=None)
def test_objects_are_seen_as_the_label_map_of_each_would_be(size, crop, zoom, place, mirror, seed):
    truth = overlapping(size, np.random.default_rng(seed))
    draw = Draw(zoom, place, mirror, None)
    seen = crop_truth(truth, draw, crop)
    pixels = [crop_truth(LabelMap(truth.masks.mask(q).astype(np.uint8)), draw, crop).ids > 0 for q in range(len(truth))]
    kept = [q for q, mask in enumerate(pixels) if mask.any()]
    assert len(seen) == len(kept)
    for index, q in enumerate(kept):
        assert np.array_equal(seen.masks.mask(index), pixels[q])
    assert seen.score.tolist() == truth.score[kept].tolist()
    assert seen.class_id.tolist() == truth.class_id[kept].tolist()
    assert seen.is_crowd.tolist() == truth.is_crowd[kept].tolist()


@given(size=st.tuples(st.integers(1, 40), st.integers(1, 40)), to=st.tuples(st.integers(1, 40), st.integers(1, 40)))
@settings(max_examples=50, deadline=None)
def test_fitting_is_the_resize_of_labels(size, to):
    ids = np.random.default_rng(0).integers(0, 3, size).astype(np.uint8)
    assert np.array_equal(fit_truth(LabelMap(ids, SPACE), to).ids, resize_label(ids, to))
    assert np.array_equal(fit_truth(LabelMap(ids), to).ids, resize_label(ids, to))


def test_panoptic_maps_list_what_is_left_and_are_void_outside():
    ids = np.array([[7, 7, 9], [7, 8, 9]])
    truth = Panoptic(ids, (Segment(7, 0), Segment(8, 1), Segment(9, 2, is_crowd=True)), SPACE)
    seen = resample_truth(truth, np.array([-1, 0]), np.array([2, 1, 0, -1]))
    assert seen.ids.tolist() == [[0, 0, 0, 0], [9, 7, 7, 0]]
    assert seen.segments == (Segment(7, 0), Segment(9, 2, is_crowd=True))
    assert seen.to_label_map().ids.tolist() == [[255] * 4, [2, 0, 0, 255]]


def test_without_objects():
    empty = Instances(InstanceMasks.pack([], (4, 5)), np.zeros(0, np.int32), SPACE)
    assert len(fit_truth(empty, (8, 3))) == 0
    assert fit_truth(empty, (8, 3)).size_hw == (8, 3)
    hollow = Instances(InstanceMasks.pack([np.zeros((4, 5), np.bool_)], (4, 5)), np.ones(1, np.int32), SPACE)
    assert len(fit_truth(hollow, (4, 5))) == 0, "an object without a pixel has no box to learn"
    assert crop_truth(overlapping((9, 9), np.random.default_rng(0)), Draw(1.0, (0.0, 0.0), False, None), (9, 9)).size_hw == (9, 9)


@pytest.mark.parametrize("seed", range(4))
def test_image_and_objects_go_together(seed):
    """The image is bright where an object is, whatever the crop."""
    rng = np.random.default_rng(seed)
    truth = overlapping((40, 50), rng)
    image = ((truth.to_ids() > 0) * 200).astype(np.uint8)[..., None]
    augment = Augmentation((32, 32), scale=(1.0, 1.0), flip=0.5, color=0.0)
    cropped, seen, _ = augment(image, truth, np.random.default_rng(seed))
    assert np.array_equal(cropped[..., 0] > 0, seen.to_ids() > 0)
    draw = augment.draw(1, np.random.default_rng(seed))
    assert np.array_equal(crop_image(image, draw, (32, 32))[0], cropped)
