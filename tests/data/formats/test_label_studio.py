import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from intarsia.core import ClassSpace, DataError, InstanceMasks, Instances, SegmentationError
from intarsia.data.datasets.annotations import Annotations
from intarsia.data.formats import write_image
from intarsia.data.formats._annotated import Annotated
from intarsia.data.formats._brush_rle import decode_brush, encode_brush
from intarsia.data.formats.label_studio import read_label_studio, recognizes_label_studio, write_label_studio

HEADER = "001110010001101111111"  # values of 8 bits, lengths of 3, 4, 8 and 16


def packed(bits):
    bits += "0" * (-len(bits) % 8)
    return [int(bits[n : n + 8], 2) for n in range(0, len(bits), 8)]


def test_brush_masks_bit_by_bit():
    """2 x 3 pixels of four values: runs of 4 and 8 have lengths of 3 bits, so each is 1 00 LLL VVVVVVVV."""
    on, off = "11111111", "00000000"
    runs = f"100011{on}100111{off}100111{on}100011{off}"
    values = packed(f"{24:032b}{HEADER}{runs}")
    mask = np.array([[1, 0, 0], [1, 1, 0]], np.bool_)
    assert encode_brush(mask) == values
    assert np.array_equal(decode_brush(values, (2, 3)), mask)


def test_brush_masks_with_soft_edges_and_values_one_by_one():
    """Colours that differ: 0 00 LLL and the values. Alpha of 128 is inside, of 127 not."""
    pixels = [(1, 255, 3, 128), (255, 255, 255, 127)]
    values = packed(f"{8:032b}{HEADER}000111" + "".join(f"{v:08b}" for pixel in pixels for v in pixel))
    assert decode_brush(values, (1, 2)).tolist() == [[True, False]]
    across = packed(f"{8:032b}{HEADER}100101{200:08b}000001{0:08b}{0:08b}")
    assert decode_brush(across, (2, 1)).tolist() == [[True], [False]], "a run may end inside a pixel"


@given(mask=arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12)))
@settings(max_examples=60, deadline=None)
def test_brush_masks_there_and_back(mask):
    assert np.array_equal(decode_brush(encode_brush(mask), mask.shape), mask)


def test_brush_masks_with_runs_of_every_length():
    """Lengths of 3, 4, 8 and 16 bits, and a run that is longer than the longest."""
    mask = np.zeros((200, 1000), np.bool_)
    mask.flat[[0, 1, 2, 5, 9, 30]] = True
    mask.flat[100_000:] = True
    values = encode_brush(mask)
    assert len(values) < 70
    assert np.array_equal(decode_brush(values, mask.shape), mask)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0] * 6, "list of bytes"),
        ([0, 0, 0, 256, 1, 1, 1], "list of bytes"),
        (encode_brush(np.ones((2, 2), np.bool_)), r"has 16 values, its image of 1 x 2 \(height, width\) has 2 pixels"),
        (packed(f"{8:032b}{HEADER}100011{255:08b}"), "of 9 bytes ends before its 2 pixels do"),
        (packed(f"{8:032b}{HEADER}000111{255:08b}"), "of 9 bytes ends before its 2 pixels do"),
    ],
)
def test_brush_masks_that_are_damaged(values, message):
    with pytest.raises(SegmentationError, match=message):
        decode_brush(values, (1, 2))


def test_a_few_bytes_do_not_make_a_large_mask():
    with pytest.raises(SegmentationError, match="of 9 bytes cannot hold 900,000,000 pixels"):
        decode_brush([*(3_600_000_000).to_bytes(4, "big"), 57, 27, 255, 255, 255], (30_000, 30_000))


@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_write_then_read_is_the_identity(data, drawn_objects, object_set, new_folder, same_objects):
    with new_folder() as root:
        given_set = object_set(root, data.draw(drawn_objects))
        for polygons in (False, True):
            report = write_label_studio(root / "tasks.json", given_set, polygons=polygons)
            assert (report.images, report.lost) == (2, {})
            assert report.round_trip_iou in ((1, None) if polygons else (None,))
            same_objects(given_set, read_label_studio(root / "tasks.json"))


