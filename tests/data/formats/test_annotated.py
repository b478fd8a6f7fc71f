"""Annotated sets: what they refuse, how their kinds become others, how they are recognised."""

import json
import pickle
import warnings
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from intarsia.core import ClassSpace, DataError, InstanceMasks, Instances, LabelMap, Panoptic, Segment, SettingsError
from intarsia.data.formats._annotated import Annotated, AnnotatedSet, Part, Tally, count_by_class, keys_of_names
from intarsia.data.formats._coco_sets import read_coco_set, write_coco_panoptic_set, write_coco_set
from intarsia.data.formats._few_files import few_files
from intarsia.data.formats._recognize import annotation_formats, find_format, format_reader
from intarsia.data.formats._round_trip import round_trip_ious
from intarsia.data.formats._set_views import combined, of_classes, viewed
from intarsia.data.formats._views import COVERED, HIDDEN, NO_STUFF, TOUCHING, View

THINGS = ClassSpace.from_names(["car", "dog"], things=["car", "dog"])
STREET = ClassSpace.from_names(["road", "car", "sky"], things=["car"])


def objects(masks, class_id, classes=THINGS, crowd=None):
    masks = [np.array(mask, np.bool_) for mask in masks]
    is_crowd = None if crowd is None else np.array(crowd, np.bool_)
    return Instances(InstanceMasks.pack(masks, masks[0].shape), np.array(class_id, np.int32), classes, None, is_crowd)


def look_up(truths, key):
    return Annotated(key, truths[key])


def set_of(kind, classes, **truths):
    return AnnotatedSet("some", kind, classes, tuple(truths), partial(look_up, truths))


def test_objects_become_label_maps_with_a_background():
    given = objects([[[1, 1, 0, 0]], [[0, 1, 1, 0]]], [0, 1])
    labels, lost = View("instance", "semantic", THINGS).of(given)
    assert labels.classes.names == ("background", "car", "dog")
    assert labels.ids.tolist() == [[1, 2, 2, 0]]
    assert lost == ()


def test_a_crowd_is_ignored_in_label_maps():
    given = objects([[[1, 1, 0, 0]], [[0, 0, 1, 0]]], [0, 1], crowd=[False, True])
    labels, _ = View("instance", "semantic", THINGS).of(given)
    assert labels.ids.tolist() == [[1, 1, 255, 0]]


def test_objects_become_panoptic_maps_and_what_others_cover_is_said():
    given = objects([[[1, 1, 0, 0]], [[0, 1, 1, 0]], [[1, 0, 0, 0]]], [0, 1, 1])
    panoptic, lost = View("instance", "panoptic", THINGS).of(given)
    assert panoptic.ids.tolist() == [[1, 1, 2, 0]]
    assert [s.class_id for s in panoptic.segments] == [0, 1]
    assert sorted(lost) == sorted([COVERED, HIDDEN])


def test_label_maps_become_pieces():
    labels = LabelMap(np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 2, 2]], np.uint8), STREET)
    pieces, lost = View("semantic", "instance", STREET).of(labels)
    assert pieces.classes.names == ("car",)
    assert pieces.to_ids().tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0], [2, 0, 0]]  # 8 neighbours hang together
    assert lost == (TOUCHING,)
    panoptic, _ = View("semantic", "panoptic", STREET).of(labels)
    assert panoptic.to_label_map().ids.tolist() == labels.ids.tolist()
    assert sorted(s.class_id for s in panoptic.segments) == [0, 1, 1, 2]


def test_panoptic_maps_become_objects_of_things_and_label_maps():
    panoptic = Panoptic(np.array([[7, 7, 2, 0]]), (Segment(7, 1), Segment(2, 0)), STREET)
    things, lost = View("panoptic", "instance", STREET).of(panoptic)
    assert (things.classes.names, things.class_id.tolist(), lost) == (("car",), [0], (NO_STUFF,))
    assert things.to_ids().tolist() == [[1, 1, 0, 0]]
    labels, _ = View("panoptic", "semantic", STREET).of(panoptic)
    assert labels.ids.tolist() == [[1, 1, 0, 255]]


def test_objects_and_label_maps_make_panoptic_maps():
    car = ClassSpace.from_names(["car"], things=["car"])
    cars = set_of("instance", car, a=objects([[[1, 0, 0, 0, 0]]], [0], car))
    labels = set_of("semantic", STREET, a=LabelMap(np.array([[1, 1, 0, 2, 255]], np.uint8), STREET))
    made = combined(cars, labels).read("a").truth
    assert made.classes.names == ("road", "car", "sky")
    assert made.to_label_map().ids.tolist() == [[1, 1, 0, 2, 255]]
    assert {(s.class_id, s.is_crowd) for s in made.segments} == {(1, False), (1, True), (0, False), (2, False)}
    with pytest.raises(SettingsError, match="some is of kind semantic"):
        combined(labels, labels)
    with pytest.raises(DataError, match="1 images are in one of the two sets only, such as 'b'"):
        combined(set_of("instance", car, a=None, b=None), labels)


