from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from intarsia.models.semantic.full_resolution_stack import FullResolutionStack
from intarsia.recipes import load_recipe


@pytest.mark.parametrize(
    ("options", "count"), [({}, 262_165), ({"depth": 6}, 188_181), ({"depth": 16}, 558_101), ({"norm": "none"}, 261_653)]
)
def test_parameters(options: Any, count: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in FullResolutionStack(num_classes=21, **options).parameters()) == count


def test_equals_the_layers_one_by_one() -> None:
    torch.manual_seed(0)
    network = FullResolutionStack(num_classes=3, width=4, norm="none")
    x = image = torch.randn(2, 3, 9, 11)
    for conv, _ in network.layers:
        x = F.relu(F.conv2d(x, conv.weight, conv.bias, padding=1))
    expected = torch.einsum("kc,nchw->nkhw", network.score.weight[..., 0, 0], x) + network.score.bias[:, None, None]
    torch.testing.assert_close(network(image).logits, expected)


@pytest.mark.parametrize("depth", [1, 3, 8])
def test_each_layer_adds_two_pixels_to_what_is_seen(depth: int) -> None:
    network = FullResolutionStack(num_classes=1, in_channels=1, width=1, depth=depth, norm="none")
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.5)
    image = torch.ones(1, 1, 25, 25, requires_grad=True)
    network(image).logits[0, 0, 12, 12].backward()
    assert image.grad is not None
    rows = image.grad[0, 0].sum(1).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == 2 * depth + 1


def test_every_layer_costs_as_much_as_the_map_is_large() -> None:
    """68.5 billion multiplications and 64 MiB a layer for an image of 512 x 512."""
    costs: list[int] = []
    memory: list[int] = []

    def note(conv: Any, _inputs: Any, output: torch.Tensor) -> None:
        costs.append(conv.weight.numel() * output[0, 0].numel())
        memory.append(output.nbytes)

    with torch.device("meta"):
        network = FullResolutionStack(num_classes=21)
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(note)
        network(torch.empty(1, 3, 512, 512))
    assert costs[1] == 9_663_676_416
    assert memory[1] == 64 * 2**20
    assert sum(costs) == pytest.approx(68.5e9, rel=0.005)


def test_the_recipe() -> None:
    (stage,) = load_recipe("full_resolution_stack").stages
    assert (stage.optimizer, stage.lr, stage.schedule, stage.power, stage.weight_decay) == ("sgd", 0.01, "poly", 0.9, 1e-4)