def test_many_classes_crowds_colors_and_annotators(tmp_path, object_set):
    classes = ClassSpace.from_names([f'class "{n}" <&>' for n in range(300)])
    masks = InstanceMasks.pack([np.ones((4, 4), np.bool_), np.eye(4, dtype=np.bool_)], (4, 4))
    objects = Instances(masks, np.array([299, 7]), classes, is_crowd=np.array([True, False]))
    others = (objects.select(np.array([], np.int64)), objects.select(np.array([1, 1])))
    read = {"first": Annotated("first", objects, other_truths=others)}.__getitem__
    report = write_label_studio(tmp_path / "tasks.json", replace(object_set(tmp_path, [objects]), reader=read))
    assert report.objects == {'class "7" <&>': 1}
    assert report.lost == {"a crowd was left out: the format knows single objects only": 1}
    annotated = read_label_studio(tmp_path / "tasks.json")
    assert annotated.classes.names == classes.names
    assert np.array_equal(annotated.classes.colors, classes.colors)
    assert annotated.notes == ("1 images were annotated more than once; the first annotation is the truth.",)
    assert annotated.image_path("first") == tmp_path / "images" / "first.png"
    found = pickle.loads(pickle.dumps(annotated.alone("first"))).read("first")
    assert np.array_equal(found.truth.masks.mask(0), np.eye(4))
    sample = Annotations(annotated).read("first")
    assert [len(truth) for truth in sample.truths] == [1, 0, 2], "one truth for each annotator"


def region(value, **more):
    return {"original_width": 10, "original_height": 8, "image_rotation": 0, "value": value, "to_name": "image", **more}


POLYGON = {"points": [[10, 12.5], [40, 12.5], [40, 37.5], [10, 37.5]], "closed": True, "polygonlabels": ["dog"]}
BOX = {"x": 80, "y": 37.5, "width": 30, "height": 25, "rotation": 90, "rectanglelabels": ["cat"]}
BRUSH = {"format": "rle", "rle": encode_brush(np.arange(80).reshape(8, 10) < 5), "brushlabels": ["cat"]}
ELLIPSE = {"x": 50, "y": 50, "radiusX": 32, "radiusY": 11.25, "rotation": 90, "ellipselabels": ["ant"]}


def task(*results, image="/data/upload/3/0a1b2c3d-photo.jpg", **more):
    annotation = {"id": 5, "completed_by": 1, "was_cancelled": False, "result": list(results)}
    return {"id": 1, "annotations": [annotation], "data": {"image": image}, "predictions": [], **more}


def test_an_export_as_label_studio_writes_it(tmp_path):
    """Areas by hand: 3 x 2; 3 x 2 turned by a quarter about its corner, so 2 x 3 to the left of it; 5; an upright ellipse."""
    write_image(tmp_path / "images" / "photo.jpg", np.zeros((8, 10), np.uint8))
    results = [
        region(POLYGON, id="a", type="polygonlabels"),
        region(BOX, id="b", type="rectanglelabels"),
        region(BRUSH, id="c", type="brushlabels"),
        region(ELLIPSE, id="d", type="ellipselabels"),
        region({"points": POLYGON["points"]}, id="e", type="polygon"),
        region({"points": POLYGON["points"], "labels": ["cat"]}, id="e", type="labels"),
        region({"x": 5, "y": 5, "width": 1, "keypointlabels": ["ant"]}, id="f", type="keypointlabels"),
        region({**POLYGON, "polygonlabels": ["dog", "cat"]}, id="g", type="polygonlabels"),
        region(POLYGON, id="h", type="polygonlabels", image_rotation=90),
        {"id": "i", "type": "choices", "value": {"choices": ["sunny"]}, "to_name": "image", "from_name": "weather"},
        {"from_id": "a", "to_id": "b", "type": "relation", "direction": "right"},
    ]
    second = {"id": 6, "completed_by": 2, "was_cancelled": False, "result": [region(BRUSH, id="x", type="brushlabels")]}
    skipped = {"id": 7, "completed_by": 3, "was_cancelled": True, "result": []}
    first = task(*results)
    first["annotations"] += [skipped, second]
    unlabelled = {"id": 2, "annotations": [], "data": {"image": "s3://bucket/deep/other.png"}}
    (tmp_path / "project.json").write_text(json.dumps([first, unlabelled]))
    why = recognizes_label_studio(tmp_path / "project.json")
    assert why == "project.json is a JSON list of tasks with annotations, as Label Studio's are."
    annotated = read_label_studio(tmp_path / "project.json")
    assert annotated.classes.names == ("ant", "cat", "dog")
    assert annotated.keys == ("0a1b2c3d-photo",)
    assert annotated.image_path("0a1b2c3d-photo") == tmp_path / "images" / "photo.jpg"
    assert annotated.notes[0] == "1 images without an annotation were left out."
    found = annotated.read("0a1b2c3d-photo")
    assert [annotated.classes.names[i] for i in found.truth.class_id] == ["dog", "cat", "cat", "ant", "cat"]
    assert found.truth.masks.areas().tolist() == [6, 6, 5, 12, 6]
    assert found.truth.masks.boxes_xyxy.tolist() == [[1, 1, 4, 3], [6, 3, 8, 6], [0, 0, 5, 1], [4, 1, 6, 7], [1, 1, 4, 3]]
    assert [truth.masks.areas().tolist() for truth in found.other_truths] == [[5]]
    assert sorted(found.lost) == [
        "a key point or another region without an area was left out",
        "a region that does not say one class was left out",
        "a region was left out: it was drawn on an image that was turned in the tool",
        "an answer about a whole image was left out",
        "an answer about a whole image was left out",
    ]


