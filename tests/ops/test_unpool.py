import pytest
import torch
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.ops.unpool import bed_of_nails, nearest_unpool

X = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None]


def test_by_hand() -> None:
    assert nearest_unpool(X)[0, 0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert bed_of_nails(X)[0, 0].tolist() == [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("factor", [1, 2, 3, 5])
def test_equal_a_loop(factor: int) -> None:
    x = torch.randn(2, 3, 4, 3)
    repeated, nailed = torch.empty(2, 3, 4 * factor, 3 * factor), torch.zeros(2, 3, 4 * factor, 3 * factor)
    for row in range(4 * factor):
        for column in range(3 * factor):
            repeated[..., row, column] = x[..., row // factor, column // factor]
    for row in range(4):
        for column in range(3):
            nailed[..., row * factor, column * factor] = x[..., row, column]
    assert torch.equal(nearest_unpool(x, factor), repeated)
    assert torch.equal(bed_of_nails(x, factor), nailed)


def test_poolings_undo_them() -> None:
    x = torch.randn(2, 3, 5, 4)
    torch.testing.assert_close(F.avg_pool2d(nearest_unpool(x, 3), 3), x)
    torch.testing.assert_close(F.avg_pool2d(bed_of_nails(x, 2), 2), x / 4)
    assert torch.equal(nearest_unpool(x), F.conv_transpose2d(x, torch.ones(3, 1, 2, 2), stride=2, groups=3))


def test_signals_volumes_and_empty_maps() -> None:
    assert bed_of_nails(torch.tensor([[[1.0, 2.0, 3.0]]]), 3).flatten().tolist() == [1, 0, 0, 2, 0, 0, 3, 0, 0]
    assert bed_of_nails(torch.ones(1, 1, 2, 2, 2)).sum() == 8
    assert bed_of_nails(torch.ones(0, 2, 3, 3)).shape == (0, 2, 6, 6)


def test_gradient() -> None:
    x = torch.randn(1, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(nearest_unpool, x)
    assert torch.autograd.gradcheck(bed_of_nails, x)


def test_factors_below_one() -> None:
    for unpool in (nearest_unpool, bed_of_nails):
        with pytest.raises(SettingsError, match="0 was given"):
            unpool(X, 0)
