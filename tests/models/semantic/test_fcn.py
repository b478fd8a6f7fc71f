from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from intarsia.core import SettingsError
from intarsia.encoders import alexnet
from intarsia.models.semantic.fcn import FCN
from intarsia.recipes import load_recipe


def small(**options: Any) -> FCN:
    torch.manual_seed(0)
    return FCN(num_classes=3, **{"width": 2, "fc_channels": 8, **options}).eval()


def fill_scores(network: FCN) -> FCN:
    """Scores begin at zero; give them weights."""
    for name, parameter in network.named_parameters():
        if "score" in name:
            nn.init.normal_(parameter)
    return network


@pytest.mark.parametrize(("stride", "count"), [(32, 134_346_581), (16, 134_357_354), (8, 134_362_751)])
def test_parameters(stride: Any, count: int) -> None:
    with torch.device("meta"):
        network = FCN(num_classes=21, stride=stride)
    assert sum(p.numel() for p in network.parameters()) == count


def test_parameters_with_learnt_upsampling() -> None:
    with torch.device("meta"):
        network = FCN(num_classes=21, learn_upsampling=True)
    assert sum(p.numel() for p in network.parameters()) == 134_362_751 + 127_008


@pytest.mark.parametrize(("trunk", "count"), [("alexnet", 56_954_261), ("alexnet_torchvision", 57_089_877)])
def test_parameters_on_alexnet(trunk: Any, count: int) -> None:
    with torch.device("meta"):
        network = FCN(num_classes=21, trunk=trunk)
        learnt = FCN(num_classes=21, trunk=trunk, learn_upsampling=True)
    assert sum(p.numel() for p in network.parameters()) == count
    assert learnt.upsample.weight.shape == (21, 21, 63, 63)


def grid(layers: list[tuple[int, int, int]]) -> tuple[Fraction, Fraction]:
    """Where pixel i of the last map lies in the image, as (step, start): centres, for layers of (kernel, stride, padding).

    A transposed convolution has a negative stride.
    """
    step, start = Fraction(1), Fraction(0)
    for kernel, stride, padding in layers:
        centre = Fraction(kernel - 1, 2) - padding
        if stride < 0:
            step /= -stride
            start -= centre * step
        else:
            start += centre * step
            step *= stride
    return step, start


def trunk(pools: int, first_padding: int) -> list[tuple[int, int, int]]:
    layers = []
    for stage, depth in enumerate((2, 2, 3, 3, 3)[:pools]):
        layers += [(3, 1, first_padding if stage == index == 0 else 1) for index in range(depth)] + [(2, 2, 0)]
    return layers


@pytest.mark.parametrize("padding", ["reference", "same"])
def test_offsets_follow_from_the_layers(padding: Any) -> None:
    first, fc6, same = (1, 3, True) if padding == "same" else (100, 0, False)
    for stride in (32, 16, 8):
        network = small(stride=stride, padding=padding)
        summed = [*trunk(5, first), (7, 1, fc6)]
        for skip, pools in zip(network.skips, (4, 3), strict=False):
            finer, enlarged = trunk(pools, first), [*summed, (4, -2, 0)]
            (step, start), (finer_step, finer_start) = grid(enlarged), grid(finer)
            assert step == finer_step
            offset = (start - finer_start) / step  # pixel 0 of the enlarged map is pixel `offset` of the finer one
            assert offset == (-1 if same else skip.offset)
            summed = finer if same else enlarged  # the one that is not cropped
        step, start = grid([*summed, (2 * stride, -stride, 0)])
        assert step == 1
        assert network.offset == -start


@pytest.mark.parametrize(("padding", "offset"), [("reference", 18), ("same", 47)])
def test_offset_on_alexnet_follows_from_the_layers(padding: Any, offset: int) -> None:
    first, pool, fc6 = (5, 1, 3) if padding == "same" else (100, 0, 0)
    layers = [(11, 4, first), (3, 2, pool), (5, 1, 2), (3, 2, pool), *[(3, 1, 1)] * 3, (3, 2, pool), (6, 1, fc6), (63, -32, 0)]
    assert grid(layers) == (1, -offset)
    assert small(trunk="alexnet", width=4, padding=padding).offset == offset


