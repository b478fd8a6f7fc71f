from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from intarsia.models.semantic.segnet_basic import SegNetBasic
from intarsia.recipes import load_recipe


def small(**options: Any) -> SegNetBasic:
    torch.manual_seed(0)
    return SegNetBasic(num_classes=3, width=4, **options).eval()


@pytest.mark.parametrize(("bias", "count"), [(True, 1_416_587), (False, 1_416_075)])
def test_parameters(bias: bool, count: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in SegNetBasic(num_classes=11, bias=bias).parameters()) == count


def test_equals_the_layers_one_by_one() -> None:
    network = small()
    image = torch.randn(2, 3, 27, 34)
    grey = 0.225 * 255 * image  # what a raw image has around its mean, for which the constants are meant
    sums = (grey**2).sum(1, keepdim=True)  # five channels around each are all three
    x, kept = grey / (1 + 1e-4 / 5 * sums) ** 0.75, []
    for stage in network.encoder:
        x = F.relu(stage(x))
        size = x.shape[-2:]
        x, index = F.max_pool2d(x, 2, 2, ceil_mode=True, return_indices=True)
        kept.append((index, size))
    for stage in network.decoder:
        index, size = kept.pop()
        x = stage(F.max_unpool2d(x, index, 2, output_size=size))
    torch.testing.assert_close(network(image).logits, network.score(x))


def test_the_decoder_has_no_relu() -> None:
    network = small()
    seen: list[torch.Tensor] = []
    network.score.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    network(torch.randn(2, 3, 32, 32))
    assert (seen[0] < 0).any()


def test_the_encoder_sees_106_pixels() -> None:
    """As the paper says; counted by the support of a gradient where all weights are positive."""
    network = small().double()
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.01)
    image = torch.rand(1, 1, 160, 160, dtype=torch.float64, requires_grad=True)
    x = image.expand(-1, 3, -1, -1)
    for stage in network.encoder:
        x = F.avg_pool2d(F.relu(stage(x)), 2)
    x[0, 0, 5, 5].backward()
    assert image.grad is not None
    rows = image.grad[0, 0].abs().sum(1).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == 106


def test_initial_weights() -> None:
    torch.manual_seed(0)
    conv = SegNetBasic(num_classes=3, width=32).decoder[0][0]
    assert conv.weight.var().item() == pytest.approx(2 / (49 * 32), rel=0.05)
    assert all(stage[0].bias is None for stage in small(bias=False).encoder)


def test_the_recipe() -> None:
    (stage,) = load_recipe("segnet_basic").stages
    assert (stage.optimizer, stage.lr, stage.momentum, stage.schedule, stage.batch) == ("sgd", 0.1, 0.9, "constant", 12)
    assert stage.class_weights == "median_frequency"
