from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.models.semantic.deeplab_v1 import DeepLabV1
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor, make_optimizer


def small(**options: Any) -> DeepLabV1:
    torch.manual_seed(0)
    return DeepLabV1(num_classes=3, **{"width": 2, "fc_channels": 8, **options}).eval()


def scores(network: DeepLabV1, image: Tensor) -> Tensor:
    """The scores at stride 8, before they are enlarged: cell i lies on pixel 8 i."""
    return network(image).logits[..., ::8, ::8]


@pytest.mark.parametrize(("classes", "msc", "count"), [(21, False, 20_505_429), (11, False, 20_495_179), (21, True, 21_711_550)])
def test_parameters(classes: int, msc: bool, count: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in DeepLabV1(num_classes=classes, msc=msc).parameters()) == count


@pytest.mark.parametrize(("size", "cells"), [(321, 41), (513, 65)])
def test_sizes_of_the_release(size: int, cells: int) -> None:
    seen: list[int] = []
    with torch.device("meta"):
        network = small(msc=True)
        for module in (network.score, *network.side_scores):
            module.register_forward_hook(lambda _module, _inputs, output: seen.append(output.shape[-1]))
        assert network(torch.empty(1, 3, size, size)).logits.shape == (1, 3, size, size)
    assert seen == [cells] * 6


def test_layers_of_large_fov() -> None:
    """Average pooling, then a 3x3 kernel whose taps lie 12 cells apart."""
    network = small()
    image = torch.rand(1, 3, 65, 89)
    pooled = network.trunk(image)[-1]
    average = sum(F.pad(pooled, (1, 1, 1, 1))[..., r : r + 9, c : c + 12] for r in range(3) for c in range(3)) / 9
    padded = F.pad(average, (12, 12, 12, 12))
    weight = network.fc6.weight
    x = network.fc6.bias[:, None, None] + sum(
        torch.einsum("kc,nchw->nkhw", weight[..., r, c], padded[..., 12 * r : 12 * r + 9, 12 * c : 12 * c + 12])
        for r in range(3)
        for c in range(3)
    )
    expected = network.score(F.relu(network.fc7(F.relu(x))))
    torch.testing.assert_close(scores(network, image), expected, rtol=1e-4, atol=1e-6)


def test_sum_of_scores_is_one_layer_on_the_concatenated_maps() -> None:
    """The paper's words against the release's; the release has five biases more for each class."""
    network = small(msc=True)
    image = torch.rand(1, 3, 65, 89)
    pools = network.trunk(image)
    hidden = F.relu(network.fc7(F.relu(network.fc6(network.average(pools[-1])))))
    maps = [hidden, *(side[:-1](x) for side, x in zip(network.side_scores, (image, *pools), strict=False))]
    layers = [network.score, *(side[-1] for side in network.side_scores)]
    weight = torch.cat([layer.weight for layer in layers], dim=1)
    bias = torch.stack([layer.bias for layer in layers]).sum(0)
    torch.testing.assert_close(scores(network, image), F.conv2d(torch.cat(maps, dim=1), weight, bias), rtol=1e-4, atol=1e-6)


def test_side_scores_join_a_finished_network() -> None:
    finished, network = small(), small(msc=True)
    missing, unexpected = network.load_state_dict(finished.state_dict(), strict=False)
    assert not unexpected
    assert {name.split(".")[0] for name in missing} == {"side_scores"}


def test_initial_weights() -> None:
    network = DeepLabV1(num_classes=21, msc=True, width=8, fc_channels=512)
    assert network.score.weight.std().item() == pytest.approx(0.01, rel=0.05)
    for index, side in enumerate(network.side_scores):
        convs = [layer for layer in side if isinstance(layer, nn.Conv2d)]
        expected = (0.001, 0.005 if index == 4 else 0.001, 0.01)
        for conv, std in zip(convs, expected, strict=True):
            assert conv.weight.std().item() == pytest.approx(std, rel=0.1)
            assert conv.bias is not None
            assert not conv.bias.any()


def test_the_classifiers_layers_are_thinned() -> None:
    torch.manual_seed(0)
    network = small()
    convs = [m for m in network.trunk.modules() if isinstance(m, nn.Conv2d)]
    places = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    state = {
        f"features.{place}.{part}": torch.rand_like(value)
        for place, conv in zip(places, convs, strict=True)
        for part, value in conv.state_dict().items()
    }
    fc6, fc7 = nn.Linear(16 * 49, 32), nn.Linear(32, 32)
    for place, layer in ((0, fc6), (3, fc7)):
        state |= {f"classifier.{place}.{name}": value for name, value in layer.state_dict().items()}
    network.load_imagenet(state)
    dense = fc6.weight.unflatten(1, (16, 7, 7))
    for output in range(8):
        for row in range(3):  # taps 0, 3, 6 of 7
            torch.testing.assert_close(network.fc6.weight[output, :, row, 2], dense[4 * output, :, 3 * row, 6])
        torch.testing.assert_close(network.fc7.weight[output, :, 0, 0], fc7.weight[4 * output, ::4])
    torch.testing.assert_close(network.fc6.bias, fc6.bias[::4])
    with pytest.raises(SettingsError, match=r"DeepLab's fc6 and fc7: .*4 missing"):
        network.load_imagenet({name: value for name, value in state.items() if "features" in name})


def test_recipes() -> None:
    (stage,) = load_recipe("deeplab_v1").stages
    factor = learning_rate_factor(stage, 6000)
    assert [stage.lr * factor(step) for step in (0, 1999, 2000, 4000, 5999)] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-5, 1e-5])
    groups = make_optimizer(small().named_parameters(), stage).param_groups
    assert {(group["lr"], group["weight_decay"]) for group in groups} == {(1e-3, 5e-4), (2e-3, 0.0), (1e-2, 5e-4), (2e-2, 0.0)}
    first, second = load_recipe("deeplab_v1_msc").stages
    assert (dict(first.options), dict(second.options), second.init) == ({}, {"msc": True}, "previous")
    learning = {name for name, _ in small(msc=True).named_parameters() if not name.startswith(second.frozen)}
    assert {name.split(".")[0] for name in learning} == {"side_scores"}
