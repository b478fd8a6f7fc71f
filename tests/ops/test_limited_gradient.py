import torch

from intarsia.ops.limited_gradient import limited_gradient


def test_the_value_passes_and_the_gradient_is_clamped() -> None:
    x = torch.tensor([1.0, -2, 3, 4], requires_grad=True)
    y = limited_gradient(x, 0.5)
    assert torch.equal(y, x)
    (y * torch.tensor([0.25, 3, -7, 0])).sum().backward()
    assert x.grad.tolist() == [0.25, 0.5, -0.5, 0]


def test_nothing_goes_back_with_a_limit_of_zero_and_what_needs_no_gradient_has_none() -> None:
    x = torch.ones(2, requires_grad=True)
    assert not limited_gradient(x, 0).requires_grad
    assert not limited_gradient(x.detach(), 1).requires_grad
    with torch.no_grad():
        assert limited_gradient(x, 1).tolist() == [1, 1]