def test_sizes_on_alexnet() -> None:
    sizes: dict[str, int] = {}
    with torch.device("meta"):
        network = FCN(num_classes=2, trunk="alexnet", width=4, fc_channels=1)
        for name in ("trunk.stages.0", "trunk.stages.1", "trunk.stages.2", "trunk.stages.4", "fc6", "upsample"):
            network.get_submodule(name).register_forward_hook(lambda _m, _i, out, name=name: sizes.update({name: out.shape[-1]}))
        assert network(torch.empty(1, 3, 500, 500)).logits.shape == (1, 2, 500, 500)
    assert list(sizes.values()) == [173, 86, 43, 21, 16, 543]


def test_alexnet_has_no_skips() -> None:
    with pytest.raises(SettingsError, match=r"FCN on AlexNet has stride 32 and no skips; 16 was asked for"):
        small(trunk="alexnet", stride=16)
    assert small(trunk="alexnet", width=4).upsample.stride == 32
    assert small().upsample.stride == 8


def test_alexnet_classifier_becomes_the_network() -> None:
    """With the pools of the classifier, fc7 answers as the classifier's does."""
    torch.manual_seed(0)
    network = small(trunk="alexnet_torchvision")
    convs = [module for module in network.trunk.modules() if isinstance(module, nn.Conv2d)]
    state = {
        f"features.{index}.{part}": torch.randn_like(value) * 0.1
        for index, conv in zip((0, 3, 6, 8, 10), convs, strict=True)
        for part, value in conv.state_dict().items()
    }
    fc6, fc7 = nn.Linear(8 * 36, 8), nn.Linear(8, 8)
    state |= {f"classifier.1.{name}": value for name, value in fc6.state_dict().items()}
    state |= {f"classifier.4.{name}": value for name, value in fc7.state_dict().items()}
    network.load_imagenet(state)
    seen: list[Tensor] = []
    network.fc7.register_forward_hook(lambda _module, _inputs, output: seen.append(output.clone()))
    image = torch.rand(1, 3, 64, 64)
    network(image)
    window = network.trunk(image)[-1][..., :6, 1:7]
    torch.testing.assert_close(seen[0][..., 0, 1], fc7(torch.relu(fc6(window.flatten(1)))))
    assert network.trunk.imagenet == alexnet.AlexNet().imagenet


def test_the_recipes() -> None:
    at_once, coarse = load_recipe("fcn_at_once").stages[0], load_recipe("fcn_alexnet").stages[0]
    assert at_once.options == {"at_once": True}
    assert (at_once.lr, at_once.momentum, at_once.batch, at_once.steps) == (1.875e-5, 0.99, 1, 300_000)
    assert coarse.options == {"trunk": "alexnet"}
    assert (coarse.lr, coarse.momentum, coarse.accumulate, coarse.schedule) == (1e-4, 0.9, 20, "constant")


def test_offsets_of_the_reference() -> None:
    assert [small(stride=stride).offset for stride in (32, 16, 8)] == [19, 27, 31]
    assert [skip.offset for skip in small().skips] == [5, 9]


def test_sizes_of_the_reference() -> None:
    sizes: dict[str, int] = {}

    def note(name: str) -> Any:
        return lambda _module, _inputs, output: sizes.update({name: output.shape[-1]})

    with torch.device("meta"):
        network = FCN(num_classes=2, width=1, fc_channels=1)
        for name in ("fc6", "skips.0.upsample", "skips.1.upsample", "upsample"):
            network.get_submodule(name).register_forward_hook(note(name))
        assert network(torch.empty(1, 3, 500, 500)).logits.shape == (1, 2, 500, 500)
    assert sizes == {"fc6": 16, "skips.0.upsample": 34, "skips.1.upsample": 70, "upsample": 568}


