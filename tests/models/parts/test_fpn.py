import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.models.parts.fpn import FPN

SIZES = ((9, 13), (5, 7), (3, 4))


def features(channels: tuple[int, ...]) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, count, *size) for count, size in zip(channels, SIZES, strict=True)]


def test_parameters_by_hand() -> None:
    with torch.device("meta"):
        pyramid = FPN((256, 512, 1024, 2048))
    assert (
        sum(p.numel() for p in pyramid.parameters()) == (256 + 512 + 1024 + 2048 + 4) * 256 + 4 * (9 * 256 + 1) * 256 == 3_344_384
    )


def test_a_slow_formulation_says_the_same() -> None:
    """Each map is the sum of all coarser ones, every pixel repeated as often as it covers pixels of the finer map."""
    pyramid, maps = FPN((2, 3, 5), channels=4), features((2, 3, 5))
    found = pyramid(maps)
    sides = [lateral(x) for lateral, x in zip(pyramid.lateral, maps, strict=True)]
    for level, (height, width) in enumerate(SIZES):
        total = torch.zeros(2, 4, height, width)
        for coarser in range(level, 3):
            ratio = 2 ** (coarser - level)
            repeated = sides[coarser].repeat_interleave(ratio, 2).repeat_interleave(ratio, 3)
            total += repeated[..., :height, :width]
        torch.testing.assert_close(found[level], pyramid.output[level](total))


def test_without_the_way_down_each_map_stays_by_itself() -> None:
    pyramid, maps = FPN((2, 3, 5), channels=4, top_down=False), features((2, 3, 5))
    before = pyramid(maps)
    maps[2] = maps[2] + 1
    after = pyramid(maps)
    assert torch.equal(after[0], before[0])
    assert torch.equal(after[1], before[1])
    assert not torch.equal(after[2], before[2])


def test_the_topmost_map_may_go_through_a_perceptron() -> None:
    pyramid, maps = FPN((2, 3, 5), channels=4, top_mlp=True), features((2, 3, 5))
    hidden = torch.relu(F.linear(maps[2].movedim(1, -1), pyramid.lateral[2].weight[..., 0, 0], pyramid.lateral[2].bias))
    last = pyramid.top[1]
    top = F.linear(hidden, last.weight[..., 0, 0], last.bias).movedim(-1, 1)
    torch.testing.assert_close(pyramid(maps)[2], pyramid.output[2](top))


def test_nothing_is_normalised_or_cut_off() -> None:
    pyramid = FPN((2, 3, 5), channels=4)
    assert {type(m) for m in pyramid.modules()} == {FPN, nn.ModuleList, nn.Conv2d, nn.Identity}
    maps = features((2, 3, 5))
    torch.testing.assert_close(pyramid([-x for x in maps])[0], -pyramid(maps)[0])  # biases are zero at the start


def test_initial_weights() -> None:
    torch.manual_seed(0)
    pyramid = FPN((64,), channels=128)
    for conv, inputs in ((pyramid.lateral[0], 64), (pyramid.output[0], 9 * 128)):
        bound = (3 / inputs) ** 0.5
        assert conv.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
        assert conv.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
        assert not conv.bias.any()
