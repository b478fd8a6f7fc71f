import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intarsia.core import ClassSpace, InstanceMasks, Instances, LabelMap, SegmentationError
from intarsia.postprocess.panoptic_merge import decode_panoptic_merge, joint_classes, merge_panoptic, merge_segments

LABELS = ClassSpace.from_names(["sky", "road", "car"])
THINGS = ClassSpace.from_names(["background", "car", "dog"], things=["car", "dog"])


def objects(boxes, score, class_id, size_hw, crowd=None):
    """Filled boxes (y0, x0, y1, x1)."""
    masks = [np.zeros(size_hw, np.bool_) for _ in boxes]
    for mask, (y0, x0, y1, x1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    packed = InstanceMasks.pack(masks, size_hw)
    return Instances(packed, np.array(class_id, np.int32), THINGS, np.array(score, np.float32), crowd)


def test_a_hand_made_overlap():
    """Of 4 x 10 pixels: columns 0-5 at 0.9, 4-9 at 0.8 (2 of 6 hidden), 0-3 at 0.7 (all hidden), one at 0.4 (too low)."""
    found = objects([(0, 0, 4, 6), (0, 4, 4, 10), (0, 0, 4, 4), (0, 9, 4, 10)], [0.9, 0.8, 0.7, 0.4], [1, 2, 1, 1], (4, 10))
    merged = merge_panoptic(found, LabelMap(np.zeros((4, 10), np.uint8), LABELS), min_stuff_area=0)
    assert merged.ids.tolist() == [[1] * 6 + [2] * 4] * 4
    assert [(s.id, merged.classes.names[s.class_id]) for s in merged.segments] == [(1, "car"), (2, "dog")]
    assert [s.score for s in merged.segments] == pytest.approx([0.9, 0.8])


@pytest.mark.parametrize(("hidden", "taken"), [(5, True), (6, False)])
def test_exactly_half_hidden_is_taken(hidden, taken):
    found = objects([(0, 0, 1, hidden), (0, 0, 1, 10)], [0.9, 0.8], [1, 2], (1, 12))
    merged = merge_panoptic(found, LabelMap(np.zeros((1, 12), np.uint8), LABELS), min_stuff_area=0)
    assert (np.count_nonzero(merged.ids == 2) == 10 - hidden and merged.segments[1].class_id == 3) == taken


def test_what_was_refused_hides_nothing():
    """The second is refused for lying on the first; the third lies on the second only."""
    found = objects([(0, 0, 1, 6), (0, 2, 1, 9), (0, 6, 1, 9)], [0.9, 0.8, 0.7], [1, 1, 2], (1, 9))
    assert merge_panoptic(found, LabelMap(np.zeros((1, 9), np.uint8), LABELS)).ids.tolist() == [[1] * 6 + [2] * 3]


def test_stuff_fills_the_rest_and_small_stuff_is_void():
    labels = np.zeros((64, 64), np.uint8)
    labels[40:] = 1  # road
    labels[:, 60:] = 2  # a car, which only objects can be
    labels[0, :6] = 255
    found = objects([(30, 0, 50, 20)], [0.9], [1], (64, 64))
    merged = merge_panoptic(found, LabelMap(labels, LABELS), min_stuff_area=480 * 640 // 4)  # a quarter of the image
    assert [(merged.classes.names[s.class_id], np.count_nonzero(merged.ids == s.id)) for s in merged.segments] == [
        ("car", 400),
        ("sky", 40 * 60 - 200 - 6),
        ("road", 24 * 60 - 200),
    ]
    assert np.count_nonzero(merged.ids == 0) == 64 * 4 + 6
    merged = merge_panoptic(found, LabelMap(labels, LABELS), min_stuff_area=480 * 640 // 3)
    assert [merged.classes.names[s.class_id] for s in merged.segments] == ["car", "sky"], "road covers less than a third"


def test_the_threshold_of_the_paper_is_pixels_of_a_large_image():
    for area, kept in ((4095, False), (4096, True)):
        semantic = np.full((500, 700), -1)
        semantic.ravel()[:area] = 2
        none = InstanceMasks.pack([], (500, 700))
        _, segments = merge_segments(none, np.zeros(0, np.int64), np.zeros(0), semantic)
        assert bool(segments) == kept


def slow_merge(masks, class_id, score, semantic, min_score, max_overlap, least):
    """The published steps, with full-size masks and sets of pixels."""
    ids, segments, used = np.zeros(semantic.shape, int), [], set()
    for index in sorted(range(len(masks)), key=lambda i: -score[i]):
        pixels = set(zip(*np.nonzero(masks[index]), strict=True))
        if score[index] < min_score or not pixels or len(pixels & used) / len(pixels) > max_overlap or not pixels - used:
            continue
        segments.append(class_id[index])
        for pixel in pixels - used:
            ids[pixel] = len(segments)
        used |= pixels
    for stuff in range(semantic.max() + 1):
        region = {p for p in zip(*np.nonzero(semantic == stuff), strict=True) if p not in used}
        if region and len(region) >= least:
            segments.append(stuff)
            for pixel in region:
                ids[pixel] = len(segments)
    return ids, segments


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31))
def test_it_agrees_with_a_slow_loop(seed):
    rng = np.random.default_rng(seed)
    size, count = tuple(rng.integers(1, 12, 2).tolist()), int(rng.integers(0, 7))
    masks = [rng.random(size) < rng.choice([0, 0.3, 0.6, 0.9]) for _ in range(count)]
    class_id, score = rng.integers(3, 5, count), rng.random(count).round(1)
    semantic = rng.integers(-1, 3, size)
    least = int(rng.integers(0, 10))
    ids, segments = merge_segments(
        InstanceMasks.pack(masks, size),
        class_id,
        score,
        semantic,
        min_score=0.3,
        max_overlap=0.6,
        min_stuff_area=least * 480 * 640 // (size[0] * size[1]),
    )
    expected, classes = slow_merge(masks, class_id, score, semantic, 0.3, 0.6, least)
    assert np.array_equal(ids, expected)
    assert [s.class_id for s in segments] == classes


def test_crowds_and_objects_that_are_no_things_are_left_out():
    found = objects(
        [(0, 0, 2, 2), (0, 2, 2, 4), (0, 4, 2, 6)], [0.9, 0.9, 0.9], [0, 1, 2], (2, 6), np.array([False, True, False])
    )
    merged = merge_panoptic(found, LabelMap(np.ones((2, 6), np.uint8), LABELS))
    assert [merged.classes.names[s.class_id] for s in merged.segments] == ["dog", "road"]


def test_the_classes_of_both_sides():
    joint = joint_classes(THINGS, LABELS)
    assert [(c.name, c.is_thing) for c in joint.classes] == [("sky", False), ("road", False), ("car", True), ("dog", True)]
    assert joint.ignore_id == 255
    unsaid = ClassSpace.from_names(["background", "cell"])
    assert [(c.name, c.is_thing) for c in joint_classes(unsaid, unsaid).classes] == [("background", False), ("cell", True)]


def test_one_network_gives_detections_and_scores_of_stuff():
    """Classes person, sky, car, road, of which 0 and 2 are things: stuff channels are sky and road."""
    logits = np.zeros((3, 40, 40), np.float32)
    logits[1, :20], logits[2, 20:], logits[0, 35:, :5] = 5, 5, 9
    detections = {
        "boxes_xyxy": np.array([[2.0, 2, 6, 6]]),
        "class_index": np.array([1]),
        "score": np.array([0.75], np.float32),
        "mask_logits": np.full((1, 7, 7), 9.0),
    }
    ids, segments = decode_panoptic_merge(logits, detections, (20, 20), scale_yx=(2.0, 2.0), thing_ids=(0, 2), num_classes=4)
    assert [(s.class_id, np.count_nonzero(ids == s.id)) for s in segments] == [(2, 64), (1, 20 * 40 - 64), (3, 20 * 40 - 25)]
    assert np.count_nonzero(ids == 0) == 25


def test_no_objects_and_no_stuff():
    nothing = objects([], [], [], (3, 4))
    merged = merge_panoptic(nothing, LabelMap(np.full((3, 4), 2, np.uint8), LABELS))
    assert merged.segments == ()
    assert not merged.ids.any()


def test_what_cannot_be_merged():
    nothing = objects([], [], [], (3, 4))
    with pytest.raises(SegmentationError, match=r"image of \(3, 4\).*map of \(4, 4\) cannot"):
        merge_panoptic(nothing, LabelMap(np.zeros((4, 4), np.uint8), LABELS))
    with pytest.raises(SegmentationError, match=r"map of \(3, 4\) without classes"):
        merge_panoptic(nothing, LabelMap(np.zeros((3, 4), np.uint8)))
