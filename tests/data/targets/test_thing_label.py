from dataclasses import replace

import numpy as np

from intarsia.core import ClassSpace, Instances, LabelMap, Panoptic, Segment
from intarsia.data.targets import make_targets
from intarsia.data.targets.thing_label import thing_label

STREET = ClassSpace.from_names(["road", "car", "sky", "bus"], things=["car", "bus"])


def test_by_hand_from_every_kind_of_truth() -> None:
    ids = np.array([[1, 1, 2, 0, 3, 3]], np.int32)
    truth = Instances.from_ids(ids, STREET, {1: 1, 2: 3, 3: 1})
    assert make_targets(["thing_label"], truth)["thing_label"].tolist() == [[1, 1, 2, 0, 1, 1]]
    crowded = replace(truth, is_crowd=np.array([False, False, True]))
    assert thing_label(crowded).tolist() == [[1, 1, 2, 0, 255, 255]]
    panoptic = Panoptic(np.array([[4, 0, 9, 2]]), (Segment(4, 0), Segment(9, 3), Segment(2, 1)), STREET)
    assert thing_label(panoptic).tolist() == [[0, 255, 2, 1]]
    labels = LabelMap(np.array([[3, 0, 1, 255, 2, 1]], np.uint8), STREET)
    assert thing_label(labels).tolist() == [[2, 0, 1, 255, 0, 1]]
    assert thing_label(LabelMap(np.array([[0, 8, 9]], np.int32))).tolist() == [[0, 1, 1]]


def test_dtype_and_no_pixel() -> None:
    label = thing_label(LabelMap(np.zeros((0, 3), np.uint8), STREET))
    assert (label.dtype, label.shape) == (np.uint8, (0, 3))