@pytest.mark.parametrize("padding", ["reference", "same"])
@pytest.mark.parametrize(("trunk", "stride"), [("vgg16", 32), ("vgg16", 16), ("vgg16", 8), ("alexnet", 32)])
def test_every_size_comes_out_as_it_went_in(trunk: Any, stride: Any, padding: Any) -> None:
    with torch.device("meta"):
        network = FCN(num_classes=2, trunk=trunk, stride=stride, padding=padding, width=4, fc_channels=1)
        for size in range(1, 100):
            assert network(torch.empty(1, 3, size, 100 - size)).logits.shape == (1, 2, size, 100 - size)


def test_scores_begin_at_zero() -> None:
    assert not small()(torch.rand(1, 3, 40, 40)).logits.any()


def test_each_stage_starts_from_the_one_before() -> None:
    image = torch.rand(1, 3, 64, 64)
    previous = fill_scores(small(stride=32))
    before = previous(image).logits
    for stride, index in ((16, 0), (8, 1)):
        network = small(stride=stride)
        missing, unexpected = network.load_state_dict(previous.state_dict(), strict=False)
        assert missing == [f"skips.{index}.score.weight", f"skips.{index}.score.bias"]
        assert not unexpected
        # a new skip scores zero, so all that changes is that the map is enlarged in more steps
        after = network(image).logits
        assert (after - before).abs().mean() < 0.1 * before.abs().mean()
        previous = network


@pytest.mark.parametrize("padding", ["reference", "same"])
def test_learnt_upsampling_begins_as_the_frozen_one(padding: Any) -> None:
    frozen, learnt = fill_scores(small(padding=padding)), small(padding=padding, learn_upsampling=True)
    missing, _ = learnt.load_state_dict(frozen.state_dict(), strict=False)
    assert missing == ["skips.0.upsample.weight", "skips.1.upsample.weight", "upsample.weight"]
    image = torch.rand(1, 3, 33, 47)
    torch.testing.assert_close(learnt(image).logits, frozen(image).logits)


def test_at_once_scales_the_skips_and_nothing_else() -> None:
    staged, at_once = fill_scores(small()), small(at_once=True)
    state = staged.state_dict()
    at_once.load_state_dict(state)
    for index, scale in enumerate((0.01, 0.0001)):
        state[f"skips.{index}.score.weight"] = state[f"skips.{index}.score.weight"] * scale
    staged.load_state_dict(state)
    image = torch.rand(1, 3, 33, 47)
    torch.testing.assert_close(at_once(image).logits, staged(image).logits)


def test_the_classifier_becomes_the_network() -> None:
    """At the centre of a 224 x 224 image, fc7 answers as the classifier's fc7 does."""
    torch.manual_seed(0)
    state = {f"features.{i}.{part}": value for i, part, value in _trunk_state()}
    fc6, fc7 = nn.Linear(16 * 49, 8), nn.Linear(8, 8)
    state |= {f"classifier.0.{name}": value for name, value in fc6.state_dict().items()}
    state |= {f"classifier.3.{name}": value for name, value in fc7.state_dict().items()}
    network = small(padding="same")
    network.load_imagenet(state)
    seen: list[Tensor] = []
    network.fc7.register_forward_hook(lambda _module, _inputs, output: seen.append(output.clone()))
    image = torch.rand(1, 3, 224, 224)
    network(image)
    pooled = network.trunk(image)[-1]
    torch.testing.assert_close(seen[0][..., 3, 3], fc7(torch.relu(fc6(pooled.flatten(1)))))


def _trunk_state() -> list[tuple[int, str, Tensor]]:
    widths, entries, before = (2, 2, 4, 4, 8, 8, 8, 16, 16, 16, 16, 16, 16), [], 3
    for index, width in zip((0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), widths, strict=True):
        entries += [(index, "weight", torch.randn(width, before, 3, 3) * 0.3), (index, "bias", torch.zeros(width))]
        before = width
    return entries
