import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intarsia.core import (
    ClassSpace,
    InstanceMasks,
    Instances,
    LabelMap,
    MultiLabel,
    Panoptic,
    Segment,
    Segmentation,
    SegmentationError,
)

SPACE = ClassSpace.from_names(["sky", "car", "person"], things=["car", "person"])


def test_label_map_counts_pixels_of_every_class_and_leaves_out_the_ignored():
    label = LabelMap(np.array([[0, 0, 1], [255, 0, 1]], np.uint8), SPACE)
    assert label.size_hw == (2, 3)
    assert label.areas() == {"sky": 3, "car": 2, "person": 0}


def test_regions_without_classes_are_counted_by_number():
    assert LabelMap(np.array([[3, 3], [9, 3]])).areas() == {"region 3": 3, "region 9": 1}


def test_instances_from_ids_by_hand():
    ids = np.array([[0, 5, 5], [2, 2, 0]], np.uint16)
    instances = Instances.from_ids(ids, SPACE, {2: 1, 5: 2})
    assert len(instances) == 2
    assert instances.masks.boxes_xyxy.tolist() == [[0, 1, 2, 2], [1, 0, 3, 1]]
    assert instances.masks.areas().tolist() == [2, 2]
    assert instances.class_id.tolist() == [1, 2]
    assert instances.areas() == {"sky": 0, "car": 2, "person": 2}
    assert instances.to_ids().tolist() == [[0, 2, 2], [1, 1, 0]]


def test_higher_score_is_painted_over_lower():
    masks = InstanceMasks.pack([np.ones((2, 2), bool), np.eye(2, dtype=bool)], (2, 2))
    ids = Instances(masks, np.array([1, 2]), SPACE, np.array([0.3, 0.9])).to_ids()
    assert ids.tolist() == [[2, 1], [1, 2]]
    ids = Instances(masks, np.array([1, 2]), SPACE, np.array([0.9, 0.3])).to_ids()
    assert ids.tolist() == [[1, 1], [1, 1]]