def test_classes_are_chosen_by_name_and_in_order():
    given = set_of("instance", THINGS, a=objects([[[1, 0]], [[0, 1]]], [0, 1]))
    kept = of_classes(given, ["dog"])
    found = kept.read("a")
    assert found.truth.class_id.tolist() == [0]
    assert found.truth.classes.names == ("dog",)
    assert found.lost == ("an object of a class that was not chosen was left out",)
    labels = set_of("semantic", STREET, a=LabelMap(np.array([[0, 1, 2, 255]], np.uint8), STREET))
    assert of_classes(labels, ["sky", "road"]).read("a").truth.ids.tolist() == [[1, 255, 0, 255]]
    with pytest.raises(SettingsError, match="no class 'cat'; the classes are car, dog"):
        of_classes(given, ["cat"])


def test_coco_sets_are_read_as_they_were_written(tmp_path):
    given = set_of(
        "instance", THINGS, **{"a/x": objects([[[1, 1], [0, 1]], [[1, 0], [1, 0]]], [0, 1]), "b": objects([[[0, 1]]], [1])}
    )
    report = write_coco_set(tmp_path / "out.json", given)
    assert (report.images, report.objects, report.lost) == (2, {"car": 1, "dog": 2}, {})
    assert find_format(tmp_path / "out.json").name == "coco"
    found = read_coco_set(tmp_path / "out.json")
    assert found.keys == ("a/x", "b")
    assert found.image_path("a/x") == tmp_path / "a/x.png"
    for key in given.keys:
        assert round_trip_ious(given.read(key).truth, found.read(key).truth) == [1.0] * len(given.read(key).truth)
    assert pickle.loads(pickle.dumps(found.alone("b"))).read("b").truth.class_id.tolist() == [1]


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_polygons_of_coco_are_drawn_as_its_own_api_draws_them(tmp_path_factory, mask):
    from pycocotools.mask import decode, frPyObjects, merge

    given = set_of("instance", THINGS, a=objects([mask], [0]))
    path = tmp_path_factory.mktemp("coco") / "p.json"
    report = write_coco_set(path, given, polygons=True)
    if not mask.any():
        assert report.round_trip_iou is None
        return
    shape = json.loads(path.read_text())["annotations"][0]["segmentation"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of its arrays, which are older than NumPy 2
        drawn = np.array(decode(merge(frPyObjects(shape, *mask.shape))), np.bool_)
    found = read_coco_set(path).read("a").truth
    assert np.array_equal(found.masks.mask(0) if len(found) else np.zeros_like(mask), drawn)
    assert report.round_trip_iou == pytest.approx((drawn & mask).sum() / (drawn | mask).sum())
    assert report.lowest_iou == 1


def test_panoptic_sets_are_read_as_they_were_written(tmp_path):
    truth = Panoptic(np.array([[70000, 2, 0]]), (Segment(70000, 1), Segment(2, 0)), STREET)
    write_coco_panoptic_set(tmp_path / "p.json", set_of("panoptic", STREET, **{"a/x": truth}))
    name, why, _ = find_format(tmp_path / "p.json")
    assert name == "coco_panoptic"
    assert "segments_info" in why
    found = format_reader(name)(tmp_path / "p.json")
    assert found.read("a/x").truth.ids.tolist() == [[70000, 2, 0]]
    assert pickle.loads(pickle.dumps(found.alone("a/x"))).read("a/x").truth.segments == truth.segments


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.sampled_from([0, 1, 2, 255])))
def test_label_maps_survive_panoptic_maps(ids):
    labels = LabelMap(ids, STREET)
    panoptic, _ = View("semantic", "panoptic", STREET).of(labels)
    assert np.array_equal(panoptic.to_label_map().ids, ids)
    back, _ = View("panoptic", "instance", panoptic.classes).of(panoptic)
    pieces, _ = View("semantic", "instance", STREET).of(labels)
    assert round_trip_ious(pieces, back) == [1.0] * len(pieces)
    assert round_trip_ious(labels, panoptic.to_label_map()) == [1.0] * len(np.setdiff1d(ids, 255))


