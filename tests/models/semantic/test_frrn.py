import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from intarsia.models.semantic.frrn import _FRRU, _RU, FRRN, _unpool
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor, make_optimizer


@pytest.mark.parametrize(("variant", "count"), [("A", 17_746_803), ("B", 24_755_699)])
def test_parameters(variant: Any, count: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in FRRN(num_classes=19, variant=variant).parameters()) == count


@pytest.mark.parametrize(
    ("variant", "pooling_stream"),
    [
        ("A", [(96, 32), (192, 16), (384, 8), (384, 4), (192, 8), (192, 16), (96, 32)]),
        ("B", [(96, 32), (192, 16), (384, 8), (384, 4), (384, 2), (192, 4), (192, 8), (192, 16), (96, 32)]),
    ],
)
def test_table_1(variant: Any, pooling_stream: list[tuple[int, int]]) -> None:
    """Channels and sizes of the pooling stream after each level, for 64 pixels; the residual stream keeps 32 at full size."""
    found: list[tuple[int, int]] = []
    with torch.device("meta"):
        network = FRRN(num_classes=19, variant=variant)
        for level in network.levels:
            level.register_forward_hook(lambda _module, _inputs, output: found.append(output[0].shape[1:3]))
            level.register_forward_hook(lambda _module, _inputs, output: lanes.append(output[1].shape))
        lanes: list[torch.Size] = []
        network(torch.empty(1, 3, 64, 128))
    assert found == pooling_stream
    assert set(lanes) == {(1, 32, 64, 128)}
    assert [len(level.units) for level in network.levels] == {"A": [3, 4, 2, 2, 2, 2, 2], "B": [3, 4, 2, 2, 2, 2, 2, 2, 2]}[
        variant
    ]


def test_units_of_a_level_are_chained() -> None:
    """The common port feeds every unit of a level what came from the level before."""
    level = FRRN(num_classes=2, width=4, lanes=2).levels[0]
    assert [unit.convs[0][0].in_channels for unit in level.units] == [4 + 2, 8 + 2, 8 + 2]
    y, z = torch.rand(2, 4, 8, 8), torch.rand(2, 2, 8, 8)
    passed: list[tuple[Tensor, Tensor]] = []
    for unit in level.units:
        unit.register_forward_hook(lambda _module, inputs, output: passed.append((inputs[0], output[0])))
    level(y, z)
    assert [after[0] is before[1] for before, after in itertools.pairwise(passed)] == [True, True]


def test_unit_number_by_number() -> None:
    torch.manual_seed(0)
    unit = _FRRU(3, 4, 2, 4).double().eval()
    y, z = torch.randn(1, 3, 2, 3, dtype=torch.float64), torch.randn(1, 2, 8, 12, dtype=torch.float64)
    pooled = torch.stack(
        [z[0, c, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4].max() for c in range(2) for i in range(2) for j in range(3)]
    )
    new_y, new_z = unit(y, z)
    torch.testing.assert_close(new_y, unit.convs(torch.cat([y, pooled.reshape(1, 2, 2, 3)], 1)))
    step = unit.residual(new_y)
    for i in range(8):
        for j in range(12):
            torch.testing.assert_close(new_z[0, :, i, j], z[0, :, i, j] + step[0, :, i // 4, j // 4])


def test_residual_unit_has_no_relu_after_its_sum() -> None:
    torch.manual_seed(0)
    unit, x = _RU(4, 4).eval(), torch.full((1, 4, 5, 5), -3.0)
    assert torch.equal(unit(x), x + unit.convs(x))
    assert (unit(x) < 0).any()
    projected = _RU(5, 4)
    assert isinstance(projected.shortcut, nn.Conv2d)
    assert projected.shortcut.bias is None


def test_unpooling_by_hand() -> None:
    expected = [[1, 1.5, 2, 2], [2, 2.5, 3, 3], [3, 3.5, 4, 4], [3, 3.5, 4, 4]]
    torch.testing.assert_close(_unpool(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])), torch.tensor([[expected]]))


@pytest.mark.parametrize("variant", ["A", "B"])
def test_checkpointing_changes_nothing_but_memory(variant: Any) -> None:
    made = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        network = FRRN(num_classes=3, variant=variant, width=4, lanes=2, checkpointing=checkpointing).train()
        network(torch.linspace(0, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)).logits.square().mean().backward()
        made.append(network)
    for (name, a), b in zip(made[0].named_parameters(), made[1].parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=name)
    for a, b in zip(made[0].buffers(), made[1].buffers(), strict=True):
        assert torch.equal(a, b)


def test_initial_weights_are_he_uniform() -> None:
    """Their bound is sqrt(3 / n), and sqrt(6 / n) where a ReLU follows."""
    torch.manual_seed(0)
    network = FRRN(num_classes=5, width=8, lanes=4)
    unit = network.levels[1].units[0]
    for conv, bound in (
        (network.stem[0][0], math.sqrt(6 / 75)),
        (network.stem[2].convs[2][0], math.sqrt(3 / 72)),
        (unit.convs[0][0], math.sqrt(6 / (9 * 20))),
        (unit.residual, math.sqrt(3 / 32)),
        (network.score, math.sqrt(3 / 8)),
    ):
        assert 0.9 * bound < conv.weight.abs().max().item() <= bound
    assert not unit.residual.bias.any()
    assert {module.eps for module in network.modules() if isinstance(module, nn.BatchNorm2d)} == {1e-4}


@pytest.mark.parametrize(("name", "size"), [("frrn_a", (256, 512)), ("frrn_b", (512, 1024))])
def test_the_recipe_falls_by_a_fifth_every_5000_steps(name: str, size: tuple[int, int]) -> None:
    (stage,) = load_recipe(name).stages
    assert (stage.imgsz, stage.batch, stage.optimizer, stage.options["variant"]) == (size, 3, "adam", name[-1].upper())
    factor = learning_rate_factor(stage, 80_000)
    for step in (0, 4_999, 5_000, 12_345, 65_000, 69_999, 70_000, 79_999):
        assert 1e-3 * factor(step) == pytest.approx(max(5e-5, 1e-3 / 1.25 ** (step // 5_000)))
    groups = make_optimizer(FRRN(num_classes=2, width=4, lanes=2).named_parameters(), stage).param_groups
    assert {(group["lr"], group["weight_decay"]) for group in groups} == {(1e-3, 0.0)}
