from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.models.semantic.dilation import ContextModule, Dilation, identity_
from intarsia.ops.reflect import reflect_border
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor


def small(**options: Any) -> Dilation:
    torch.manual_seed(0)
    return Dilation(num_classes=3, **{"width": 2, "fc_channels": 8, **options}).eval()


@pytest.mark.parametrize(
    ("classes", "front_end", "basic", "large", "seven", "ten"),
    [
        (21, 134_346_581, 28_392, 6_803_139, 24_402, 36_372),
        (19, 134_338_387, 23_256, 5_569_185, 19_988, 29_792),
        (11, 134_305_611, 7_832, 1_867_129, 6_732, 10_032),
    ],
)
def test_parameters(classes: int, front_end: int, basic: int, large: int, seven: int, ten: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in Dilation(num_classes=classes, context="none").parameters()) == front_end
        for context, layers, count in (("basic", 8, basic), ("large", 8, large), ("basic", 7, seven), ("basic", 10, ten)):
            module = Dilation(num_classes=classes, context=context, layers=layers, width=1, fc_channels=1).context
            assert sum(p.numel() for p in module.parameters()) == count


@pytest.mark.parametrize(("size", "cells"), [(900, 66), (884, 64), (628, 32), (500, 16), (1396, 128)])
def test_sizes_of_the_release(size: int, cells: int) -> None:
    with torch.device("meta"):
        network = small()
        x = network.score(network.fc7(network.fc6(network.trunk(torch.empty(1, 3, size, size))[-1])))
    assert x.shape[-1] == cells


