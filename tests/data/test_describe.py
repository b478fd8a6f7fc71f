"""What a data set holds, counted by hand."""

import json

import numpy as np
import pytest

from intarsia.core import ClassSpace, DataError, InstanceMasks, Instances, LabelMap, Panoptic, Sample, Segment
from intarsia.data.describe import SIZE_LIMITS, describe_dataset, side_counts
from intarsia.data.stats import count_classes, median_frequency_weights
from intarsia.evaluation.statistics_page import write_statistics
from intarsia.workflow.stats import stats

CLASSES = ClassSpace.from_names(["road", "car", "ship"], things=["car"])


class Few:
    """Two label maps: one of road and a car of 2 x 2 in two places, one of road with a row to ignore."""

    name, task, classes, notes = "few", "semantic", CLASSES, ("two images",)

    def __init__(self, truths, task="semantic"):
        self.truths, self.task = truths, task
        self.splits = {"train": ("a",), "val": tuple(key for key in truths if key != "a")}

    def read(self, key):
        height, width = self.truths[key].size_hw
        return Sample(np.zeros((height, width, 1), np.uint8), (self.truths[key],), key)


def label_maps():
    first = np.zeros((4, 8), np.uint8)
    first[:2, :2] = first[2:, 6:] = 1
    second = np.zeros((2, 2), np.uint8)
    second[0] = 255
    return Few({"a": LabelMap(first, CLASSES), "b": LabelMap(second, CLASSES)})


def test_classes_are_counted():
    found = describe_dataset(label_maps())
    assert found.images == {"train": 1, "val": 1}
    assert found.pixels["train"].tolist() == [24, 8, 0]
    assert found.all_pixels.tolist() == [26, 8, 0]
    assert found.total_pixels == {"train": 32, "val": 4}
    assert found.together.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert found.sizes_hw == {(4, 8): 1, (2, 2): 1}
    assert found.object_areas["car"].tolist() == [4, 4]
    assert found.object_areas["road"].tolist() == [24, 2]
    assert found.are_pieces
    # f of road is 26 / 36, of the car 8 / 32; their median is (26 / 36 + 8 / 32) / 2
    middle = (26 / 36 + 8 / 32) / 2
    assert found.weights.tolist() == pytest.approx([middle / (26 / 36), middle / (8 / 32), 0])


def test_weights_are_those_of_training():
    few = label_maps()
    assert describe_dataset(few).weights.tolist() == median_frequency_weights(count_classes(few, ["a", "b"])).tolist()


def test_objects_are_counted_without_crowds():
    masks = np.zeros((3, 4, 8), np.bool_)
    masks[0, :2, :2] = masks[1, 0, :3] = masks[2, 3] = True
    objects = Instances(
        InstanceMasks.pack(masks, (4, 8)), np.array([1, 2, 1], np.int32), CLASSES, None, np.array([False, False, True])
    )
    found = describe_dataset(Few({"a": objects, "b": objects}, "instance"))
    assert found.all_pixels.tolist() == [0, 24, 6]
    assert {name: areas.tolist() for name, areas in found.object_areas.items()} == {"car": [4, 4], "ship": [3, 3]}
    assert not found.are_pieces


def test_segments_of_things_are_objects():
    ids = np.array([[1, 1, 2], [3, 3, 3]])
    panoptic = Panoptic(ids, (Segment(1, 1), Segment(2, 1, is_crowd=True), Segment(3, 0)), CLASSES)
    found = describe_dataset(Few({"a": panoptic, "b": panoptic}, "panoptic"))
    assert {name: areas.tolist() for name, areas in found.object_areas.items()} == {"car": [2, 2]}
    assert found.all_pixels.tolist() == [6, 6, 0]


def test_sides_fall_between_their_limits():
    assert side_counts(np.array([1, 15, 16, 63, 64, 512**2])).tolist() == [2, 2, 1, 0, 0, 0, 0, 0, 1]
    assert len(SIZE_LIMITS) == 8


def test_figures_are_json():
    told = json.loads(json.dumps(describe_dataset(label_maps()).to_dict()))
    assert told["classes"]["car"]["share"] == pytest.approx(8 / 34)
    assert told["classes"]["car"]["share_of_split"] == {"train": 0.25, "val": 0}
    assert told["classes"]["car"]["objects"]["area_median"] == 4
    assert told["classes"]["ship"]["objects"] is None
    assert told["share_without_class"] == pytest.approx(2 / 36)
    assert told["together"]["road"]["car"] == 1


def test_the_page_tells_it_and_asks_nobody(tmp_path):
    few = label_maps()
    few.classes = ClassSpace.from_names(["road", "<car>", "ship"])
    few.truths = {key: LabelMap(truth.ids, few.classes) for key, truth in few.truths.items()}
    page = write_statistics(tmp_path / "new/page.html", describe_dataset(few), command="intarsia stats 'a & b'").read_text()
    assert "&lt;car&gt;" in page
    assert "<car>" not in page
    assert "w = median(f) / f" in page
    assert "a &amp; b" in page
    assert "://" not in page
    assert page.count("<section id=") == 6


def test_generated_scenes_are_described(tmp_path):
    found = stats("scenes:train=3,val=1,test=0,size=32", view="panoptic", out=tmp_path / "x.html")
    assert (found.task, dict(found.images)) == ("panoptic", {"train": 3, "val": 1})
    assert (tmp_path / "x.html").stat().st_size > 10_000
    assert set(found.object_areas) <= {"person", "car", "bicycle", "sign"}


def test_an_empty_data_set_is_refused():
    empty = label_maps()
    empty.splits = {"train": ()}
    with pytest.raises(DataError, match="few holds no sample"):
        describe_dataset(empty)
