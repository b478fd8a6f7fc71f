from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.models.semantic.hypercolumns import Hypercolumns, ask_grid
from intarsia.recipes import load_recipe


def small(**options: Any) -> Hypercolumns:
    torch.manual_seed(0)
    network = Hypercolumns(num_classes=3, width=12, fc_channels=16, **options)
    for name, parameter in network.named_parameters():
        if name.startswith("score"):
            nn.init.normal_(parameter)
    return network.eval()


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"num_classes": 21}, 207_039),
        ({"num_classes": 21, "kernel": 1}, 99_519),
        ({"num_classes": 1, "form": "box", "kernel": 1}, 118_475),
        ({"num_classes": 1, "form": "box"}, 246_475),
        ({"num_classes": 1, "form": "box", "grid": 10, "kernel": 1}, 473_900),
        ({"num_classes": 1, "form": "box", "grid": 10}, 985_900),
    ],
)
def test_parameters(options: Any, count: int) -> None:
    with torch.device("meta"):
        network = Hypercolumns(**options)
    scores = sum(p.numel() for name, p in network.named_parameters() if name.startswith("score"))
    assert scores == count
    assert sum(p.numel() for p in network.parameters()) - scores == 56_868_224


def test_the_column_above_a_pixel() -> None:
    """Scoring each layer and summing is one linear classifier on the concatenated features, interpolated at the pixel."""
    network = small(kernel=1).double()
    image = torch.rand(1, 3, 70, 93, dtype=torch.float64)
    _, _, pool2, conv4, pool5 = network.trunk(image)
    fc7 = F.relu(network.fc7(F.relu(network.fc6(pool5))))
    layers = (network.score_pool2, network.score_conv4, network.score_fc7)
    weight = torch.cat([layer.weight[..., 0, 0] for layer in layers], dim=1)
    bias = sum(layer.bias for layer in layers)
    logits = network(image).logits

    def at(feature: Tensor, row: float, column: float) -> Tensor:
        """Bilinear value between pixels; beyond the last one, its own."""
        top, left = int(row), int(column)
        rows, columns = (
            [min(i, n - 1) for i in (first, first + 1)] for first, n in zip((top, left), feature.shape[-2:], strict=True)
        )
        across = [
            feature[0, :, r, columns[0]] * (1 - column + left) + feature[0, :, r, columns[1]] * (column - left) for r in rows
        ]
        return across[0] * (1 - row + top) + across[1] * (row - top)

    for y, x in ((0, 0), (17, 44), (69, 92), (33, 5)):
        column = torch.cat([at(pool2, y / 16, x / 16), at(conv4, y / 16, x / 16), at(fc7, (y + 16) / 32, (x + 16) / 32)])
        torch.testing.assert_close(logits[0, :, y, x], weight @ column + bias)


@pytest.mark.parametrize("enlarge", [2, 4])
def test_enlarged_is_the_network_on_the_enlarged_image(enlarge: Any) -> None:
    network, plain = small(enlarge=enlarge), small()
    image = torch.rand(1, 3, 30, 41)
    between = [enlarge * (side - 1) + 1 for side in (30, 41)]
    larger = plain(F.interpolate(image, size=between, mode="bilinear", align_corners=True)).logits
    torch.testing.assert_close(network(image).logits, larger[..., ::enlarge, ::enlarge], rtol=1e-4, atol=1e-4)


def test_a_box_has_one_fc7_and_sizes_of_caffenet() -> None:
    sizes: list[int] = []
    with torch.device("meta"):
        network = Hypercolumns(num_classes=2, form="box", width=12, fc_channels=8)
        for name in ("trunk.stages.0", "trunk.stages.1", "trunk.stages.2", "trunk.stages.3", "trunk.stages.4", "fc6"):
            network.get_submodule(name).register_forward_hook(lambda _m, _i, output: sizes.append(output.shape[-1]))
        network(torch.empty(1, 3, 90, 60))
    assert sizes == [55, 27, 13, 13, 6, 1]


def test_a_pixel_asks_the_classifiers_around_it() -> None:
    """A slow loop over pixels and cells of a 5 x 5 grid on 50 x 50 pixels."""
    torch.manual_seed(0)
    score = 3 * torch.randn(1, 2, 25, 50, 50, dtype=torch.float64)
    mean, own = ask_grid(score, own_cell=False), ask_grid(score, own_cell=True)
    assert mean.shape == own.shape == (1, 2, 50, 50)
    for y, x in ((0, 0), (4, 49), (5, 12), (14, 15), (25, 24), (37, 48)):
        probability = torch.zeros(2, dtype=torch.float64)
        for row in range(5):
            for column in range(5):
                # centres of cells lie at 4.5, 14.5, ..., and beyond the outermost ones they answer alone
                down, right = (min(max(place, 4.5), 44.5) for place in (y, x))
                alpha = max(0, 1 - abs(down - 4.5 - 10 * row) / 10) * max(0, 1 - abs(right - 4.5 - 10 * column) / 10)
                probability += alpha * score[0, :, 5 * row + column, y, x].sigmoid()
        torch.testing.assert_close(mean[0, :, y, x].sigmoid().double(), probability, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(own[0, :, y, x], score[0, :, 5 * (y // 10) + x // 10, y, x])


def test_sure_classifiers_stay_finite() -> None:
    score = torch.tensor([-300.0, 300.0, -300.0, -300.0])[:, None, None].expand(1, 1, 4, 8, 8).clone().requires_grad_()
    answer = ask_grid(score, own_cell=False)
    assert answer.isfinite().all()
    answer.sum().backward()
    assert score.grad is not None
    assert score.grad.isfinite().all()


def test_in_training_each_classifier_has_its_cell() -> None:
    network = small(form="box", grid=2)
    network.dropout.p = 0.0
    image = torch.rand(2, 3, 50, 50)
    asked, alone = network(image).logits, network.train()(image).logits
    assert asked.shape == alone.shape == (2, 3, 50, 50)
    torch.testing.assert_close(asked[..., 0, 0], alone[..., 0, 0], rtol=1e-4, atol=1e-4)  # a corner is one cell's in both
    assert not torch.allclose(asked[..., 24, 24], alone[..., 24, 24])


def test_a_grid_needs_a_box() -> None:
    with pytest.raises(SettingsError, match=r"grid of 5 classifiers for a box only: choose form='box', or grid=1"):
        small(grid=5)


def test_initial_scores_are_zero_and_weights_arrive() -> None:
    network = Hypercolumns(num_classes=3, width=12, fc_channels=16, trunk="alexnet_torchvision")
    assert not network(torch.rand(1, 3, 40, 40)).logits.any()
    convs = [module for module in network.trunk.modules() if isinstance(module, nn.Conv2d)]
    state: dict[str, Tensor] = {}
    for index, conv in zip((0, 3, 6, 8, 10), convs, strict=True):
        state |= {f"features.{index}.{part}": torch.randn_like(value) for part, value in conv.state_dict().items()}
    for place, layer in ((1, network.fc6), (4, network.fc7)):
        state[f"classifier.{place}.weight"] = torch.randn(16, layer.weight[0].numel())
        state[f"classifier.{place}.bias"] = torch.randn(16)
    network.load_imagenet(state)
    assert torch.equal(convs[4].weight, state["features.10.weight"])
    assert torch.equal(network.fc6.weight.flatten(1), state["classifier.1.weight"])


def test_the_recipe() -> None:
    (stage,) = load_recipe("hypercolumns").stages
    assert (stage.optimizer, stage.momentum, stage.schedule) == ("sgd", 0.9, "constant")
