"""Scores that the makers of a data set report: by hand, and as the metrics give them."""

from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from intarsia.cli.tables import print_evaluation
from intarsia.core import Instances, LabelMap, Panoptic, Sample, Segment
from intarsia.data.formats.cityscapes import CITYSCAPES_CLASSES
from intarsia.evaluation import Evaluation, ObjectEvaluation, evaluate

ROAD, CAR = CITYSCAPES_CLASSES.index("road"), CITYSCAPES_CLASSES.index("car")


class City:
    """One image of 20 x 20: road on the right, void, a car of 100 pixels and one of 20."""

    name, classes, notes, official = "city", CITYSCAPES_CLASSES, (), "cityscapes"
    splits = {"val": ["val/0"]}  # noqa: RUF012

    def __init__(self, task):
        self.task = task
        self.ids = np.ones((20, 20), np.int32)
        self.ids[:, :10] = 0
        self.ids[:10, :10], self.ids[12:14, 10:20] = 2, 3

    def panoptic(self, key):
        assert key == "val/0"
        return Panoptic(self.ids, (Segment(1, ROAD), Segment(2, CAR), Segment(3, CAR)), CITYSCAPES_CLASSES)

    def read(self, key):
        whole = self.panoptic(key)
        truth = whole.to_label_map() if self.task == "semantic" else whole.to_instances()
        return Sample(np.zeros((20, 20, 3), np.uint8), (truth,), key)


class Fixed:
    """Predicts the same for every image."""

    name, classes = "fixed", CITYSCAPES_CLASSES

    def __init__(self, segmentation):
        self.segmentation = segmentation
        self.task = "semantic" if isinstance(segmentation, LabelMap) else "instance"

    def predict(self, image, hints=None):
        return self.segmentation


def test_cityscapes_iou_and_iiou_of_label_maps():
    city = City("semantic")
    labels = city.read("val/0").truth.ids.copy()
    labels[12:14] = ROAD  # the small car is missed
    evaluation = evaluate(Fixed(LabelMap(labels, CITYSCAPES_CLASSES)), city)
    assert list(evaluation.official) == ["class IoU", "class iIoU", "category IoU", "category iIoU"]
    assert evaluation.official["class IoU"] == pytest.approx(evaluation.scores.miou)
    assert evaluation.official["class IoU"] == pytest.approx((180 / 200 + 100 / 120) / 2)
    assert evaluation.official["class iIoU"] == pytest.approx(0.5), "both cars weigh the same"
    again = Evaluation.from_dict(evaluation.to_dict())
    assert again.official == evaluation.official
    out = StringIO()
    print_evaluation(Console(file=out, width=200), evaluation)
    assert out.getvalue().startswith("official score of city: class IoU 0.867, class iIoU 0.500, category IoU 0.867")


def test_cityscapes_ap_of_objects():
    city = City("instance")
    truth = city.read("val/0").truth
    found = replace(truth.select(np.array([0])), score=np.array([0.5], np.float32))
    evaluation = evaluate(Fixed(found), city)
    assert evaluation.official == {"AP": 1.0, "AP50": 1.0}, "cars below 100 pixels are not counted"
    assert evaluation.score == pytest.approx(0.5, abs=0.01), "in COCO's AP they are"
    assert ObjectEvaluation.from_dict(evaluation.to_dict()).official == evaluation.official


def test_voc_and_ade20k(stripes, shifted):
    city = City("instance")
    city.official = "voc"
    truth = city.read("val/0").truth
    evaluation = evaluate(Fixed(Instances(truth.masks, truth.class_id, CITYSCAPES_CLASSES)), city)
    assert evaluation.official == {"mAP^r at 0.5": 1.0, "mAP^r at 0.7": 1.0}
    assert evaluate(shifted, stripes).official == {}
    stripes.official = "ade20k"
    scores = evaluate(shifted, stripes)
    expected = (scores.scores.pixel_accuracy + scores.scores.miou) / 2
    assert scores.official == {"mean of pixel accuracy and mIoU": pytest.approx(expected)}


def test_a_city_with_label_ids_only_has_no_official_score():
    city = City("semantic")
    labels = city.read("val/0").truth
    city.panoptic = lambda key: None
    city.read = lambda key: Sample(np.zeros((20, 20, 3), np.uint8), (labels,), key)
    assert evaluate(Fixed(labels), city).official == {}
