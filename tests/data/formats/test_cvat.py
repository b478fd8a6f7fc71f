import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intarsia.core import ClassSpace, DataError, InstanceMasks, Instances
from intarsia.data.formats import write_image
from intarsia.data.formats._annotated import Annotated
from intarsia.data.formats.cvat import read_cvat, recognizes_cvat, write_cvat


@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_write_then_read_is_the_identity(data, drawn_objects, object_set, new_folder, same_objects):
    with new_folder() as root:
        given_set = object_set(root, data.draw(drawn_objects))
        for polygons in (False, True):
            report = write_cvat(root / "annotations.xml", given_set, polygons=polygons)
            assert (report.images, report.lost) == (2, {})
            assert report.round_trip_iou in ((1, None) if polygons else (None,))
            same_objects(given_set, read_cvat(root))


def test_many_classes_crowds_attributes_colors_and_splits(tmp_path, object_set):
    classes = ClassSpace.from_names([f'class "{n}" <&>' for n in range(300)])
    masks = InstanceMasks.pack([np.ones((4, 4), np.bool_), np.eye(4, dtype=np.bool_)], (4, 4))
    objects = Instances(masks, np.array([299, 7]), classes, is_crowd=np.array([True, False]))
    noted = Annotated("first", objects, properties={"attributes": [{}, {"breed": "a & b"}]})
    given_set = replace(object_set(tmp_path, [objects]), reader={"first": noted}.__getitem__, splits={"val": ("first",)})
    assert write_cvat(tmp_path / "annotations.xml", given_set).lost == {}
    annotated = read_cvat(tmp_path)
    assert annotated.classes.names == classes.names
    assert np.array_equal(annotated.classes.colors, classes.colors)
    assert annotated.splits == {"val": ["first"]}
    assert annotated.image_path("first") == tmp_path / "images" / "first.png"
    found = pickle.loads(pickle.dumps(annotated.alone("first"))).read("first")
    assert found.properties == {"attributes": [{}, {"breed": "a & b"}]}
    assert found.truth.is_crowd.tolist() == [True, False]
    fewer = replace(noted, truth=objects.select(np.array([1])))
    report = write_cvat(tmp_path / "b.xml", replace(given_set, reader={"first": fewer}.__getitem__))
    assert report.lost == {"attributes of objects were left out: the objects are not those that were read": 1}


def export(*shapes, meta="", **attributes):
    said = {"id": "0", "name": "photo.jpg", "width": "10", "height": "8", **attributes}
    image = " ".join(f'{name}="{value}"' for name, value in said.items())
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    <task>\n'
        f"      <labels>{meta}</labels>\n    </task>\n    <dumped>2024-01-01 00:00:00+00:00</dumped>\n  </meta>\n"
        f"  <image {image}>\n    " + "\n    ".join(shapes) + "\n  </image>\n</annotations>\n"
    )


LABELS = """<label><name>dog</name><color>#ff8000</color><type>any</type><attributes></attributes></label>
<label><name>cat</name><color>#0000ff</color><type>any</type></label>
<label><name>paw</name><color>#111111</color><parent>skeleton</parent></label>"""
POLYGON = (
    '<polygon label="dog" source="manual" occluded="0" points="1.00,1.00;4.00,1.00;4.00,3.00;1.00,3.00" z_order="0"></polygon>'
)