def positive(network: nn.Module) -> None:
    """Weights that let the gradient show what an output sees."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
            nn.init.constant_(layer.bias, 0.1)


def seen(network: Any, size: int, at: tuple[int, int], channels: int) -> tuple[Tensor, Tensor]:
    """First and last row of the input with a gradient from the output at `at`."""
    x = torch.rand(1, channels, size, size, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(x)[0, 0, at[0], at[1]], x)
    rows = gradient[0].sum(0).sum(1).nonzero()
    return rows.min(), rows.max()


def test_the_front_end_sees_380_pixels() -> None:
    """The largest of a pool hides pixels, so pools are averages here."""
    network = Dilation(num_classes=1, in_channels=1, context="none", width=1, fc_channels=1).double()
    positive(network)
    for index in range(3):
        network.trunk.stages[index][-1] = nn.AvgPool2d(2)
    chain = nn.Sequential(*network.trunk.stages, network.fc6, network.fc7, network.score)
    assert chain(torch.rand(1, 1, 404, 404, dtype=torch.float64)).shape[-2:] == (4, 4)
    first, last = seen(chain, 404, (2, 2), 1)
    assert (first, last - first + 1) == (2 * 8, 380)


@pytest.mark.parametrize(
    ("layers", "fields"),
    [(8, (3, 5, 9, 17, 33, 65, 67, 67)), (7, (3, 5, 9, 17, 33, 35, 35)), (10, (3, 5, 9, 17, 33, 65, 129, 257, 259, 259))],
)
def test_what_each_context_layer_sees(layers: int, fields: tuple[int, ...]) -> None:
    module = ContextModule(1, large=False, layers=layers).double()
    positive(module)
    size = max(fields) + 2
    for index, field in enumerate(fields):
        first, last = seen(nn.Sequential(*module.convs[: index + 1]), size, (size // 2, size // 2), 1)
        assert last - first + 1 == field


def test_channels_and_paddings() -> None:
    basic, large = ContextModule(5, large=False).convs, ContextModule(5, large=True).convs
    assert [conv.out_channels // 5 for conv in large] == [2, 2, 4, 8, 16, 32, 32, 1]
    assert {conv.out_channels for conv in basic} == {5}
    assert [conv.padding[0] for conv in large] == [33, 0, 0, 0, 0, 0, 0, 0]
    assert [conv.padding[0] for conv in basic] == [1, 1, 2, 4, 8, 16, 1, 0]
    for convs in (basic, large):
        assert [conv.dilation[0] for conv in convs] == [1, 1, 2, 4, 8, 16, 1, 1]


@pytest.mark.parametrize("layers", [7, 8, 10])
@pytest.mark.parametrize("large", [False, True])
def test_without_noise_the_module_is_the_identity(large: bool, layers: int) -> None:
    module = ContextModule(3, large=large, layers=layers)
    for conv in module.convs:
        identity_(conv, 3)
    scores = torch.rand(2, 3, 9, 7)
    torch.testing.assert_close(module(scores), scores, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(module(-scores), torch.zeros_like(scores))  # ReLU takes what is negative


def test_identity_by_loops() -> None:
    """Equation 5, with two channels of three classes in and four each out."""
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 12, 3)
    identity_(conv, 3, noise=0.01)
    for b in range(12):
        for a in range(6):
            centre = conv.weight[b, a, 1, 1].item()
            if a // 2 == b // 4:
                assert centre == 3 / 12
            else:
                assert abs(centre) < 0.05 * 3 / 12
    noise = conv.weight[conv.weight != 3 / 12]
    assert noise.std().item() == pytest.approx(0.01 * 3 / 12, rel=0.1)
    assert not conv.bias.any()


def test_initial_context() -> None:
    basic, large = small(context="basic"), small(context="large")
    assert all((conv.weight != 0).sum() == 3 for conv in basic.context.convs)
    deep = large.context.convs[5].weight  # 48 to 96 channels
    assert deep[deep.abs() < 0.01].std().item() == pytest.approx(0.01 / 32, rel=0.02)
    wide = Dilation(num_classes=30, width=1, fc_channels=200).score
    assert wide.weight.std().item() == pytest.approx(0.001, rel=0.05)


def test_cell_i_lies_on_pixel_8_i() -> None:
    """The front end on the reflected image, one window after the other; beyond the last cell its score goes on."""
    network = small(context="none")
    image = torch.rand(1, 3, 19, 24)
    logits = network(image).logits
    border = reflect_border(image, top=186, bottom=186 + 5, left=186, right=186)
    for row in range(3):
        for column in range(3):
            window = border[..., 8 * row : 8 * row + 380, 8 * column : 8 * column + 380]
            x = F.relu(network.fc6(network.trunk(window)[-1]))
            cell = network.score(F.relu(network.fc7(x)))
            assert cell.shape[-2:] == (1, 1)
            torch.testing.assert_close(logits[..., 8 * row, 8 * column], cell[..., 0, 0], rtol=1e-4, atol=1e-6)
    assert torch.equal(logits[..., 17:], logits[..., 16:17].expand(-1, -1, -1, 7))


def test_the_context_module_joins_a_finished_front_end() -> None:
    finished, network = small(context="none"), small(context="large")
    missing, unexpected = network.load_state_dict(finished.state_dict(), strict=False)
    assert not unexpected
    assert {name.split(".")[0] for name in missing} == {"context"}


def test_weights_of_vgg16_fit() -> None:
    from timm import create_model

    with torch.device("meta"):
        state = create_model("vgg16").state_dict()
        network = Dilation(num_classes=2)
        network.load_imagenet(state)
        assert network.imagenet == "vgg16.tv_in1k"


def test_recipes() -> None:
    front, joint = load_recipe("dilation8").stages
    assert [(stage.options["context"], stage.lr, stage.momentum, stage.batch) for stage in (front, joint)] == [
        ("none", 1e-4, 0.99, 8),
        ("basic", 1e-5, 0.9, 1),
    ]
    assert joint.init == "previous"
    front, context = load_recipe("dilation_voc").stages
    assert (front.lr, front.batch, context.lr, context.options["context"]) == (1e-3, 14, 1e-3, "large")
    for stage in (front, context):
        factor = learning_rate_factor(stage, 60_000)
        assert factor(0) == factor(59_999) == 1
    learning = {name for name, _ in small(context="large").named_parameters() if not name.startswith(context.frozen)}
    assert {name.split(".")[0] for name in learning} == {"context"}
