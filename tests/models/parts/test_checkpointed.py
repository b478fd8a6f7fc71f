import copy

import pytest
import torch
from torch import Tensor, nn

from intarsia.models.parts.checkpointed import checkpointed


def block() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(8, 3, 1), nn.BatchNorm2d(3)]
    return nn.Sequential(*layers).double()


def run(network: nn.Module, *, saving_memory: bool) -> tuple[Tensor, list[Tensor], int]:
    """The result, all gradients, and how many numbers the backward pass was given."""
    kept = []

    def keep(x: Tensor) -> Tensor:
        kept.append(x.numel())
        return x

    x = torch.linspace(-1, 1, 2 * 3 * 6 * 5, dtype=torch.float64).reshape(2, 3, 6, 5).requires_grad_()
    torch.manual_seed(1)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        y = checkpointed(network, x) if saving_memory else network(x)
    grads = torch.autograd.grad(y.square().sum(), [x, *network.parameters()])
    return y, list(grads), sum(kept)


def test_result_gradients_and_statistics_are_those_of_the_plain_call() -> None:
    plain, saving = block(), block()
    y, grads, kept = run(plain, saving_memory=False)
    y_saving, grads_saving, kept_saving = run(saving, saving_memory=True)
    assert torch.equal(y, y_saving)
    assert all(torch.equal(a, b) for a, b in zip(grads, grads_saving, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(plain.buffers(), saving.buffers(), strict=True))
    assert (saving[1].num_batches_tracked, saving[1].momentum) == (1, 0.1)
    assert kept_saving < kept / 4


def test_without_care_the_statistics_would_move_twice() -> None:
    plain, careless = block(), block()
    run(plain, saving_memory=False)
    x = torch.linspace(-1, 1, 2 * 3 * 6 * 5, dtype=torch.float64).reshape(2, 3, 6, 5).requires_grad_()
    torch.utils.checkpoint.checkpoint(careless, x, use_reentrant=False).sum().backward()
    assert careless[1].num_batches_tracked == 2
    assert not torch.equal(careless[1].running_mean, plain[1].running_mean)


def test_cumulative_and_missing_statistics() -> None:
    """A momentum of None averages over all batches; without running statistics there are none to keep still."""
    plain = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, momentum=None), nn.BatchNorm2d(4, track_running_stats=False)
    ).double()
    saving = copy.deepcopy(plain)
    for _ in range(2):
        grads, grads_saving = run(plain, saving_memory=False)[1], run(saving, saving_memory=True)[1]
        assert all(torch.equal(a, b) for a, b in zip(grads, grads_saving, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(plain.buffers(), saving.buffers(), strict=True))


def test_outside_of_training_nothing_is_computed_twice() -> None:
    network, calls = block().eval(), []
    network.register_forward_hook(lambda *_: calls.append(1))
    checkpointed(network, torch.rand(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)).sum().backward()
    with torch.no_grad():
        checkpointed(network.train(), torch.rand(2, 3, 4, 4, dtype=torch.float64))
    assert len(calls) == 2


def test_an_error_in_the_block_is_its_own() -> None:
    with pytest.raises(RuntimeError, match="to have 3 channels, but got 4"):
        checkpointed(block(), torch.rand(1, 4, 4, 4, dtype=torch.float64))
