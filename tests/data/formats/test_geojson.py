import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intarsia.core import ClassSpace, DataError, InstanceMasks, Instances
from intarsia.data.formats import write_image
from intarsia.data.formats.geojson import read_geojson, recognizes_geojson, write_geojson


@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_write_then_read_is_the_identity(data, drawn_objects, object_set, new_folder, same_objects):
    with new_folder() as root:
        given_set = object_set(root, data.draw(drawn_objects))
        for path in (root / "all.json", root, root / "alone.geojson"):
            report = write_geojson(path, given_set)
            assert (report.images, report.lost) == (2, {})
            assert report.round_trip_iou in (1, None)
            same_objects(given_set, read_geojson(path))


def test_many_classes_crowds_and_colors(tmp_path, object_set):
    classes = ClassSpace.from_names([f"class {n}" for n in range(300)])
    ring = np.ones((5, 5), np.bool_)
    ring[1:4, 1:4] = False
    ring[2, 2] = True
    masks = InstanceMasks.pack([ring, np.ones((5, 5), np.bool_)], (5, 5))
    objects = Instances(masks, np.array([299, 7]), classes, is_crowd=np.array([False, True]))
    given_set = object_set(tmp_path, [objects])
    for path in (tmp_path, tmp_path / "all" / "labels.geojson"):
        report = write_geojson(path, given_set)
        assert (report.objects, report.lost) == ({"class 299": 1, "class 7": 1}, {})
        annotated = read_geojson(path, images=tmp_path / "images")
        assert annotated.classes.names == classes.names
        assert np.array_equal(annotated.classes.colors, classes.colors)
        assert annotated.image_path("first") == tmp_path / "images" / "first.png"
        found = pickle.loads(pickle.dumps(annotated.alone("first"))).read("first")
        assert np.array_equal(found.truth.masks.mask(0), ring)
        assert found.truth.is_crowd.tolist() == [False, True]
    geometry = json.loads((tmp_path / "first.geojson").read_text())["features"][0]["geometry"]
    assert geometry["type"] == "MultiPolygon"
    assert [len(polygon) for polygon in geometry["coordinates"]] == [2, 1], "the ring with its hole, and the pixel in it"


def test_fewer_corners_are_measured(tmp_path, object_set):
    disk = np.hypot(*(np.mgrid[:40, :40] - 19.5)) < 18
    objects = Instances(InstanceMasks.pack([disk], (40, 40)), np.array([0]), ClassSpace.from_names(["cell"]))
    report = write_geojson(tmp_path, object_set(tmp_path, [objects]), tolerance=1)
    assert 0.9 < report.round_trip_iou < 1
    found = read_geojson(tmp_path).read("first").truth.masks.mask(0)
    assert (found & disk).sum() / (found | disk).sum() == pytest.approx(report.round_trip_iou)


def box(x0, y0, x1, y1):
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]


def feature(kind, coordinates, classification=None, **properties):
    if classification is not None:
        properties["classification"] = classification
    return {
        "type": "Feature",
        "id": "1b9f7fd8-6a4c-4cd7-a0c8-6a5f1c0b2d3e",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": {"objectType": "annotation", **properties, "isLocked": False, "measurements": []},
    }


TUMOR = {"name": "Tumor", "color": [200, 0, 0]}


