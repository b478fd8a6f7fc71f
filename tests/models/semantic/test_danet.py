from typing import Any

import pytest
import torch
from torch import Tensor, nn

from intarsia.encoders import create_encoder
from intarsia.models import create_model
from intarsia.models.semantic.danet import ChannelAttention, DANet, PositionAttention
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor, make_optimizer


def small(**options: Any) -> DANet:
    torch.manual_seed(0)
    return DANet(encoder=create_encoder("test_resnet", output_stride=8), num_classes=3, **{"channels": 16, **options}).eval()


@pytest.mark.parametrize(("encoder", "count"), [("resnet101", 66_454_779), ("resnet50", 47_462_651)])
def test_parameters(encoder: str, count: int) -> None:
    with torch.device("meta"):
        network = create_model("danet", num_classes=19, encoder=encoder)
    assert sum(p.numel() for p in network.parameters()) == count
    assert sum(p.numel() for name, p in network.named_parameters() if "encoder" not in name) == 23_925_378 + 1539 * 19


def test_position_attention_as_a_slow_loop() -> None:
    torch.manual_seed(0)
    attention = PositionAttention(16)
    nn.init.constant_(attention.gamma, 0.7)
    x = torch.randn(1, 16, 3, 2)
    query, key, value = (conv(x)[0].flatten(1) for conv in (attention.query, attention.key, attention.value))
    expected = x.clone()
    for i in range(6):
        weights = torch.stack([(query[:, i] * key[:, j]).sum().exp() for j in range(6)])  # not divided by a square root
        seen = sum(weights[j] / weights.sum() * value[:, j] for j in range(6))
        expected[0, :, i // 2, i % 2] += 0.7 * seen
    torch.testing.assert_close(attention(x), expected)


@pytest.mark.parametrize("alike", [False, True])
def test_channel_attention_as_a_slow_loop(alike: bool) -> None:
    """The authors' code takes the largest energy of a row minus the energies, which is the softmax of the negative ones."""
    torch.manual_seed(0)
    attention = ChannelAttention(alike=alike)
    nn.init.constant_(attention.gamma, 0.7)
    x = torch.randn(1, 5, 3, 2)
    expected = x.clone()
    for i in range(5):
        energy = torch.stack([(x[0, i] * x[0, j]).sum() for j in range(5)])
        weights = (energy if alike else energy.max() - energy).softmax(0)
        expected[0, i] += 0.7 * sum(weights[j] * x[0, j] for j in range(5))
    torch.testing.assert_close(attention(x), expected)


def test_a_channel_looks_away_from_itself_in_the_code_and_at_itself_in_the_paper() -> None:
    x = torch.tensor([3.0, -3.0]).reshape(1, 2, 1, 1)
    for alike, sees in ((True, [3.0, -3.0]), (False, [-3.0, 3.0])):
        attention = ChannelAttention(alike=alike)
        nn.init.ones_(attention.gamma)
        torch.testing.assert_close((attention(x) - x).flatten(), torch.tensor(sees))


def test_attention_is_the_identity_at_the_start() -> None:
    x = torch.randn(2, 16, 4, 5)
    assert torch.equal(PositionAttention(16)(x), x)
    assert torch.equal(ChannelAttention(alike=False)(x), x)


def test_attention_does_not_know_where_pixels_are() -> None:
    torch.manual_seed(0)
    attention = PositionAttention(16)
    nn.init.ones_(attention.gamma)
    x, order = torch.randn(1, 16, 3, 4), torch.randperm(12)
    shuffled = attention(x.flatten(2)[..., order].reshape(x.shape)).flatten(2)
    torch.testing.assert_close(shuffled, attention(x).flatten(2)[..., order])


def test_gradients_in_float64() -> None:
    torch.manual_seed(0)
    for attention in (PositionAttention(8).double(), ChannelAttention(alike=False).double()):
        nn.init.constant_(attention.gamma, 0.5)
        assert torch.autograd.gradcheck(attention, torch.randn(1, 8, 2, 3, dtype=torch.float64, requires_grad=True))


def test_heads() -> None:
    network = small()
    seen: dict[str, Tensor] = {}
    for name in ("position", "channel", "head", "position_head", "channel_head"):
        network.get_submodule(name).register_forward_hook(
            lambda _m, inputs, output, name=name: seen.update({name: output, f"{name} in": inputs[0]})
        )
    output = network(torch.rand(1, 3, 65, 41))
    assert [(head.name, head.target, head.weight) for head in output.auxiliary] == [
        ("position", "label", 1.0),
        ("channel", "label", 1.0),
    ]
    assert all(head.logits.shape == (1, 3, 65, 41) for head in output.auxiliary)
    assert torch.equal(seen["head in"], seen["position"] + seen["channel"])
    assert torch.equal(seen["position_head in"], seen["position"])
    assert torch.equal(seen["channel_head in"], seen["channel"])
    scores = [output.logits, *(head.logits for head in output.auxiliary)]
    for logits, name in zip(scores, ("head", "position_head", "channel_head"), strict=True):
        torch.testing.assert_close(logits[..., ::8, ::8], seen[name], rtol=1e-4, atol=1e-5)  # corners aligned


def test_multi_grid_of_the_best_network() -> None:
    with torch.device("meta"):
        network = create_model("danet", num_classes=2, encoder="resnet50", multi_grid=(1, 2, 4))
    assert [unit.conv2.dilation[0] for unit in network.get_submodule("encoder.body.layer4")] == [4, 8, 16]


def test_recipe() -> None:
    (stage,) = load_recipe("danet").stages
    assert stage.options == {"multi_grid": [1, 2, 4]}
    assert (stage.model, stage.batch, stage.epochs, stage.crop) == ("danet", 8, 240, (768, 768))
    steps = 240 * (2975 // 8)
    factor = learning_rate_factor(stage, steps)
    assert factor(0) == 1
    assert factor(steps - 1) == pytest.approx((1 / steps) ** 0.9)
    network = small()
    groups = make_optimizer(network.named_parameters(), stage).param_groups
    encoder = {id(p) for p in network.encoder.parameters()}
    for group in groups:
        assert {id(p) in encoder for p in group["params"]} == {group["lr"] == 0.01}