@given(st.integers(0, 6), st.integers(1, 17), st.integers(1, 17), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_packing_keeps_every_mask(count, height, width, seed):
    rng = np.random.default_rng(seed)
    masks = rng.random((count, height, width)) < rng.random((count, 1, 1)) * 0.5
    packed = InstanceMasks.pack(iter(masks), (height, width))
    assert len(packed) == count
    for index, mask in enumerate(masks):
        assert np.array_equal(packed.mask(index), mask)
    assert packed.areas().tolist() == masks.sum((1, 2)).tolist()
    for (where, crop), mask in zip(packed.crops(), masks, strict=True):
        assert crop.sum() == mask.sum() == mask[where].sum()


def test_a_thousand_objects_stay_small():
    ids = np.arange(1, 1001).reshape(40, 25).repeat(50, 0).repeat(80, 1)  # 2000 x 2000 pixels
    instances = Instances.from_ids(ids, SPACE, 1)
    assert instances.masks.areas().sum() == ids.size
    assert instances.masks.bits.nbytes == ids.size // 8
    assert np.array_equal(instances.to_ids(), ids)


def test_panoptic_views_agree():
    ids = np.array([[1, 1, 7], [0, 9, 7]])
    panoptic = Panoptic(ids, (Segment(1, 0), Segment(7, 1, 0.5), Segment(9, 2)), SPACE)
    assert panoptic.to_label_map().ids.tolist() == [[0, 0, 1], [255, 2, 1]]
    assert panoptic.areas() == {"sky": 2, "car": 2, "person": 1}
    instances = panoptic.to_instances()
    assert instances.class_id.tolist() == [1, 2]
    assert instances.score.tolist() == [0.5, 1.0]
    assert instances.to_ids().tolist() == [[0, 0, 1], [0, 2, 1]]


def test_multi_label_counts_overlap_twice():
    masks = np.zeros((3, 2, 2), bool)
    masks[0] = True
    masks[1, 0] = True
    assert MultiLabel(masks, SPACE).areas() == {"sky": 4, "car": 2, "person": 0}


def test_empty_things_are_fine():
    assert LabelMap(np.zeros((0, 0), np.uint8), SPACE).areas() == {"sky": 0, "car": 0, "person": 0}
    none = Instances.from_ids(np.zeros((4, 5), np.int32), SPACE, 1)
    assert len(none) == 0
    assert none.to_ids().shape == (4, 5)
    assert len(InstanceMasks.pack([np.zeros((3, 3), bool)], (3, 3)).crop(0)) == 0


def test_every_kind_is_a_segmentation_that_shows_and_saves_itself(tmp_path):
    image = np.full((6, 8, 3), 200, np.uint8)
    ids = np.zeros((6, 8), np.uint8)
    ids[2:4, 2:5] = 1
    kinds = [
        LabelMap(ids, SPACE),
        LabelMap(ids),
        Instances.from_ids(ids, SPACE, 1),
        Panoptic(ids.astype(np.int32) + 1, (Segment(1, 0), Segment(2, 1)), SPACE),
        MultiLabel(np.stack([ids == 0, ids == 1, ids == 1]), SPACE),
    ]
    for number, segmentation in enumerate(kinds):
        assert isinstance(segmentation, Segmentation)
        assert segmentation.overlay(image).shape == (6, 8, 3)
        assert segmentation.colored().dtype == np.uint8
        assert segmentation._repr_png_().startswith(b"\x89PNG\r\n\x1a\n")
        assert segmentation.save(tmp_path / f"mask{number}.png").exists()
    assert (image == 200).all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LabelMap(np.array([[0, 3, 7]]), SPACE), r"holds \[3, 7\], outside the ids 0..2"),
        (lambda: LabelMap(np.zeros((2, 2))), r"LabelMap.ids is float64 of shape \(2, 2\)"),
        (lambda: LabelMap(np.array([[-1]])), "holds -1"),
        (lambda: LabelMap([[0]]), "LabelMap.ids is list"),
        (lambda: LabelMap(np.zeros((2, 2), int), SPACE, np.zeros((2, 2, 2))), r"shape \(2, 2, 2\); \(K, H, W\) = \(3, 2, 2\)"),
        (lambda: MultiLabel(np.zeros((2, 4, 4), bool), SPACE), r"\(3, H, W\) fits"),
        (lambda: MultiLabel(np.zeros((3, 4, 4), bool), SPACE, np.ones((4, 5), bool)), r"valid has shape \(4, 5\)"),
        (lambda: Panoptic(np.array([[4]]), (), SPACE), r"ids holds \[4\]"),
        (lambda: Panoptic(np.array([[4]]), (Segment(4, 5),), SPACE), r"class ids \[5\]"),
        (lambda: Panoptic(np.array([[0]]), (Segment(0, 0),), SPACE), "lists 0, which is void"),
        (lambda: InstanceMasks.pack([np.ones((2, 3), bool)], (3, 2)), r"shape \(2, 3\) was given for an image of \(3, 2\)"),
        (lambda: Instances(InstanceMasks.pack([], (2, 2)), np.array([1]), SPACE), r"0 masks ask for \(0,\)"),
        (lambda: Instances.from_ids(np.ones((2, 2), int), SPACE, 3), "outside the 3 classes"),
        (
            lambda: InstanceMasks((2, 2), np.array([[0, 0, 3, 1]]), np.zeros(1, np.uint8), np.array([0, 1])),
            "leaves the image of 2 x 2",
        ),
        (
            lambda: InstanceMasks((4, 4), np.array([[0, 0, 3, 3]]), np.zeros(1, np.uint8), np.array([0, 1])),
            "length that its boxes ask for",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(build, message):
    with pytest.raises(SegmentationError, match=message):
        build()


def test_some_of_the_objects_in_any_order():
    rng = np.random.default_rng(0)
    masks = [rng.random((5, 7)) < share for share in (0.5, 0.0, 0.9, 0.2)]
    classes = ClassSpace.from_names(["a", "b"])
    whole = Instances(
        InstanceMasks.pack(masks, (5, 7)), np.array([0, 1, 1, 0]), classes, np.array([0.1, 0.2, 0.3, 0.4]), np.arange(4) == 2
    )
    for chosen in (np.array([2, 0]), np.array([True, False, True, True]), np.zeros(4, np.bool_)):
        some, index = whole.select(chosen), np.arange(4)[chosen]
        assert [some.masks.mask(i).tolist() for i in range(len(some))] == [masks[i].tolist() for i in index]
        assert some.class_id.tolist() == whole.class_id[index].tolist()
        assert some.score.tolist() == whole.score[index].tolist()
        assert some.is_crowd.tolist() == whole.is_crowd[index].tolist()
