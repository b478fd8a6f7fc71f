import json
import pickle

import numpy as np
import pytest
from cityscapesscripts.helpers.annotation import Annotation as Theirs
from cityscapesscripts.preparation.json2instanceImg import createInstanceImage
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from intarsia.core import ClassSpace, DataError, LabelMap, Panoptic, Segment
from intarsia.data.formats import write_image
from intarsia.data.formats._annotated import Annotated, AnnotatedSet
from intarsia.data.formats._masks import write_ids
from intarsia.data.formats.cityscapes import CITYSCAPES_CLASSES, read_cityscapes
from intarsia.data.formats.cityscapes_polygons import (
    read_cityscapes_polygons,
    recognizes_cityscapes_polygons,
    write_cityscapes_polygons,
)
from intarsia.data.formats.class_instance import segments_of

NAMES = ["car", "dog", "road", "sky"]
CLASSES = ClassSpace.from_names(NAMES, things=["car", "dog"])
maps = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 8)))


def panoptic_of(ids, classes=CLASSES):
    """1 to 3 cars, 4 and 5 dogs, 6 a crowd of dogs, 7 road, 8 sky."""
    labels = np.array([classes.ignore_id, 0, 0, 0, 1, 1, 1, 2, 3])[ids]
    return segments_of(LabelMap(labels, classes), np.where(ids < 6, ids, 0), "a", "b")


def set_of(panoptics):
    found = {f"in/image{n}": panoptic for n, panoptic in enumerate(panoptics)}
    return AnnotatedSet(
        name="drawn",
        kind="panoptic",
        classes=panoptics[0].classes,
        keys=tuple(found),
        reader={key: Annotated(key, panoptic) for key, panoptic in found.items()}.__getitem__,
    )


@given(maps)
@settings(max_examples=60, deadline=None)
def test_write_then_read_is_the_identity(new_folder, ids):
    everything = panoptic_of(np.arange(9, dtype=np.uint8)[None])  # so that all classes occur in the files
    with new_folder() as root:
        panoptic = panoptic_of(ids)
        report = write_cityscapes_polygons(root, set_of([panoptic, everything]))
        assert report.lowest_iou == 1
        annotated = pickle.loads(pickle.dumps(read_cityscapes_polygons(root)))
        assert annotated.classes.names == CLASSES.names
        assert annotated.classes.thing_ids == CLASSES.thing_ids
        found = annotated.read("in/image0").truth
        assert found.ids.tolist() == panoptic.ids.tolist()
        assert found.segments == panoptic.segments


def polygon(label, *points, **more):
    return {"date": "01-Jan-2015 10:00:00", "deleted": 0, "id": 0, "label": label, "polygon": list(map(list, points)), **more}


def official(folder, *objects, height=20, width=30):
    path = folder / "gtFine" / "val" / "ulm" / "ulm_000000_000019_gtFine_polygons.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"imgHeight": height, "imgWidth": width, "objects": list(objects)}, indent=4))
    return path


def test_files_of_cityscapes_are_painted_as_its_scripts_do(tmp_path):
    rng = np.random.default_rng(0)
    labels = ["road", "car", "cargroup", "person", "static", "sky", "license plate", "caravan", "polegroup", "unlabeled", "bus"]
    objects = [polygon("road", (0, 5), (29, 5), (29, 19), (0, 19))]
    for label in labels * 2:
        points = rng.integers(-3, 33, (int(rng.integers(2, 7)), 2)).tolist()
        objects.append(polygon(label, *points, deleted=int(rng.random() < 0.2)))
    path = official(tmp_path, *objects)
    write_image(tmp_path / "leftImg8bit" / "val" / "ulm" / "ulm_000000_000019_leftImg8bit.png", np.zeros((20, 30, 3), np.uint8))
    assert recognizes_cityscapes_polygons(tmp_path).startswith("ulm_000000_000019_gtFine_polygons.json has `imgHeight`")
    annotated = read_cityscapes_polygons(tmp_path)
    key = "val/ulm/ulm_000000_000019"
    assert (annotated.keys, annotated.splits) == ((key,), {"val": [key]})
    assert annotated.image_path(key).is_file()
    theirs = Theirs()
    theirs.fromJsonFile(str(path))
    image = np.array(createInstanceImage(theirs, "ids")).astype(np.uint16)
    expected = read_cityscapes(write_ids(tmp_path / "theirs.png", image, bits=16))
    found = annotated.read(key).truth
    assert found.classes is CITYSCAPES_CLASSES
    assert found.ids.tolist() == expected.ids.tolist()
    assert found.segments == expected.segments
    assert len(found.segments) > 5