def test_round_trips_are_measured_by_hand():
    given = objects([[[1, 1, 1, 0]], [[0, 0, 0, 1]]], [0, 1])
    found = objects([[[1, 1, 0, 0]], [[1, 1, 1, 0]]], [0, 1])
    assert round_trip_ious(given, found) == [2 / 3, 0.0]  # the second has another class
    twins = objects([[[1, 1, 0, 0]], [[1, 1, 0, 0]]], [0, 0])
    assert round_trip_ious(twins, objects([[[1, 1, 0, 0]]], [0])) == [1.0, 0.0]
    labels = LabelMap(np.array([[0, 0, 1, 255]], np.uint8), STREET)
    other = LabelMap(np.array([[0, 1, 1, 1]], np.uint8), STREET)
    assert round_trip_ious(labels, other) == [1 / 2, 1 / 3]


def test_a_tally_adds_up():
    tally = Tally()
    tally.add(Part(objects={"car": 2}, lost={"x": 1}, ious=[1.0, 0.5]))
    tally.add(Part(objects={"car": 1, "a": 1}, lost={"x": 2}, ious=[0.9]))
    report = tally.report()
    assert (report.images, report.objects, report.lost) == (2, {"a": 1, "car": 3}, {"x": 3})
    assert report.round_trip_iou == pytest.approx(0.8)
    assert report.lowest_iou == 0.5
    assert Tally().report().round_trip_iou is None
    assert count_by_class(LabelMap(np.array([[0, 2]], np.uint8), STREET)) == {"road": 1, "sky": 1}


def test_images_are_gone_through_in_order():
    given = set_of(
        "semantic", STREET, b=LabelMap(np.zeros((1, 1), np.uint8), STREET), a=LabelMap(np.ones((1, 1), np.uint8), STREET)
    )
    assert [key for key, _ in given.each(Part.of)] == ["b", "a"]
    assert [dict(part.objects) for _, part in given.limited(["a"]).each(Part.of)] == [{"car": 1}]
    assert given.image_name("a") == "a.png"


@pytest.mark.parametrize("key", ["../a", "/a", "a/../../b", "C:/a", "a\\b", "a\0", "", "a//b", "."])
def test_keys_that_lead_out_are_refused(key):
    with pytest.raises(DataError, match="no path inside a folder"):
        AnnotatedSet("some", "semantic", STREET, (key,), str)


def test_names_become_keys():
    assert keys_of_names(["a/b.jpg", r"c\d.e.png"], "x") == {"a/b.jpg": "a/b", r"c\d.e.png": "c/d.e"}
    with pytest.raises(DataError, match=r"x names 'a.jpg' and 'a.png'"):
        keys_of_names(["a.jpg", "a.png"], "x")
    with pytest.raises(DataError, match=r"'\.\./a.jpg'|'\.\./a'"):
        keys_of_names(["../a.jpg"], "x")


def test_sets_refuse_what_does_not_fit():
    given = set_of("instance", THINGS, a=LabelMap(np.zeros((1, 1), np.uint8)))
    with pytest.raises(DataError, match="is a LabelMap, and the set is of kind instance"):
        given.read("a")
    with pytest.raises(DataError, match=r"no image 'aa'\. Nearest: a"):
        given.read("aa")
    with pytest.raises(DataError, match="'a' twice"):
        AnnotatedSet("some", "semantic", STREET, ("a", "a"), str)


def test_formats_are_recognised_by_their_files_only(tmp_path):
    (tmp_path / "x.json").write_text('{"a": 1}')
    (tmp_path / "empty.json").write_bytes(b"")
    for name in ("x.json", "empty.json", "none.json", "."):
        assert find_format(tmp_path / name) is None
    assert {"coco", "coco_panoptic"} <= set(annotation_formats())
    with pytest.raises(SettingsError, match=r"called 'coko'\. Did you mean coco"):
        format_reader("coko")


def test_views_travel():
    given = viewed(set_of("semantic", STREET, a=LabelMap(np.ones((2, 2), np.uint8), STREET)), "instance")
    assert len(pickle.loads(pickle.dumps(given)).read("a").truth) == 1


def test_a_look_into_a_folder_is_bounded(tmp_path):
    for name in ("a/b/x.json", "y.JSON", "z.txt", ".hidden.json", "1/2/3/4/5/deep.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert sorted(path.name for path in few_files(tmp_path, ".json", 9)) == ["x.json", "y.JSON"]
    assert len(few_files(tmp_path, ".json", 1)) == 1
    assert few_files(tmp_path / "none", ".json") == []
    for number in range(2100):
        (tmp_path / "many" / str(number)).parent.mkdir(exist_ok=True)
        (tmp_path / "many" / str(number)).touch()
    assert few_files(tmp_path / "many", ".json") == []