def test_json_min(tmp_path):
    """Regions lie flat in a field of the interface's name, and every annotator has an entry."""
    size = {"original_width": 10, "original_height": 8}
    entries = [
        {"image": "https://host/a/photo.jpg?x=1", "id": 1, "label": [{**POLYGON, **size}, {**BRUSH, **size}], "annotator": 1},
        {"image": "https://host/a/photo.jpg?x=1", "id": 1, "label": [{**BOX, **size}], "weather": ["sunny"], "annotator": 2},
        {"image": "https://host/b/photo.jpg", "id": 2, "label": [{**ELLIPSE, **size}], "annotator": 1, "annotation_id": 9},
    ]
    (tmp_path / "min.json").write_text(json.dumps(entries))
    assert recognizes_label_studio(tmp_path / "min.json") is not None
    annotated = read_label_studio(tmp_path / "min.json", images=tmp_path)
    assert annotated.keys == ("a/photo", "b/photo"), "the last part of the address does not tell them apart"
    assert annotated.image_path("b/photo") == tmp_path / "b" / "photo.jpg"
    found = annotated.read("a/photo")
    assert [truth.masks.areas().tolist() for truth in (found.truth, *found.other_truths)] == [[6, 5], [6]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", r"tasks\.json is no JSON file"),
        ({"a": 1}, r"tasks\.json is no file of Label Studio \(AttributeError"),
        (
            [{"data": {"text": "hello"}}],
            r"tasks\.json is no file of Label Studio \(ValueError: a task names no image, but text\)",
        ),
        ([task()], r"tasks\.json holds 1 images and no region of a class"),
        ([task(region(POLYGON), image="../photo.jpg")], r"tasks\.json names an image '\.\./photo'"),
        ([task(region(POLYGON), image="/data/local-files/?d=../photo.jpg")], r"tasks\.json names an image '\.\./photo'"),
        ([task({"value": POLYGON}, image=f"{'a' * 300}.jpg")], r"has no image 'photo'"),
        ([task({"value": POLYGON}, image="photo.jpg")], r"There is no file .*photo\.jpg"),
        ([task(region(POLYGON, original_width=-1), image="photo.jpg")], r"tasks\.json, photo, says that its image is 8 x -1"),
        ([task(region({**POLYGON, "points": [[1]]}), image="photo.jpg")], r"tasks\.json is no file of Label Studio \(ValueError"),
        ([task(region({**POLYGON, "points": [[1, 1e99]]}), image="photo.jpg")], r"tasks\.json: .* coordinate .*e\+9"),
        ([task(region(BRUSH, original_width=11), image="photo.jpg")], r"tasks\.json: A brush mask has 320 values, .* 8 x 11"),
    ],
)
def test_errors(tmp_path, content, message):
    (tmp_path / "tasks.json").write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DataError, match=message):
        read_label_studio(tmp_path / "tasks.json").read("photo")
