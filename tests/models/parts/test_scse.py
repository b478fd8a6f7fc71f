from typing import Any

import pytest
import torch
from torch import nn

from intarsia.models.parts.scse import SCSE, ChannelSE, SpatialSE, recalibrated_channels, recalibration

KINDS = ["none", "cse", "sse", "scse_max", "scse_add", "scse_multiply", "scse_concat"]


def made(kind: str, channels: int = 6) -> nn.Module:
    torch.manual_seed(0)
    return recalibration(channels, kind).double()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("none", lambda u: u),
        ("cse", lambda u: u / 2),
        ("sse", lambda u: u / 2),
        ("scse_max", lambda u: u / 2),
        ("scse_add", lambda u: u),
        ("scse_multiply", lambda u: u**2 / 4),
        ("scse_concat", lambda u: torch.cat([u / 2, u / 2], dim=1)),
    ],
)
def test_with_weights_of_zero_every_gate_is_a_half(kind: str, expected: Any) -> None:
    block, u = made(kind), torch.randn(2, 6, 4, 5, dtype=torch.float64)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    torch.testing.assert_close(block(u), expected(u))


def test_eight_blocks_of_64_channels_have_the_weights_that_the_paper_counts() -> None:
    with torch.device("meta"):
        assert 8 * sum(p.numel() for p in SCSE(64).parameters()) == 33_280  # "3.3e4"


def test_channel_gates_number_by_number() -> None:
    torch.manual_seed(0)
    block, u = ChannelSE(4).double(), torch.randn(2, 4, 3, 5, dtype=torch.float64)
    for n in range(2):
        means = [u[n, c].sum().item() / 15 for c in range(4)]
        hidden = [max(0.0, sum(block.squeeze.weight[j, c].item() * means[c] for c in range(4))) for j in range(2)]
        for c in range(4):
            energy = torch.tensor(sum(block.excite.weight[c, j].item() * hidden[j] for j in range(2)))
            torch.testing.assert_close(block(u)[n, c], u[n, c] * torch.sigmoid(energy), rtol=1e-6, atol=1e-6)


def test_pixel_gates_number_by_number() -> None:
    torch.manual_seed(0)
    block, u = SpatialSE(4).double(), torch.randn(1, 4, 3, 5, dtype=torch.float64)
    for i in range(3):
        for j in range(5):
            energy = sum(block.excite.weight[0, c, 0, 0] * u[0, c, i, j] for c in range(4))
            torch.testing.assert_close(block(u)[0, :, i, j], u[0, :, i, j] * torch.sigmoid(torch.as_tensor(energy)))


def test_the_maximum_is_nowhere_less_than_either() -> None:
    block, u = made("scse_max"), torch.randn(2, 6, 4, 5, dtype=torch.float64)
    joined, by_channel, by_pixel = block(u), block.channel(u), block.spatial(u)
    assert ((joined >= by_channel) & (joined >= by_pixel)).all()
    assert ((joined == by_channel) | (joined == by_pixel)).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 2, 7])
def test_sizes_down_to_one_channel_and_one_pixel(kind: str, channels: int) -> None:
    u = torch.randn(1, channels, 1, 1, dtype=torch.float64)
    assert made(kind, channels)(u).shape == (1, recalibrated_channels(channels, kind), 1, 1)


@pytest.mark.parametrize("kind", ["cse", "sse", "scse_max", "scse_concat"])
def test_gradients(kind: str) -> None:
    assert torch.autograd.gradcheck(made(kind, 3), torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True))