def test_an_export_as_qupath_writes_it(tmp_path):
    """A hole, pieces, a derived class, old colours, a cell with its nucleus; areas by hand."""
    write_image(tmp_path / "slide.png", np.zeros((8, 10), np.uint8))
    cell = feature("Polygon", [box(0, 6, 2, 8)], {"names": ["Tumor", "Positive"], "color": [250, 62, 62]}, objectType="cell")
    cell["nucleusGeometry"] = {"type": "Polygon", "coordinates": [box(0, 6, 1, 7)]}
    features = [
        feature("Polygon", [box(0, 0, 5, 5), box(1, 1, 3, 3)], TUMOR),
        feature("MultiPolygon", [[box(6, 0, 8, 2)], [box(9, 0, 10, 1)]], {"name": "Stroma", "colorRGB": -6895466}),
        cell,
        feature("Polygon", [box(20, 20, 30, 30)], TUMOR),
        feature("LineString", [[0, 0], [5, 5]], TUMOR),
        feature("Point", [3, 3], {"name": "Seed"}),
        feature("Polygon", [box(0, 0, 1, 1)]),
    ]
    (tmp_path / "slide.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}, indent=2))
    assert recognizes_geojson(tmp_path) == "slide.geojson holds features, as GeoJSON does."
    annotated = read_geojson(tmp_path)
    assert annotated.classes.names == ("Stroma", "Tumor", "Tumor: Positive")
    assert annotated.classes.colors.tolist() == [[150, 200, 150], [200, 0, 0], [250, 62, 62]]
    assert annotated.image_path("slide") == tmp_path / "slide.png"
    found = annotated.read("slide")
    assert found.truth.class_id.tolist() == [1, 0, 2]
    assert found.truth.masks.areas().tolist() == [25 - 4, 5, 4]
    assert sorted(found.lost) == [
        "a line, a point or an object without a geometry was left out",
        "a line, a point or an object without a geometry was left out",
        "an object without a classification was left out",
        "an object without a pixel was left out",
        "the nucleus of a cell was left out: the cell is the object",
    ]


def test_bare_lists_single_features_and_other_properties(tmp_path):
    write_image(tmp_path / "in" / "b.tif", np.zeros((3, 4), np.uint8))
    write_image(tmp_path / "in" / "deep" / "a.png", np.zeros((3, 4), np.uint8))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.geojson").write_text(json.dumps([feature("Polygon", [box(0, 0, 2, 2)], grade=3)]))
    (tmp_path / "b.tif.geojson").write_text(json.dumps(feature("Polygon", [[*box(0, 0, 1, 1)]], grade="x")))
    annotated = read_geojson(tmp_path, images=tmp_path / "in", attribute="grade")
    assert annotated.classes.names == ("3", "x")
    assert {key: annotated.read(key).truth.class_id.tolist() for key in annotated.keys} == {"b.tif": [1], "deep/a": [0]}
    unnamed = read_geojson(tmp_path, images=tmp_path / "in")
    assert unnamed.classes.names == ("object",)
    assert unnamed.read("b.tif").truth.masks.areas().tolist() == [1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", r"a\.geojson is no JSON file"),
        ({"type": "Topology"}, r"a\.geojson is no GeoJSON file \(KeyError: 'features'\)"),
        ([3], r"a\.geojson is no GeoJSON file \(AttributeError"),
        ([], r"holds 1 images and no feature with an area"),
        ([feature("Polygon", [box(0, 0, 1, 1)])], r"a\.geojson does not say how large the image a is"),
        ([feature("Polygon", [box(0, 0, 1, 1)], image="../a.png")], r"a\.geojson names an image '\.\./a'"),
        ([feature("Polygon", [box(0, 0, 1, 1)], image="a.png")], r"There is no file .*a\.png"),
        (
            [feature("Polygon", [box(0, 0, 1, 1)], image="a.png"), feature("Polygon", [])],
            r"a feature says the image None, and others the name of theirs",
        ),
        (
            {"features": [feature("Polygon", [[1, 2]])], "images": [{"name": "a.png", "height": 4, "width": 4}]},
            r"a\.geojson is no GeoJSON file \(TypeError",
        ),
        (
            {"features": [feature("Polygon", [box(0, 0, 1e99, 1)])], "images": [{"name": "a.png", "height": 4, "width": 4}]},
            r"a\.geojson: .* coordinate 1e\+99",
        ),
        (
            {"features": [feature("Polygon", [box(0, 0, 1, 1)])], "images": [{"name": "a.png", "height": 0, "width": 4}]},
            r"a\.geojson, a, says that its image is 0 x 4",
        ),
    ],
)
def test_errors(tmp_path, content, message):
    (tmp_path / "a.geojson").write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DataError, match=message):
        read_geojson(tmp_path / "a.geojson").read("a")


def test_errors_of_folders(tmp_path):
    with pytest.raises(DataError, match=r"holds no file that ends in \.geojson"):
        read_geojson(tmp_path)
    several = [feature("Polygon", [box(0, 0, 1, 1)], image=name) for name in ("a.png", "b.png")]
    (tmp_path / "a.geojson").write_text(json.dumps(several))
    (tmp_path / "b.geojson").write_text("[]")
    with pytest.raises(DataError, match=r"a\.geojson holds 2 images, and files of other images lie beside it"):
        read_geojson(tmp_path)
    (tmp_path / "b.geojson").unlink()
    (tmp_path / "classes.json").write_text('{"pathClasses": [1]}')
    with pytest.raises(DataError, match=r"classes\.json is no list of QuPath's classes \(AttributeError"):
        read_geojson(tmp_path)
