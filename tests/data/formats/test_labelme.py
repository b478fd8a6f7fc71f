import base64
import json
import pickle
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from intarsia.core import ClassSpace, DataError, InstanceMasks, Instances
from intarsia.data.formats._annotated import Annotated
from intarsia.data.formats.labelme import read_labelme, recognizes_labelme, write_labelme


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_write_then_read_is_the_identity(data, drawn_objects, object_set, new_folder, same_objects):
    with new_folder() as root:
        given_set = object_set(root, data.draw(drawn_objects))
        report = write_labelme(root, given_set)
        assert (report.images, report.lost) == (2, {})
        assert report.round_trip_iou in (1, None)
        same_objects(given_set, read_labelme(root))


def test_many_classes_crowds_and_flags_stay(tmp_path, object_set):
    classes = ClassSpace.from_names([f"class {n}" for n in range(300)])
    masks = InstanceMasks.pack([np.ones((4, 4), np.bool_), np.eye(4, dtype=np.bool_)], (4, 4))
    objects = Instances(masks, np.array([299, 7]), classes, is_crowd=np.array([False, True]))
    given_set = object_set(tmp_path, [objects])
    marked = replace(given_set, reader=lambda key: Annotated(key, objects, properties={"flags": {"night": True}}))
    assert write_labelme(tmp_path, marked).objects == {"class 299": 1, "class 7": 1}
    found = pickle.loads(pickle.dumps(read_labelme(tmp_path))).read("first")
    assert found.truth.class_id.tolist() == [299, 7]
    assert found.truth.is_crowd.tolist() == [False, True]
    assert found.properties == {"flags": {"night": True}}


def shape(kind, points, label="dog", **more):
    return {
        "label": label,
        "points": points,
        "group_id": None,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": None,
        **more,
    }


def exported(*shapes, **more):
    """A file as labelme 5.5 saves it."""
    content = {"version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": "photo.jpg", "imageData": "aGVsbG8="}
    return json.dumps({**content, "imageHeight": 8, "imageWidth": 10, **more}, indent=2)


def png_text(mask):
    buffer = BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_a_file_as_labelme_writes_it(tmp_path):
    mask = np.array([[True, False, True]])
    (tmp_path / "photo.json").write_text(
        exported(
            shape("polygon", [[1.0, 1.0], [4.0, 1.0], [4.0, 3.0], [1.0, 3.0]]),
            shape("rectangle", [[9.0, 7.0], [7.0, 5.0]], "cat"),
            shape("circle", [[5.0, 5.0], [6.5, 5.0]], "cat"),
            shape("mask", [[0.0, 7.0], [2.0, 7.0]], "ant", mask=png_text(mask)),
            shape("polygon", [[0, 0], [1, 0], [1, 1], [0, 1]], "zoo", group_id=3),
            shape("polygon", [[9, 0], [10, 0], [10, 1], [9, 1]], "zoo", group_id=3),
            shape("point", [[2, 2]]),
            shape("linestrip", [[0, 0], [5, 5], [9, 0]]),
            shape("cuboid", [[0, 0], [5, 5]]),
            shape("polygon", [[0, 0], [5, 5], [9, 0]], "__ignore__"),
        )
    )
    assert recognizes_labelme(tmp_path) == "photo.json has `shapes` and an `imagePath`, as labelme's files have."
    annotated = read_labelme(tmp_path)
    assert annotated.classes.names == ("ant", "cat", "dog", "zoo")
    assert annotated.image_path("photo") == tmp_path / "photo.jpg"
    found = annotated.read("photo")
    assert [annotated.classes.names[i] for i in found.truth.class_id] == ["dog", "cat", "cat", "ant", "zoo"]
    assert found.truth.masks.areas().tolist() == [6, 4, 4, 2, 2]
    assert found.truth.masks.boxes_xyxy.tolist() == [[1, 1, 4, 3], [7, 5, 9, 7], [4, 4, 6, 6], [0, 7, 3, 8], [0, 0, 10, 1]]
    assert [text.split(" ")[1] for text in found.lost] == ["line", "line", "shape", "shape"]
    wide = read_labelme(tmp_path, line_width=2).read("photo").truth
    assert wide.masks.areas().tolist()[5] == 4  # a point with diameter 2 at a corner of pixels
    assert wide.masks.boxes_xyxy.tolist()[6] == [0, 0, 10, 6]


def test_images_where_the_path_says_or_beside(tmp_path):
    (tmp_path / "in").mkdir()
    square = shape("polygon", [[0, 0], [1, 0], [1, 1]])
    (tmp_path / "in" / "a.json").write_text(exported(square, imagePath="..\\pictures\\a.jpg"))
    (tmp_path / "in" / "b.json").write_text(exported(square, imagePath="C:\\Users\\me\\b.jpg"))
    (tmp_path / "in" / "c.json").write_text(exported(square, imagePath="../../../etc/c.jpg"))
    annotated = read_labelme(tmp_path)
    assert [annotated.image_path(key).relative_to(tmp_path).as_posix() for key in annotated.keys] == [
        "pictures/a.jpg",
        "in/b.jpg",
        "in/c.jpg",
    ]


def test_fewer_corners_are_measured(tmp_path, object_set):
    rows, columns = np.mgrid[:60, :60]
    disc = (rows - 30) ** 2 + (columns - 30) ** 2 < 600
    classes = ClassSpace.from_names(["disc"])
    given_set = object_set(tmp_path, [Instances(InstanceMasks.pack([disc], (60, 60)), np.zeros(1, np.int32), classes)])
    report = write_labelme(tmp_path, given_set, tolerance=1)
    assert 0.95 < report.round_trip_iou < 1
    found = read_labelme(tmp_path).read("first").truth.masks.mask(0)
    assert report.lowest_iou == pytest.approx((found & disc).sum() / (found | disc).sum())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"photo\.json is no JSON file"),
        ("[]", r"photo\.json is no file of labelme \(TypeError"),
        (exported({"label": "dog"}), r"photo\.json is no file of labelme \(KeyError: 'points'\)"),
        (exported(shape("polygon", [[0, 0, 1]])), r"is no list of pairs x, y"),
        (exported(shape("polygon", [[0, 0], [1e300, 1], [1, 1]])), r"photo\.json: A polygon has the coordinate 1e\+300"),
        (exported(shape("polygon", [[0, 0]]), imageHeight=-3), r"says that its image is -3 x 10"),
        (exported(shape("polygon", [[0, 0]]), imageHeight=10**9), r"photo\.json: its header says 1000000000 x 10"),
        (exported(shape("mask", [[0, 0], [2, 2]], mask="aGVsbG8=")), r"A shape of type mask cannot be read"),
        (exported(shape("circle", [[0, 0]])), r"photo\.json is no file of labelme \(IndexError"),
    ],
)
def test_errors(tmp_path, text, message):
    (tmp_path / "photo.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_labelme(tmp_path).read("photo")


def test_nothing_to_read(tmp_path):
    assert recognizes_labelme(tmp_path / "no") is None
    assert recognizes_labelme(tmp_path) is None
    with pytest.raises(DataError, match="holds no JSON file of labelme"):
        read_labelme(tmp_path)
    (tmp_path / "photo.json").write_text(exported())
    with pytest.raises(DataError, match=r"1 files of labelme without a single shape, and no labels\.txt"):
        read_labelme(tmp_path)
