import numpy as np
import pytest
import torch

from intarsia.core import DataError
from intarsia.data.collate import PreparedSample, collate


def sample(key, size=(4, 6), label=True):
    ids = np.ones(size, np.uint8) if label else None
    return PreparedSample(np.zeros((3, *size), np.float32), ids, key, (40, 60))


def test_samples_are_stacked():
    batch = collate([sample("a"), sample("b")])
    assert batch.image.shape == (2, 3, 4, 6)
    assert batch.label.dtype == torch.int64
    assert batch.keys == ("a", "b")
    assert batch.sizes_hw == ((40, 60), (40, 60))


def test_one_without_truth_leaves_the_batch_without():
    assert collate([sample("a"), sample("b", label=False)]).label is None


def test_different_sizes_are_named():
    with pytest.raises(DataError, match=r"a and b cannot share a batch: they are \(3, 4, 6\) and \(3, 5, 6\)"):
        collate([sample("a"), sample("b", (5, 6))])


def test_targets_of_objects_are_joined():
    few = {"boxes": np.array([[1.0, 2, 3, 4]], np.float32), "masks": np.ones((1, 4, 6), np.uint8)}
    none = {"boxes": np.zeros((0, 4), np.float32), "masks": np.zeros((0, 4, 6), np.uint8)}
    batch = collate(
        [sample(key)._replace(targets={"objects": target}) for key, target in zip("abc", (few, none, few), strict=True)]
    )
    assert {name: tuple(tensor.shape) for name, tensor in batch.targets.items()} == {
        "objects.boxes": (2, 4),
        "objects.masks": (2, 4, 6),
        "objects.image": (2,),
    }
    assert batch.targets["objects.image"].tolist() == [0, 2]
    assert batch.targets["objects.image"].dtype == torch.int64


def test_a_batch_without_any_object():
    none = {"boxes": np.zeros((0, 4), np.float32)}
    batch = collate([sample("a")._replace(targets={"objects": none, "depth": np.ones((4, 6))})])
    assert batch.targets["objects.boxes"].shape == (0, 4)
    assert batch.targets["objects.image"].tolist() == []
    assert batch.targets["depth"].shape == (1, 4, 6)