def test_objects_of_several_pieces_are_said_and_void_is_painted_again(tmp_path):
    ids = np.zeros((5, 7), np.uint8)
    ids[:, :] = 7
    ids[1:4, 1:4] = 0  # void within a road, and a car within that
    ids[2, 2] = ids[2, 6] = 1
    report = write_cityscapes_polygons(tmp_path, set_of([panoptic_of(ids)]))
    assert (report.round_trip_iou, report.images) == (1, 1)
    assert report.lost == {"an object of several pieces: programs that know no `object` count each piece": 1}
    content = json.loads((tmp_path / "in" / "image0_polygons.json").read_text())
    assert [entry["label"] for entry in content["objects"]] == ["road", "unlabeled", "car", "car"]
    assert content["objects"][1]["polygon"] == [[1, 1], [1, 3], [3, 3], [3, 1]]
    assert sorted(entry["polygon"] for entry in content["objects"][2:]) == [[[2, 2]] * 3, [[6, 2]] * 3]


def test_three_hundred_classes_and_stuff_alone(tmp_path):
    classes = ClassSpace.from_names([f"class {n:03}" for n in range(300)])
    ids = np.arange(300).reshape(15, 20) + 1
    panoptic = Panoptic(ids, tuple(Segment(n, n - 1) for n in range(1, 301)), classes)
    write_cityscapes_polygons(tmp_path, set_of([panoptic]))
    found = read_cityscapes_polygons(tmp_path)
    assert found.classes.names == classes.names
    assert found.read("in/image0").truth.ids.tolist() == ids.tolist()
    counted = read_cityscapes_polygons(tmp_path, things=["class 007"])
    assert counted.classes.thing_ids == (7,)
    assert len(counted.read("in/image0").truth.segments) == 300


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ([polygon("tree", (0, 0), (5, 5))], r"gtFine_polygons\.json has a polygon of 'tree', which is none of the classes road"),
        ([polygon("car", (0, 0, 1), (5, 5, 1))], r"gtFine_polygons\.json is no file of Cityscapes polygons \(ValueError"),
        ([polygon("car", (0, 0), (5, 1e99))], r"gtFine_polygons\.json: a polygon of 'car' leads to 1e\+99, far outside"),
        ([polygon("car", (0, 0), (5, float("nan")))], r"leads to nan"),
        ([polygon("car", (0, 0), (5, 5), object=-1)], r"numbers an object -1"),
        ([3], r"gtFine_polygons\.json is no file of Cityscapes polygons \(TypeError"),
    ],
)
def test_errors(tmp_path, objects, message):
    official(tmp_path, *objects)
    with pytest.raises(DataError, match=message):
        read_cityscapes_polygons(tmp_path).read("val/ulm/ulm_000000_000019")


def test_sizes_and_nothing(tmp_path):
    assert recognizes_cityscapes_polygons(tmp_path / "no") is None
    with pytest.raises(DataError, match=r"holds no file whose name ends in _polygons\.json"):
        read_cityscapes_polygons(tmp_path)
    official(tmp_path, polygon("car"), height=0)
    with pytest.raises(DataError, match="its image is 0 x 30"):
        read_cityscapes_polygons(tmp_path).read("val/ulm/ulm_000000_000019")
    official(tmp_path, polygon("car"))
    found = read_cityscapes_polygons(tmp_path).read("val/ulm/ulm_000000_000019")
    assert found.lost == ("a polygon of fewer than two points was left out",)
    assert found.truth.segments == ()
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "x_polygons.json").write_text('{"objects": []}')
    with pytest.raises(DataError, match="holds 1 polygon files and no polygon of a class"):
        read_cityscapes_polygons(tmp_path / "x")
