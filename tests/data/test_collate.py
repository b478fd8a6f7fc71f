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
