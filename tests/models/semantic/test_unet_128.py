import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from intarsia.models.semantic.unet_128 import UNet128
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor


@pytest.mark.parametrize(
    ("options", "trained", "with_statistics"),
    [
        ({"form": "notebook", "single_conv": True}, 1_177_649, 1_179_121),  # what the notebook prints
        ({"form": "notebook"}, 2_161_361, 2_164_305),
        ({"form": "plain"}, 2_161_361 - 2 * 1472, 2_161_361 - 2 * 1472),  # 1472 normalised channels with two weights each
    ],
)
def test_parameters(options: Any, trained: int, with_statistics: int) -> None:
    with torch.device("meta"):
        network = UNet128(num_classes=1, in_channels=1, **options)
    assert sum(p.numel() for p in network.parameters()) == trained
    assert trained + sum(b.numel() for b in network.buffers() if b.ndim) == with_statistics


def test_from_128_to_8_pixels_and_back() -> None:
    shapes: list[tuple[int, ...]] = []
    with torch.device("meta"):
        network = UNet128(num_classes=1)
        for block in (*network.down, *network.up):
            block.register_forward_hook(lambda _module, inputs, output: shapes.append((inputs[0].shape[1], *output.shape[1:])))
        assert network(torch.empty(1, 3, 128, 128)).logits.shape == (1, 1, 128, 128)
    down = [(3, 16, 128, 128), (16, 32, 64, 64), (32, 64, 32, 32), (64, 128, 16, 16), (128, 256, 8, 8)]
    up = [(256, 128, 16, 16), (128, 64, 32, 32), (64, 32, 64, 64), (32, 16, 128, 128)]
    assert shapes == down + up


@pytest.mark.parametrize(
    ("form", "first", "later"),
    [("plain", 0.25, 0.5), ("notebook", 0.05, 0.05)],
)
def test_dropout_after_each_pooling_and_concatenation(form: Any, first: float, later: float) -> None:
    network = UNet128(num_classes=2, form=form, width=4).train()
    seen: list[tuple[float, int]] = []
    for dropout in (network.first_dropout, network.dropout):
        dropout.register_forward_hook(lambda module, inputs, _output: seen.append((module.p, inputs[0].shape[1])))
    network(torch.rand(1, 3, 32, 32))
    assert seen == [(first, 4), (later, 8), (later, 16), (later, 32), (later, 64), (later, 32), (later, 16), (later, 8)]


def test_enlarging_is_that_of_keras() -> None:
    """Pixel o takes kernel row 0 of pixel o/2 when even (and row 2 of the one before), row 1 when odd; a last row is dropped."""
    network = UNet128(num_classes=2, width=1).eval()
    enlarge = network.enlarge[0]
    with torch.no_grad():
        enlarge.weight.zero_()[:, :, :, 0] = torch.tensor([1.0, 10.0, 100.0])
    seen: list[Tensor] = []
    enlarge.register_forward_pre_hook(lambda _module, inputs: (torch.tensor([2.0, 3.0]).view(1, 1, 2, 1).expand_as(inputs[0]),))
    network.up[0].register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0][:, :8]))
    network(torch.rand(1, 3, 32, 16))
    torch.testing.assert_close(seen[0][0, 0, :, 0], 16 * torch.tensor([2.0, 20.0, 203.0, 30.0]))  # of 16 channels


def test_initial_weights_are_those_of_keras() -> None:
    torch.manual_seed(0)
    plain, notebook = UNet128(num_classes=2), UNet128(num_classes=2, form="notebook")
    conv = plain.down[3][2]
    bound = math.sqrt(6 / (9 * 128 + 9 * 128))
    assert 0.99 * bound < conv.weight.abs().max().item() <= bound
    conv, spread = notebook.down[3][3], math.sqrt(2 / (9 * 128))
    assert conv.weight.std().item() == pytest.approx(spread, rel=0.01)
    assert conv.weight.abs().max().item() < 2.3 * spread  # cut off, while 1.5e5 normal numbers reach more than 4
    bound = math.sqrt(6 / (9 * 256 + 9 * 128))
    assert 0.99 * bound < notebook.enlarge[0].weight.abs().max().item() <= bound
    assert {module.eps for module in notebook.modules() if isinstance(module, nn.BatchNorm2d)} == {1e-3}


def test_recipe() -> None:
    (stage,) = load_recipe("unet_128").stages
    assert (stage.imgsz, stage.batch, stage.epochs, stage.patience, stage.lr) == ((128, 128), 32, 50, 10, 1e-3)
    factor = learning_rate_factor(stage, 1000)
    assert (stage.optimizer, stage.options["form"], factor(0), factor(999)) == ("adam", "notebook", 1, 1)
