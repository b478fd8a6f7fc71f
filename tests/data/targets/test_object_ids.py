from dataclasses import replace

import numpy as np

from intarsia.core import ClassSpace, InstanceMasks, Instances, LabelMap, Panoptic, Segment
from intarsia.data.targets import make_targets
from intarsia.data.targets.object_ids import object_ids

STREET = ClassSpace.from_names(["road", "car", "sky", "bus"], things=["car", "bus"])


def test_by_hand_from_every_kind_of_truth() -> None:
    ids = np.array([[4, 4, 7, 0, 9, 9]], np.int32)
    truth = Instances.from_ids(ids, STREET, {4: 1, 7: 3, 9: 1})
    assert make_targets(["object_ids"], truth)["object_ids"].tolist() == [[1, 1, 2, 0, 3, 3]]
    crowded = replace(truth, is_crowd=np.array([True, False, False]))
    assert object_ids(crowded).tolist() == [[-1, -1, 1, 0, 2, 2]]
    panoptic = Panoptic(np.array([[4, 0, 9, 2]]), (Segment(4, 0), Segment(9, 3), Segment(2, 1)), STREET)
    found = object_ids(panoptic)[0]
    assert (found[:2].tolist(), sorted(found[2:].tolist())) == ([0, -1], [1, 2])
    labels = LabelMap(np.array([[3, 0, 1, 255, 2, 1]], np.uint8), STREET)
    found = object_ids(labels)[0]
    assert (sorted(found[[0, 2, 5]].tolist()), found[[1, 3, 4]].tolist()) == ([1, 2, 3], [0, -1, 0])


def test_an_object_hidden_by_others_leaves_no_gap() -> None:
    masks = [np.array([[1, 1, 0, 0]], bool), np.array([[0, 1, 0, 0]], bool), np.array([[0, 0, 1, 0]], bool)]
    truth = Instances(InstanceMasks.pack(masks, (1, 4)), np.array([1, 1, 3]), STREET)
    assert object_ids(truth).tolist() == [[1, 1, 2, 0]]


def test_dtype_and_nothing() -> None:
    for size in [(0, 3), (2, 3)]:
        ids = object_ids(LabelMap(np.zeros(size, np.uint8), STREET))
        assert (ids.dtype, ids.shape, ids.any()) == (np.int32, size, False)
