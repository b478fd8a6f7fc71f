import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from intarsia.models.semantic.fc_densenet import FCDenseNet, _DenseBlock
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor


def small(**options: Any) -> FCDenseNet:
    torch.manual_seed(0)
    return FCDenseNet(num_classes=3, **{"layers": 56, "growth": 2, "stem": 4, **options})


@pytest.mark.parametrize(
    ("layers", "count", "with_statistics"),
    [(56, 1_376_795, 1_397_963), (67, 3_463_243, 3_502_923), (103, 9_322_091, 9_425_163)],
)
def test_parameters(layers: Any, count: int, with_statistics: int) -> None:
    with torch.device("meta"):
        network = FCDenseNet(num_classes=11, layers=layers)
    assert sum(p.numel() for p in network.parameters()) == count
    assert count + sum(b.numel() for b in network.buffers() if b.ndim) == with_statistics
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(convs) == layers
    assert all(conv.bias is not None for conv in convs)


@pytest.mark.parametrize(
    ("layers", "down", "bottleneck", "up"),
    [
        (56, [96, 144, 192, 240, 288], 336, [384, 336, 288, 240, 192]),
        (67, [128, 208, 288, 368, 448], 528, [608, 528, 448, 368, 288]),
        (103, [112, 192, 304, 464, 656], 896, [1088, 816, 576, 384, 256]),
    ],
)
def test_table_2(layers: Any, down: list[int], bottleneck: int, up: list[int]) -> None:
    """Maps after each block, input and new ones together, and the sizes of CamVid's 360 x 480 pixels."""
    stacked: list[tuple[int, int]] = []
    with torch.device("meta"):
        network = FCDenseNet(num_classes=11, layers=layers)
        for module in network.modules():
            if isinstance(module, _DenseBlock):
                module.register_forward_hook(
                    lambda _module, inputs, output: stacked.append((inputs[0].shape[1] + output.shape[1], output.shape[2]))
                )
        assert network(torch.empty(1, 3, 360, 480)).logits.shape == (1, 11, 360, 480)
    assert [channels for channels, _ in stacked] == [*down, bottleneck, *up]
    assert [height for _, height in stacked] == [360, 180, 90, 45, 22, 11, 22, 45, 90, 180, 360]


def test_only_new_maps_are_enlarged() -> None:
    with torch.device("meta"):
        network = FCDenseNet(num_classes=11)
    assert [layer.in_channels for layer in network.enlarge] == [240, 192, 160, 112, 80]
    assert network.score.in_channels == 256  # the last block hands on all


def test_a_dense_block_layer_by_layer() -> None:
    torch.manual_seed(0)
    block = _DenseBlock(3, 3, 2, 0.0, checkpointing=False).double().eval()
    x = torch.randn(1, 3, 4, 5, dtype=torch.float64)
    first = block.layers[0].conv(torch.relu(block.layers[0].norm(x)))
    second = block.layers[1].conv(torch.relu(block.layers[1].norm(torch.cat([x, first], 1))))
    third = block.layers[2].conv(torch.relu(block.layers[2].norm(torch.cat([x, first, second], 1))))
    torch.testing.assert_close(block(x), torch.cat([first, second, third], 1))


def test_transitions() -> None:
    network = small()
    down, enlarge = network.shrink[0], network.enlarge[0]
    assert [type(layer) for layer in down] == [nn.BatchNorm2d, nn.ReLU, nn.Conv2d, nn.Dropout, nn.MaxPool2d]
    assert down[2].in_channels == down[2].out_channels == 4 + 4 * 2
    assert (enlarge.kernel_size, enlarge.stride, enlarge.padding) == ((3, 3), (2, 2), (0, 0))
    seen: list[Tensor] = []
    network.up[0].register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    enlarge.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    network.eval()(torch.rand(1, 3, 70, 66))
    assert seen[0].shape[-2:] == (5, 5)
    assert torch.equal(seen[1][:, :8], seen[0][..., :4, :4])  # of 5 x 5, as many as the skip has


