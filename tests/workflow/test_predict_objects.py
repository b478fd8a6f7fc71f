"""What predict writes of objects and panoptic maps."""

import csv
import json

import numpy as np
import pytest

import intarsia
from intarsia.core import ClassSpace, InstanceMasks, Instances, LabelMap, Panoptic, Segment
from intarsia.data.formats import read_image, read_mask_values, read_panoptic, write_image
from intarsia.data.formats.coco import read_coco
from intarsia.data.formats.coco_panoptic import read_coco_panoptic
from intarsia.workflow.object_files import describe_objects

CLASSES = ClassSpace.from_names(["ground", "car", "dog"], things=["car", "dog"])


class Three:
    """A car, a dog that it hides by half, and a dog that is hardly one."""

    name, task, classes = "three", "instance", CLASSES

    def predict(self, image, hints=None):
        masks = np.zeros((3, *image.shape[:2]), np.bool_)
        masks[0, 2:12, 2:12] = masks[1, 2:12, 7:17] = masks[2, 15:, :] = True
        score = np.array([0.75, 0.5, 0.25], np.float32)
        return Instances(InstanceMasks.pack(masks, image.shape[:2]), np.array([1, 2, 2]), CLASSES, score)


class Map(Three):
    task = "panoptic"

    def predict(self, image, hints=None):
        ids = np.ones(image.shape[:2], np.int32)
        ids[4:8, 4:10], ids[0] = 7, 0
        return Panoptic(ids, (Segment(7, 1, 0.875), Segment(1, 0), Segment(9, 2)), CLASSES)


@pytest.fixture
def photos(tmp_path):
    for name in ("a.png", "deep/b.jpg"):
        write_image(tmp_path / "photos" / name, np.full((20, 30, 3), 90, np.uint8))
    return tmp_path / "photos"


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_objects_become_numbers_a_table_and_a_coco_file(photos, tmp_path):
    rows = intarsia.predict([photos], model=Three(), out=tmp_path / "out")
    assert [row.objects for row in rows] == [{"car": 1, "dog": 1}] * 2
    values = read_mask_values(tmp_path / "out/masks/deep/b.png").values
    assert values.dtype == np.uint16
    assert np.bincount(values.ravel()).tolist() == [20 * 30 - 150, 100, 50], "the better one is seen"
    objects = table(tmp_path / "out/objects.csv")
    assert [row["image"].endswith(("a.png", "b.jpg")) for row in objects] == [True] * 4
    assert list(objects[1].values())[1:] == ["2", "dog", "0.5000", "100", "7", "2", "17", "12"]
    summary = table(tmp_path / "out/summary.csv")
    assert (summary[0]["objects car"], summary[0]["objects dog"], summary[0]["pixels dog"]) == ("1", "1", "100")
    coco = read_coco(tmp_path / "out/instances.json")
    assert list(coco.instances) == ["a.png", "deep/b.jpg"]
    assert coco.instances["a.png"].masks.areas().tolist() == [100, 100], "overlaps are kept"
    assert coco.instances["a.png"].score.tolist() == [0.75, 0.5]
    plain = read_image(intarsia.predict([photos / "a.png"], model=Three(), out=tmp_path / "plain", overlays=True)[0].overlay)
    assert (plain != 90).any()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "instances.json",
        "masks",
        "objects.csv",
        "overlays",
        "summary.csv",
    ]


def test_the_least_score_can_be_chosen(photos, tmp_path):
    for least, count in ((0, 3), (0.6, 1), (0.9, 0)):
        (row,) = intarsia.predict([photos / "a.png"], model=Three(), out=tmp_path / "out", min_score=least)
        assert sum(row.objects.values()) == count
        assert len(read_coco(tmp_path / "out/instances.json").instances["a.png"]) == count


def test_predictions_are_scored_as_they_are(photos, tmp_path):
    """The JSON against itself as truth, and the masks against the JSON."""
    out = tmp_path / "out"
    intarsia.predict([photos], model=Three(), out=out, overlays=False)
    scores = intarsia.score(out / "instances.json", out / "instances.json", "instance").scores
    assert scores["coco_mask_ap"]["ap"] == pytest.approx(1)
    intarsia.predict([photos], model=Map(), out=tmp_path / "maps", overlays=False)
    maps = tmp_path / "maps/masks"
    assert intarsia.score(maps, maps, "panoptic").scores["panoptic_quality"]["pq"] == 1


def test_panoptic_maps_become_segment_ids_with_a_list(photos, tmp_path):
    (row,) = intarsia.predict([photos / "a.png"], model=Map(), out=tmp_path / "out")
    assert row.objects == {"car": 1, "dog": 0}
    again = read_panoptic(tmp_path / "out/masks/a.png")
    assert np.array_equal(again.ids, Map().predict(np.zeros((20, 30, 3))).ids)
    assert again.segments[0] == Segment(7, 1, 0.875)
    objects = table(tmp_path / "out/objects.csv")
    assert [(r["object"], r["class"], r["area"]) for r in objects] == [("7", "car", "24"), ("1", "ground", "546")]
    assert not (tmp_path / "out/instances.json").exists()


def test_panoptic_maps_of_a_run_become_one_coco_file(photos, tmp_path):
    write_image(photos / "a.jpg", np.full((20, 30, 3), 90, np.uint8))  # beside a.png
    out = photos / "out"
    for _ in range(2):  # the second time what the first one wrote lies among the inputs
        rows = intarsia.predict([photos], model=Map(), out=out, overlays=False)
        assert len(rows) == 3
    file = read_coco_panoptic(out / "panoptic.json")
    assert file.images == {"a.jpg.png": "a.jpg", "a.png.png": "a.png", "deep/b.png": "deep/b.jpg"}
    expected = Map().predict(np.zeros((20, 30, 3)))
    for name in file.segments:
        again = file.read(name)
        assert np.array_equal(again.ids, expected.ids)
        assert again.segments == expected.segments[:2], "that without a pixel is left out"
    content = json.loads((out / "panoptic.json").read_text())
    assert content["images"][2] == {"id": 3, "file_name": "deep/b.jpg", "height": 20, "width": 30}
    car = {"id": 7, "category_id": 2, "area": 24, "bbox": [4, 4, 6, 4], "iscrowd": 0, "score": 0.875}
    assert content["annotations"][2]["segments_info"][0] == car
    assert intarsia.score(out / "panoptic.json", out / "masks", "panoptic").scores["panoptic_quality"]["pq"] == 1


def test_maps_of_classes_have_no_objects(photos, tmp_path):
    class Plain(Three):
        task = "semantic"

        def predict(self, image, hints=None):
            return LabelMap(np.zeros(image.shape[:2], np.uint8), CLASSES)

    (row,) = intarsia.predict([photos / "a.png"], model=Plain(), out=tmp_path / "out")
    assert row.objects == {}
    assert not (tmp_path / "out/objects.csv").exists()
    assert describe_objects(LabelMap(np.zeros((2, 2), np.uint8))) == []


def test_what_was_done_before_an_error_is_kept(photos, tmp_path):
    class Second(Three):
        def predict(self, image, hints=None):
            if len(done := list((tmp_path / "out/masks").rglob("*.png"))):
                raise ZeroDivisionError(done)
            return super().predict(image)

    with pytest.raises(ZeroDivisionError):
        intarsia.predict([photos], model=Second(), out=tmp_path / "out")
    assert len(table(tmp_path / "out/objects.csv")) == 2
    assert len(json.loads((tmp_path / "out/instances.json").read_text())["images"]) == 1
