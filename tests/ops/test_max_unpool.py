import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from intarsia.ops.max_unpool import max_pool, max_unpool


def test_by_hand() -> None:
    x = torch.tensor([[1, 2, 6, 3], [3, 5, 2, 1], [1, 2, 2, 1], [7, 3, 4, 8]], dtype=torch.float32)[None, None]
    pooled, places = max_pool(x)
    assert pooled[0, 0].tolist() == [[5, 6], [7, 8]]
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None]
    assert max_unpool(values, places)[0, 0].tolist() == [[0, 0, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0], [3, 0, 0, 4]]


@given(height=st.integers(1, 9), width=st.integers(1, 9), size=st.integers(2, 3), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_equals_a_loop_over_windows(height: int, width: int, size: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 3, height, width, generator=generator)
    pooled, places = max_pool(x, size)
    assert pooled.shape == (2, 3, -(-height // size), -(-width // size))
    values = torch.randn(pooled.shape, generator=generator)
    expected = torch.zeros_like(x)
    for n, c, row, column in torch.cartesian_prod(*map(torch.arange, pooled.shape)).tolist():
        window = x[n, c, row * size : (row + 1) * size, column * size : (column + 1) * size]
        assert pooled[n, c, row, column] == window.max()
        y, x0 = divmod(int(window.argmax()), window.shape[1])
        expected[n, c, row * size + y, column * size + x0] = values[n, c, row, column]
    assert torch.equal(max_unpool(values, places), expected)


@pytest.mark.parametrize("size", [(8, 12), (7, 11)])
def test_equals_torch(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size)
    pooled, places = max_pool(x)
    assert torch.equal(max_unpool(pooled, places), F.max_unpool2d(pooled, places.indices, 2, output_size=size))


def test_what_was_pooled_comes_back_to_its_place_and_nothing_else() -> None:
    x = torch.rand(2, 3, 7, 10) + 1
    pooled, places = max_pool(x)
    again = max_unpool(pooled, places)
    assert torch.count_nonzero(again) == pooled.numel()
    assert torch.equal(again[again != 0], x[again != 0])
    assert torch.equal(max_pool(again)[0], pooled)


def test_works_where_deterministic_algorithms_are_asked_for() -> None:
    x = torch.randn(1, 2, 5, 5, requires_grad=True)
    torch.use_deterministic_algorithms(True)
    try:
        pooled, places = max_pool(x)
        max_unpool(pooled, places).sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert x.grad is not None
    assert x.grad.sum() == pooled.numel()


def test_equal_values_and_one_pixel() -> None:
    _, places = max_pool(torch.zeros(1, 1, 2, 2))
    assert places.indices.item() == 0
    pooled, places = max_pool(torch.full((1, 1, 1, 1), 3.0))
    assert max_unpool(2 * pooled, places).item() == 6


def test_gradient() -> None:
    _, places = max_pool(torch.randn(2, 2, 5, 4, dtype=torch.float64))
    x = torch.randn(2, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: max_unpool(x, places), x)