@pytest.mark.parametrize("se", ["none", "scse_max"])
def test_checkpointing_changes_nothing_but_memory(se: Any) -> None:
    made = []
    for checkpointing in (False, True):
        network = small(checkpointing=checkpointing, se=se).train()
        torch.manual_seed(1)  # of dropout
        network(torch.linspace(0, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)).logits.square().mean().backward()
        made.append(network)
    for (name, a), b in zip(made[0].named_parameters(), made[1].parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=name)
    for a, b in zip(made[0].buffers(), made[1].buffers(), strict=True):
        assert torch.equal(a, b)


def test_checkpointing_keeps_less() -> None:
    kept = {}
    for checkpointing in (False, True):
        network, sizes = small(checkpointing=checkpointing, layers=103).train(), []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, sizes=sizes: (sizes.append(x.numel()), x)[1], lambda x: x):
            network(torch.rand(2, 3, 32, 32))
        kept[checkpointing] = sum(sizes)
    assert kept[True] < kept[False] / 2


def test_batch_statistics_are_the_batch_s_in_evaluation_too() -> None:
    network, image = small(batch_statistics=True, dropout=0.0), torch.rand(3, 3, 64, 70)
    with torch.no_grad():
        trained, evaluated = network.train()(image).logits, network.eval()(image).logits
        alone = network(image[:1]).logits
    assert torch.equal(trained, evaluated)
    assert not torch.allclose(alone, evaluated[:1])
    assert not list(network.buffers())
    running = small(dropout=0.0).eval()
    assert running.load_state_dict(network.state_dict(), strict=False).unexpected_keys == []


def test_a_single_small_image_has_batch_statistics() -> None:
    assert small(batch_statistics=True).eval()(torch.rand(1, 3, 5, 32)).logits.isfinite().all()
    assert small().train()(torch.rand(1, 3, 32, 32)).logits.isfinite().all()


def test_dropout_follows_the_convolutions_of_blocks_and_transitions() -> None:
    network = FCDenseNet(num_classes=2, layers=56, growth=1, stem=1)
    assert [module.p for module in network.modules() if isinstance(module, nn.Dropout)] == [0.2] * (11 * 4 + 5)


def test_recalibration_follows_every_block_but_the_bottleneck() -> None:
    with torch.device("meta"):
        plain, weighed = FCDenseNet(num_classes=11, layers=56), FCDenseNet(num_classes=11, layers=56, se="sse")
        joined = FCDenseNet(num_classes=11, layers=56, se="scse_concat")
    channels = [96, 144, 192, 240, 288, 48, 48, 48, 48, 192]  # one weight for each channel of sSE
    extra = sum(p.numel() for p in weighed.parameters()) - sum(p.numel() for p in plain.parameters())
    assert extra == sum(channels)
    assert joined.score.in_channels == 2 * (48 + 2 * 96 + 48 + 48)  # new maps and skip both twice as many


def test_initial_weights_are_he_uniform() -> None:
    network = small(growth=6)
    layer = network.down[2].layers[1]
    bound = math.sqrt(6 / (9 * layer.conv.in_channels))
    assert 0.95 * bound < layer.conv.weight.abs().max().item() <= bound
    assert not layer.conv.bias.any()
    assert layer.norm.eps == 1e-4


def test_the_recipe_has_the_paper_s_two_phases() -> None:
    first, second = load_recipe("fc_densenet").stages
    assert (first.crop, first.batch, first.lr, first.patience) == ((224, 224), 3, 1e-3, 100)
    assert (second.crop, second.lr, second.patience, second.init) == (None, 1e-4, 50, "previous")
    for stage in (first, second):
        assert (stage.optimizer, stage.weight_decay, stage.options["layers"]) == ("rmsprop", 2e-4, 103)
        factor = learning_rate_factor(stage, 750 * 122)
        assert factor(0) == factor(121) == 1
        assert factor(122) == 0.995
        assert factor(750 * 122 - 1) == pytest.approx(0.0234, abs=1e-4)  # 0.995 to the 749th
