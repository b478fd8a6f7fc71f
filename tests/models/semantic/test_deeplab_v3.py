from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.segmentation import deeplabv3_resnet50

from intarsia.core import SettingsError
from intarsia.encoders import create_encoder, set_multi_grid
from intarsia.models import create_model
from intarsia.models.semantic.deeplab_v3 import DeepLabV3
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor, make_optimizer


def small(output_stride: int = 16, encoder: str = "test_resnet", **options: Any) -> DeepLabV3:
    torch.manual_seed(0)
    made = create_encoder(encoder, output_stride=output_stride)
    return DeepLabV3(encoder=made, num_classes=3, **{"channels": 8, **options}).eval()


def spatial(network: nn.Module) -> list[nn.Conv2d]:
    return [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]


@pytest.mark.parametrize(
    ("encoder", "options", "count"),
    [
        ("resnet101", {}, 58_040_661),
        ("resnet101", {"num_classes": 19}, 58_040_147),
        ("resnet50", {}, 39_048_533),
        ("resnet101", {"head_conv": True}, 58_630_997),  # torchvision's, without and with its second head
        ("resnet50", {"head_conv": True, "auxiliary": True}, 42_004_074),
        # three bottlenecks to a block: 1x1, 3x3, 1x1 and their normalisations
        ("resnet50", {"head": "cascade"}, 23_508_032 + 9 * (2 * 2048 * 512 + 9 * 512**2 + 2 * 3072) + 2049 * 21),
        ("resnet50", {"head": "cascade", "blocks": 4}, 23_508_032 + 2049 * 21),
    ],
)
def test_parameters(encoder: str, options: dict[str, Any], count: int) -> None:
    with torch.device("meta"):
        network = create_model("deeplab_v3", **{"num_classes": 21, "encoder": encoder, **options})
    assert sum(p.numel() for p in network.parameters()) == count


