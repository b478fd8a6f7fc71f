from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Batch, SettingsError
from intarsia.encoders import create_encoder
from intarsia.losses import create_loss
from intarsia.models import create_model
from intarsia.models.semantic.encnet import EncNet, Encoding
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor, make_optimizer
from intarsia.training.semantic import total_loss


def small(output_stride: int = 8, **options: Any) -> EncNet:
    torch.manual_seed(0)
    encoder = create_encoder("test_resnet", output_stride=output_stride)
    own = {"channels": 8, "codewords": 4, "auxiliary_channels": 8, **options}
    return EncNet(encoder=encoder, num_classes=3, **own).eval()


@pytest.mark.parametrize(
    ("encoder", "classes", "lateral", "count"),
    [
        ("resnet101", 59, True, 62_783_569),
        ("resnet50", 59, True, 43_791_441),
        ("resnet101", 150, False, 55_032_930),
        ("resnet50", 19, False, 23_508_032 + 10_000_006 + 2_364_691),  # the reference page's head, and PSPNet's auxiliary
    ],
)
def test_parameters(encoder: str, classes: int, lateral: bool, count: int) -> None:
    with torch.device("meta"):
        network = create_model("encnet", num_classes=classes, encoder=encoder, lateral=lateral)
    assert sum(p.numel() for p in network.parameters()) == count


def test_encoding_as_a_slow_loop() -> None:
    torch.manual_seed(0)
    encoding = Encoding(3, 4).double()
    feature = torch.randn(2, 3, 2, 5, dtype=torch.float64)
    expected = torch.zeros(2, 4, 3, dtype=torch.float64)
    for n in range(2):
        for i in range(10):
            x = feature[n, :, i // 5, i % 5]
            nearness = torch.stack([encoding.scale[k] * (x - encoding.codewords[k]).norm() ** 2 for k in range(4)]).exp()
            for k in range(4):
                expected[n, k] += nearness[k] / nearness.sum() * (x - encoding.codewords[k])
    torch.testing.assert_close(encoding(feature), expected)


def test_weights_of_the_codewords_sum_to_one_and_the_nearest_has_most() -> None:
    torch.manual_seed(0)
    encoding = Encoding(6, 5)
    nn.init.constant_(encoding.scale, -1.0)
    nn.init.normal_(encoding.codewords)
    x = torch.randn(2, 7, 6)
    assigned = encoding.assign(x)
    torch.testing.assert_close(assigned.sum(2), torch.ones(2, 7))
    assert torch.equal(assigned.argmax(2), torch.cdist(x, encoding.codewords.expand(2, -1, -1)).argmin(2))


def test_one_codeword_sums_all_residuals_and_the_order_of_pixels_does_not_count() -> None:
    torch.manual_seed(0)
    feature = torch.randn(1, 3, 4, 4)
    one = Encoding(3, 1)
    torch.testing.assert_close(one(feature)[0, 0], (feature[0].flatten(1) - one.codewords.T).sum(1))
    several, order = Encoding(3, 4), torch.randperm(16)
    shuffled = feature.flatten(2)[..., order].reshape(feature.shape)
    torch.testing.assert_close(several(shuffled), several(feature))


def test_encoding_starts_as_the_paper_has_it() -> None:
    torch.manual_seed(0)
    encoding = Encoding(512, 32)
    bound = (32 * 512) ** -0.5
    assert encoding.codewords.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert -1 <= encoding.scale.min() < encoding.scale.max() <= 0


def test_gradients_in_float64() -> None:
    torch.manual_seed(0)
    assert torch.autograd.gradcheck(Encoding(3, 2).double(), torch.randn(1, 3, 2, 2, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize("gate", ["sigmoid", "softmax"])
def test_the_gate(gate: Any) -> None:
    network = small(gate=gate)
    seen: dict[str, Tensor] = {}
    for name in ("fuse", "encoding", "weigh", "head"):
        network.get_submodule(name).register_forward_hook(
            lambda _m, inputs, output, name=name: seen.update({name: output, f"{name} in": inputs[0]})
        )
    network(torch.rand(2, 3, 33, 41))
    torch.testing.assert_close(seen["weigh in"], seen["encoding"].sum(1) / 4)
    weight = (
        seen["weigh"].exp() / seen["weigh"].exp().sum(1, keepdim=True) if gate == "softmax" else 1 / (1 + (-seen["weigh"]).exp())
    )
    torch.testing.assert_close(
        seen["head in"], seen["fuse"] * (1 + weight[..., None, None])
    )  # features after a ReLU stay positive


def test_heads_and_their_losses() -> None:
    network = small()
    image, label = torch.rand(2, 3, 33, 41), torch.randint(2, (2, 33, 41))
    output = network(image)
    assert [(head.name, head.target, head.weight, head.logits.shape) for head in output.auxiliary] == [
        ("presence", "presence", 0.2, (2, 3)),
        ("auxiliary", "label", 0.4, (2, 3, 33, 41)),
    ]
    held = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    presence, auxiliary = (head.logits for head in output.auxiliary)
    expected = F.cross_entropy(output.logits, label) + 0.4 * F.cross_entropy(auxiliary, label)
    expected = expected - 0.2 * (held * presence.sigmoid().log() + (1 - held) * (1 - presence.sigmoid()).log()).mean()
    batch = Batch(image, label, ("a", "b"), ((33, 41), (33, 41)), {"presence": held})
    torch.testing.assert_close(total_loss(output, batch, create_loss("cross_entropy", ignore_id=255)), expected)


def test_normalisation_is_over_codewords() -> None:
    norm = small().encoding[2]
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.num_features == 4


def test_lateral_joins_the_features_before() -> None:
    network = small(lateral=True)
    seen: list[Tensor] = []
    network.fuse.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    image = torch.rand(1, 3, 33, 41)
    network(image)
    *_, second, third, last = network.encoder(image)
    expected = [network.reduce(last), network.lateral[0](second), network.lateral[1](third)]
    torch.testing.assert_close(seen[0], torch.cat(expected, 1))
    with pytest.raises(SettingsError, match=r"strides 8, 16, 32 differ\. Use output_stride=8"):
        small(32, lateral=True)


def test_recipe() -> None:
    (stage,) = load_recipe("encnet").stages
    assert (stage.model, stage.batch, stage.epochs, stage.crop, stage.options) == (
        "encnet",
        16,
        50,
        (480, 480),
        {"lateral": True},
    )
    steps = 50 * (4998 // 16)
    factor = learning_rate_factor(stage, steps)
    assert factor(0) == 1
    assert factor(steps - 1) == pytest.approx((1 / steps) ** 0.9)
    network = small(lateral=True)
    encoder = {id(p) for p in network.encoder.parameters()}
    for group in make_optimizer(network.named_parameters(), stage).param_groups:
        assert {id(p) in encoder for p in group["params"]} == {group["lr"] == 0.001}
