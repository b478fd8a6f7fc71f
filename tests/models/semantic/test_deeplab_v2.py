from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.encoders import create_encoder
from intarsia.models import create_model
from intarsia.models.semantic.deeplab_v2 import DeepLabV2
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor, make_optimizer


def small(encoder: str = "test_resnet", **options: Any) -> DeepLabV2:
    torch.manual_seed(0)
    made = create_encoder(encoder, output_stride=8)
    return DeepLabV2(encoder=made, num_classes=3, **{"fc_channels": 8, **options}).eval()


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"num_classes": 21}, 44_048_532),
        ({"num_classes": 19}, 43_901_068),
        ({"num_classes": 21, "rates": (12,)}, 42_887_253),  # LargeFOV
        ({"num_classes": 21, "encoder": "vgg16_atrous", "head": "fc"}, 37_877_652),
    ],
)
def test_parameters(options: dict[str, Any], count: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in create_model("deeplab_v2", **options).parameters()) == count


def test_the_pyramid_is_a_sum_of_classifiers() -> None:
    """No normalisation, no ReLU, biases: each tap of each rate by itself."""
    network = small(scales=(1.0,), rates=(1, 3))
    for branch in network.branches:
        nn.init.normal_(branch.bias)
    image = torch.rand(1, 3, 65, 97)
    feature = network.encoder(image)[-1]
    rows, columns = feature.shape[-2:]
    expected = torch.zeros(1, 3, rows, columns)
    for branch, rate in zip(network.branches, (1, 3), strict=True):
        padded = F.pad(feature, (rate,) * 4)
        expected += branch.bias[:, None, None]
        for r in range(3):
            for c in range(3):
                window = padded[..., rate * r : rate * r + rows, rate * c : rate * c + columns]
                expected += torch.einsum("kc,nchw->nkhw", branch.weight[..., r, c], window)
    torch.testing.assert_close(network(image).logits[..., ::8, ::8], expected, rtol=1e-4, atol=1e-5)


def test_rates_and_initial_weights() -> None:
    branches = small().branches
    assert [branch.dilation[0] for branch in branches] == [6, 12, 18, 24]
    assert torch.cat([branch.weight.flatten() for branch in branches]).std().item() == pytest.approx(0.01, rel=0.05)
    assert not any(branch.bias.any() for branch in branches)
    hidden, *_, last = small(head="fc").branches[1]
    assert (hidden.dilation, hidden.out_channels, last.kernel_size) == ((12, 12), 8, (1, 1))


def test_each_pixel_takes_the_largest_score_of_three_sizes() -> None:
    network = small()
    for branch in network.branches:
        nn.init.normal_(branch.weight)
    image = torch.rand(1, 3, 65, 129)
    sizes: list[tuple[int, ...]] = []
    network.encoder.register_forward_hook(lambda _module, inputs, _output: sizes.append(tuple(inputs[0].shape[-2:])))
    output = network(image)
    assert sizes == [(65, 129), (49, 97), (33, 65)]  # all 8 n + 1
    heads = {head.name: head for head in output.auxiliary}
    assert list(heads) == ["scale_1", "scale_0.75", "scale_0.5"]
    assert {(head.target, head.weight) for head in heads.values()} == {("label", 1.0)}
    alone = DeepLabV2(encoder=network.encoder, num_classes=3, scales=(1.0,)).eval()
    alone.load_state_dict(network.state_dict())
    torch.testing.assert_close(heads["scale_1"].logits, alone(image).logits)
    assert alone(image).auxiliary == ()
    halved = F.interpolate(image, (33, 65), mode="bilinear", align_corners=True)
    expected = F.interpolate(alone(halved).logits[..., ::8, ::8], (65, 129), mode="bilinear", align_corners=True)
    torch.testing.assert_close(heads["scale_0.5"].logits, expected, rtol=1e-4, atol=1e-4)
    cells = torch.stack([F.interpolate(h.logits, (9, 17), mode="bilinear", align_corners=True) for h in heads.values()]).amax(0)
    torch.testing.assert_close(output.logits[..., ::8, ::8], cells, rtol=1e-3, atol=1e-3)
    assert all((head.logits[..., ::8, ::8] <= output.logits[..., ::8, ::8] + 1e-4).all() for head in heads.values())
    assert any((head.logits[..., ::8, ::8] < output.logits[..., ::8, ::8] - 1e-2).any() for head in heads.values())


def test_frozen_normalisation_stays_in_training() -> None:
    network = small(frozen_norm=True).train()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    before = {name: value.clone() for name, value in network.state_dict().items() if "running" in name}
    network(torch.rand(2, 3, 33, 33)).logits.sum().backward()
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())
    assert all(not parameter.requires_grad for norm in norms for parameter in norm.parameters())
    assert any(module.training for module in network.modules())
    assert all(module.training for module in small().train().modules() if isinstance(module, nn.BatchNorm2d))


def test_an_encoder_of_multiples_alone() -> None:
    network = small("test_convnext")
    assert network.encoder.size_divisor > 1
    assert network(torch.rand(1, 3, 33, 47)).logits.shape == (1, 3, 33, 47)


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"scales from 1\.0 down .*rates \(6,\) and scales \(0\.5, 1\.0\) were given"):
        small(rates=(6,), scales=(0.5, 1.0))
    with pytest.raises(SettingsError, match=r"rates \(\) and scales"):
        small(rates=())


def test_recipes() -> None:
    (stage,) = load_recipe("deeplab_v2").stages
    factor = learning_rate_factor(stage, 20_000)
    assert stage.lr * factor(0) == 2.5e-4
    assert stage.lr * factor(19_999) == pytest.approx(2.5e-4 * (1 / 20_000) ** 0.9)
    groups = make_optimizer(small(frozen_norm=True).named_parameters(), stage).param_groups
    assert {(group["lr"], group["weight_decay"]) for group in groups} == {(2.5e-4, 5e-4), (2.5e-3, 5e-4), (5e-3, 0.0)}
    (stage,) = load_recipe("deeplab_v2_vgg").stages
    groups = make_optimizer(small("vgg16_atrous", head="fc").named_parameters(), stage).param_groups
    assert sorted({group["lr"] for group in groups}) == pytest.approx([1e-3, 2e-3, 1e-2, 2e-2])