@pytest.mark.parametrize(
    ("output_stride", "third", "last"), [(32, [1] * 6, [1, 2, 4]), (16, [1] * 6, [2, 4, 8]), (8, [1, *[2] * 5], [4, 8, 16])]
)
def test_multi_grid(output_stride: int, third: list[int], last: list[int]) -> None:
    with torch.device("meta"):
        body = small(output_stride, "resnet50").encoder.body
        exact = small(output_stride, "resnet50", multi_grid=()).encoder.body
    assert [conv.dilation[0] for conv in spatial(body["layer3"])] == third
    assert [conv.dilation[0] for conv in spatial(body["layer4"])] == last
    assert all(conv.padding == conv.dilation for conv in spatial(body["layer4"]))
    rate = 32 // output_stride
    assert [conv.dilation[0] for conv in spatial(exact["layer4"])] == [max(1, rate // 2), rate, rate]


@pytest.mark.parametrize(("output_stride", "rates"), [(16, [6, 12, 18]), (8, [12, 24, 36])])
def test_rates_of_the_pyramid(output_stride: int, rates: list[int]) -> None:
    assert [conv.dilation[0] for conv in spatial(small(output_stride).head)] == rates


@pytest.mark.parametrize(("output_stride", "first"), [(16, 4), (8, 8), (32, 2)])
def test_rates_of_the_cascade_double_from_block_to_block(output_stride: int, first: int) -> None:
    convs = spatial(small(output_stride, head="cascade", multi_grid=(1, 2, 1)).head)
    assert [conv.dilation[0] for conv in convs] == [first * factor for block in (1, 2, 4) for factor in (block, 2 * block, block)]


@pytest.mark.parametrize("head", ["aspp", "cascade"])
def test_one_state_dict_serves_output_strides_16_and_8(head: Any) -> None:
    coarse, fine = small(16, head=head), small(8, head=head)
    fine.load_state_dict(coarse.state_dict())
    seen: list[int] = []
    for network in (coarse, fine):
        network.classify.register_forward_hook(lambda _module, _inputs, output: seen.append(output.shape[-1]))
        assert network(torch.rand(1, 3, 65, 97)).logits.shape == (1, 3, 65, 97)
    assert seen == [7, 13]


def test_a_further_block_adds_to_what_it_reads() -> None:
    """Bottlenecks whose last normalisation has no gain hand on their input."""
    network = small(head="cascade")
    for unit in (unit for block in network.head for unit in block):
        nn.init.zeros_(unit.expand[1].weight)
    feature = torch.rand(1, network.encoder.channels[-1], 5, 7)
    torch.testing.assert_close(network.head(feature), feature)
    assert [len(block) for block in network.head] == [3, 3, 3]


def test_scores_lie_on_every_sixteenth_pixel() -> None:
    network = small()
    nn.init.normal_(network.classify.weight)
    image = torch.rand(1, 3, 65, 97)
    expected = network.classify(network.head(network.encoder(image)[-1]))
    torch.testing.assert_close(network(image).logits[..., ::16, ::16], expected)
    other = small(align_corners=False)
    other.load_state_dict(network.state_dict())
    resized = F.interpolate(expected, (65, 97), mode="bilinear", align_corners=False)
    torch.testing.assert_close(other(image).logits, resized)


def test_torchvisions_network_is_a_choice_of_options() -> None:
    """Its weights fit in the order in which they stand, and give the same scores of both heads."""
    torch.manual_seed(0)
    reference = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=3, aux_loss=True).double().eval()
    encoder = create_encoder("resnet50", output_stride=8)
    options: dict[str, Any] = {"multi_grid": (), "head_conv": True, "auxiliary": True, "align_corners": False, "dropout": 0.5}
    network = DeepLabV3(encoder=encoder, num_classes=3, **options).double().eval()
    network.load_state_dict(dict(zip(network.state_dict(), reference.state_dict().values(), strict=True)))
    image = torch.rand(1, 3, 33, 47, dtype=torch.float64)
    with torch.no_grad():
        output, expected = network(image), reference(image)
    torch.testing.assert_close(output.logits, expected["out"])
    torch.testing.assert_close(output.auxiliary[0].logits, expected["aux"])


def test_auxiliary_head_of_torchvision() -> None:
    output = small(auxiliary=True)(torch.rand(1, 3, 65, 97))
    assert [(head.name, head.target, head.weight, head.logits.shape) for head in output.auxiliary] == [
        ("auxiliary", "label", 0.5, (1, 3, 65, 97))
    ]
    assert small()(torch.rand(1, 3, 33, 33)).auxiliary == ()


@pytest.mark.parametrize("batch", [1, 2])
def test_frozen_normalisation_stays_in_training(batch: int) -> None:
    network = small(frozen_norm=True).train()
    before = {name: value.clone() for name, value in network.state_dict().items() if "running" in name}
    network(torch.rand(batch, 3, 33, 33)).logits.sum().backward()
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert not any(parameter.requires_grad for norm in norms for parameter in norm.parameters())


def test_initial_classifier() -> None:
    network = create_model("deeplab_v3", num_classes=64, encoder="test_resnet", channels=64)
    assert network.get_submodule("classify").weight.std().item() == pytest.approx(0.01, rel=0.05)


def test_multi_grid_needs_a_stage_of_units() -> None:
    for encoder, factors in (("mobilenetv2_100", (1, 2, 4)), ("vgg16_atrous", (1, 2)), ("test_resnet", (0, 1))):
        made = create_encoder(encoder, output_stride=8)
        with pytest.raises(
            SettingsError, match=rf"cannot be given the multi-grid \({factors[0]}, {factors[1]}.*\(\) goes without"
        ):
            set_multi_grid(made, factors)
    assert small(16, "mobilenetv2_100", multi_grid=())(torch.rand(1, 3, 33, 33)).logits.shape == (1, 3, 33, 33)


def test_recipes() -> None:
    first, second = load_recipe("deeplab_v3").stages
    assert (first.output_stride, second.output_stride, second.init) == (16, 8, "previous")
    assert (dict(first.options), dict(second.options)) == ({}, {"frozen_norm": True})
    for stage, lr in ((first, 7e-3), (second, 1e-3)):
        factor = learning_rate_factor(stage, 30_000)
        assert stage.lr * factor(0) == lr
        assert stage.lr * factor(29_999) == pytest.approx(lr * (1 / 30_000) ** 0.9)
    named = small(8, frozen_norm=True).named_parameters()
    assert {group["weight_decay"] for group in make_optimizer(named, second).param_groups} == {1e-4, 0.0}
    (cascade,) = load_recipe("deeplab_v3_cascade").stages
    assert dict(cascade.options) == {"head": "cascade", "multi_grid": [1, 2, 1]}
