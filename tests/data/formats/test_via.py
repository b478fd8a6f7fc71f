import json
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intarsia.core import ClassSpace, DataError, InstanceMasks, Instances
from intarsia.data.formats import write_image
from intarsia.data.formats._annotated import Annotated
from intarsia.data.formats.via import read_via, recognizes_via, write_via


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_write_then_read_is_the_identity(data, drawn_objects, object_set, new_folder, same_objects):
    with new_folder() as root:
        objects = data.draw(drawn_objects)
        given_set = object_set(root, objects)
        report = write_via(root / "via.json", given_set)
        assert (report.images, report.lost) == (2, {})
        assert report.round_trip_iou in (1, None)
        same_objects(given_set, read_via(root / "via.json"))
        write_via(root / "via.csv", given_set)
        if {*objects[0].class_id, *objects[1].class_id} == {0, 1, 2}:  # CSV lists no classes
            again = read_via(root / "via.csv")
            assert again.classes.names == ("cat", "large dog", "zebra")
            assert [again.read(key).truth.masks.areas().tolist() for key in again.keys] == [
                given_set.read(key).truth.masks.areas().tolist() for key in given_set.keys
            ]


def test_many_classes_crowds_and_attributes(tmp_path, object_set):
    classes = ClassSpace.from_names([f"class {n}" for n in range(300)])
    masks = InstanceMasks.pack([np.ones((4, 4), np.bool_), np.eye(4, dtype=np.bool_)], (4, 4))
    objects = Instances(masks, np.array([299, 7]), classes, is_crowd=np.array([True, False]))
    given_set = object_set(tmp_path, [objects])
    noted = replace(given_set, reader=lambda key: Annotated(key, objects, properties={"file_attributes": {"by": "me"}}))
    report = write_via(tmp_path / "via.json", noted)
    assert report.objects == {"class 7": 1}
    assert report.lost == {"a crowd was left out: the format knows single objects only": 1}
    annotated = read_via(tmp_path / "via.json")
    assert annotated.classes.names == classes.names
    assert annotated.image_path("first") == tmp_path / "images" / "first.png"
    found = pickle.loads(pickle.dumps(annotated.alone("first"))).read("first")
    assert found.properties == {"file_attributes": {"by": "me"}}
    assert np.array_equal(found.truth.masks.mask(0), np.eye(4))


def region(shape, **attributes):
    return {"shape_attributes": shape, "region_attributes": attributes}


def image_of(*regions, filename="photo.png", size=123, **attributes):
    return {filename + str(size): {"filename": filename, "size": size, "regions": list(regions), "file_attributes": attributes}}


POLYGON = {"name": "polygon", "all_points_x": [1, 4, 4, 1], "all_points_y": [1, 1, 3, 3]}


def test_an_export_as_via_writes_it(tmp_path):
    """Annotations as JSON: shapes of every kind; the class is what boxes are ticked, as VIA writes check boxes."""
    write_image(tmp_path / "photo.png", np.zeros((8, 10), np.uint8))
    content = image_of(
        region(POLYGON, type={"dog": True}, note="first"),
        region({"name": "rect", "x": 7, "y": 5, "width": 2, "height": 2}, type={"cat": True}),
        region({"name": "circle", "cx": 5, "cy": 5, "r": 1.5}, type={"cat": True, "dog": False}),
        region({"name": "ellipse", "cx": 5, "cy": 4, "rx": 3.2, "ry": 0.9, "theta": math.pi / 2}, type={"ant": True}),
        region({"name": "point", "cx": 2, "cy": 2}, type={"ant": True}),
        region({"name": "polyline", "all_points_x": [0, 9], "all_points_y": [0, 0]}, type={"ant": True}),
        region({"name": "cloud"}, type={"ant": True}),
        region(POLYGON, type={"dog": True, "cat": True}),
        region(POLYGON),
    )
    (tmp_path / "via.json").write_text(json.dumps(content))
    assert recognizes_via(tmp_path / "via.json") == "via.json is a JSON file with `regions` and `file_attributes`, as VIA's are."
    annotated = read_via(tmp_path / "via.json")
    assert annotated.classes.names == ("ant", "cat", "dog")
    assert annotated.notes == ("The class of a region is its attribute 'type'.",)
    found = annotated.read("photo")
    assert [annotated.classes.names[i] for i in found.truth.class_id] == ["dog", "cat", "cat", "ant"]
    assert found.truth.masks.areas().tolist() == [6, 4, 4, 12]
    assert found.truth.masks.boxes_xyxy.tolist() == [[1, 1, 4, 3], [7, 5, 9, 7], [4, 4, 6, 6], [4, 1, 6, 7]]
    assert [text.split(" that")[0][:20] for text in found.lost] == [
        "a line or point has ",
        "a line or point has ",
        "a region of an unkno",
        "a region",
        "a region",
    ]
    assert read_via(tmp_path / "via.json", line_width=2).read("photo").truth.masks.areas().tolist()[4:] == [4, 10]