def test_an_export_as_cvat_writes_it(tmp_path):
    """Areas by hand: 3 x 2 in front of all; 2 x 3, turned by a quarter; run lengths 1 off, 2 on, 1 off; 4 + 1 in one group."""
    shapes = [
        POLYGON.replace('z_order="0"', 'z_order="7"'),
        '<box label="cat" source="manual" occluded="0" xtl="4" ytl="3" xbr="6" ybr="6" rotation="90.0" z_order="0"></box>',
        '<mask label="cat" source="semi-auto" occluded="0" rle="1, 2, 1" left="8" top="6" width="2" height="2" z_order="1">'
        '<attribute name="age">old</attribute></mask>',
        '<ellipse label="dog" source="manual" occluded="0" cx="5" cy="4" rx="3.2" ry="0.9" rotation="90" z_order="2"/>',
        '<box label="dog" occluded="0" xtl="0" ytl="0" xbr="2" ybr="2" z_order="3" group_id="5"/>',
        '<box label="dog" occluded="0" xtl="9" ytl="0" xbr="10" ybr="1" z_order="3" group_id="5">'
        '<attribute name="is_crowd">true</attribute></box>',
        '<polyline label="dog" points="1,1;2,2" z_order="0"/>',
        '<polyline label="dog" points="1,1;3,2" z_order="0"/>',
        '<points label="dog" points="1,1" z_order="0"/>',
        '<tag label="outdoor" source="manual"/>',
        '<cloud label="dog"/>',
        '<box label="dog" xtl="20" ytl="20" xbr="22" ybr="22"/>',
    ]
    (tmp_path / "annotations.xml").write_text(export(*shapes, meta=LABELS, subset="Validation"))
    assert recognizes_cvat(tmp_path) == "annotations.xml is an XML file of `annotations` with images, as CVAT's are."
    write_image(tmp_path / "images" / "Validation" / "photo.jpg", np.zeros((8, 10), np.uint8))
    annotated = read_cvat(tmp_path)
    assert annotated.classes.names == ("dog", "cat")
    assert annotated.classes.colors.tolist() == [[255, 128, 0], [0, 0, 255]]
    assert annotated.splits == {"val": ["photo"]}
    assert annotated.image_path("photo") == tmp_path / "images" / "Validation" / "photo.jpg"
    found = annotated.read("photo")
    assert [annotated.classes.names[i] for i in found.truth.class_id] == ["cat", "cat", "dog", "dog", "dog"]
    assert found.truth.masks.areas().tolist() == [6, 2, 12, 5, 6]
    assert found.truth.masks.boxes_xyxy[1:].tolist() == [[8, 6, 10, 8], [4, 1, 6, 7], [0, 0, 10, 2], [1, 1, 4, 3]]
    assert np.array_equal(found.truth.masks.crop(1), [[0, 1], [1, 0]])
    assert found.truth.is_crowd.tolist() == [False, False, False, True, False]
    assert found.properties == {"attributes": [{}, {"age": "old"}, {}, {}, {}]}
    assert sorted(found.lost) == [
        "a polyline has no area and was left out",
        "a polyline has no area and was left out",
        "a shape of an unknown type was left out",
        "a tag of a whole image was left out",
        "an object without a pixel was left out",
        "points have no area and were left out",
    ]


def test_an_image_name_that_no_file_system_takes(tmp_path):
    (tmp_path / "annotations.xml").write_text(export(POLYGON, name="a" * 300))
    annotated = read_cvat(tmp_path)
    assert annotated.image_path("a" * 300) == tmp_path / "images" / ("a" * 300)
    assert len(annotated.read("a" * 300).truth) == 1


def test_a_project_uses_a_name_in_two_subsets(tmp_path):
    text = export(POLYGON, subset="Train")
    image = text[text.index("  <image") : text.index("</annotations>")]
    (tmp_path / "annotations.xml").write_text(text.replace("</annotations>", f"{image.replace('Train', 'Test')}</annotations>"))
    annotated = read_cvat(tmp_path / "annotations.xml", images=tmp_path / "in")
    assert annotated.keys == ("train/photo", "test/photo")
    assert annotated.splits == {"train": ["train/photo"], "test": ["test/photo"]}
    assert annotated.image_path("test/photo") == tmp_path / "in" / "photo.jpg"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotations><image", r"annotations\.xml is no XML file"),
        ("<annotation/>", r"annotations\.xml is no file of CVAT for images \(<annotation>\)"),
        ("<annotations><track/></annotations>", r"it holds tracks\)\. Export it as `CVAT for images 1\.1`"),
        ("<annotations><image/></annotations>", r"annotations\.xml is no file of CVAT \(KeyError: 'name'\)"),
        (export(), r"annotations\.xml holds 1 images and no label"),
        (export(POLYGON, name="../photo.jpg"), r"annotations\.xml names an image '\.\./photo'"),
        (export(POLYGON, subset="../.."), r"annotations\.xml names '\.\./\.\./photo\.jpg'"),
        (export(POLYGON, width="-4"), r"annotations\.xml, photo, says that its image is '8' x '-4'"),
        (export(POLYGON.replace("4.00,1.00", "4.00")), r"annotations\.xml is no file of CVAT \(ValueError"),
        (export(POLYGON.replace("4.00,1.00", "1e99,0")), r"annotations\.xml: .* coordinate 1e\+99"),
        (
            export('<mask label="a" rle="1, 2" left="0" top="0" width="2" height="2"/>'),
            "run lengths of a mask add up to 3, .* 2 x 2",
        ),
        (
            export('<mask label="a" rle="4" left="9" top="0" width="2" height="2"/>'),
            r"row 0, column 9 leaves its image of \(8, 10\)",
        ),
    ],
)
def test_errors(tmp_path, text, message):
    (tmp_path / "annotations.xml").write_text(text)
    with pytest.raises(DataError, match=message):
        read_cvat(tmp_path).read("photo")
