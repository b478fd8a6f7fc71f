from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


@pytest.fixture
def randomised() -> Callable[[nn.Module], nn.Module]:
    """Gives all that a normalisation holds values of its own, so that none can be mistaken for another; in evaluation mode.

    The statistics are those of an image, so that it is still seen in the scores of a deep network.
    """

    def randomise(network: nn.Module) -> nn.Module:
        torch.manual_seed(1)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
                nn.init.uniform_(module.weight, 0.6, 1.2)
                nn.init.normal_(module.bias, std=0.1)
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        with torch.no_grad():
            network.train()(torch.rand(2, 3, 64, 96))
        return network.eval()

    return randomise


@pytest.fixture
def distance() -> Callable[[nn.Module, nn.Module, Tensor], float]:
    """The largest difference of two networks' scores, in units of the largest score if that is above one.

    In float64, where rounding plays no part; an auxiliary head of ours is compared too.
    """

    @torch.no_grad()
    def measure(own: nn.Module, reference: nn.Module, image: Tensor) -> float:
        found, expected = own.double()(image.double()), reference.double()(image.double())
        expected = {"out": expected} if isinstance(expected, Tensor) else expected
        differences = []
        for scores, others in ((found.logits, expected["out"]), *((head.logits, expected["aux"]) for head in found.auxiliary)):
            assert scores.shape == others.shape
            assert others.std((-2, -1)).max() > 1e-3  # there is something to compare
            differences.append(((scores - others).abs().max() / others.abs().max().clamp(min=1)).item())
        return max(differences)

    return measure