def test_a_project_lists_its_classes(tmp_path):
    options = {"type": "dropdown", "options": {"1": "small dog", "2": "cat"}}
    project = {
        "_via_settings": {"core": {"default_filepath": "./pictures/"}},
        "_via_img_metadata": image_of(region(POLYGON, kind="2"), width="10", height="8"),
        "_via_attributes": {"region": {"kind": options}, "file": {}},
    }
    write_image(tmp_path / "pictures" / "photo.png", np.zeros((8, 10), np.uint8))
    (tmp_path / "project.json").write_text(json.dumps(project))
    annotated = read_via(tmp_path / "project.json")
    assert annotated.classes.names == ("small dog", "cat")
    assert annotated.read("photo").truth.class_id.tolist() == [1]
    assert annotated.image_path("photo") == tmp_path / "pictures" / "photo.png"


def test_csv_as_via_exports_it_and_regions_without_attributes(tmp_path):
    (tmp_path / "via.csv").write_text(
        "#filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"
        'photo.png,123,"{""width"":10,""height"":8}",2,0,"{""name"":""rect"",""x"":1,""y"":1,""width"":3,""height"":2}","{}"\n'
        'photo.png,123,"{}",2,1,"{""name"":""circle"",""cx"":5,""cy"":5,""r"":1.5}","{}"\n'
        'empty.png,7,"{""width"":4,""height"":4}",0,0,"{}","{}"\n'
    )
    assert recognizes_via(tmp_path / "via.csv") is not None
    annotated = read_via(tmp_path / "via.csv", images=tmp_path / "in")
    assert annotated.classes.names == ("object",)
    assert annotated.image_path("empty") == tmp_path / "in" / "empty.png"
    assert annotated.read("photo").truth.masks.areas().tolist() == [6, 4]
    assert len(annotated.read("empty").truth) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"via\.json is no JSON file"),
        ("[]", r"via\.json is no file of VIA \(AttributeError"),
        ('{"a": {}}', r"via\.json is no file of VIA \(KeyError: 'filename'\)"),
        (image_of(region(POLYGON, x="1", y="2")), r"which attribute is the class of a region\? They are x, y\."),
        (image_of(), r"via\.json holds 1 images and no region of a class"),
        (image_of(region(POLYGON), filename="../photo.png"), r"via\.json names an image '\.\./photo'"),
        (image_of(region(POLYGON)), r"There is no file .*photo\.png"),
        (image_of(region({"name": "rect", "x": 1}), width=4, height=4), r"via\.json is no file of VIA \(KeyError: 'y'\)"),
        (image_of(region({**POLYGON, "all_points_x": [1]}), width=4, height=4), r"via\.json is no file of VIA \(ValueError"),
        (image_of(region({**POLYGON, "all_points_x": [1, 2, 3, 1e99]}), width=4, height=4), r"via\.json: .* coordinate 1e\+99"),
        (image_of(region(POLYGON), width="4", height="-4"), r"via\.json, photo, says that its image is '-4' x '4'"),
    ],
)
def test_errors(tmp_path, text, message):
    (tmp_path / "via.json").write_text(text if isinstance(text, str) else json.dumps(text))
    with pytest.raises(DataError, match=message):
        read_via(tmp_path / "via.json").read("photo")


def test_errors_of_csv(tmp_path):
    (tmp_path / "via.csv").write_text("filename,a\nb,c\n")
    assert recognizes_via(tmp_path / "via.csv") is None
    with pytest.raises(DataError, match=r"via\.csv is no CSV file of VIA: it has no column file_size"):
        read_via(tmp_path / "via.csv")
