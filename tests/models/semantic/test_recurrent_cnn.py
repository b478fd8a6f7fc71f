from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.models.semantic.recurrent_cnn import RecurrentCNN
from intarsia.ops.reflect import reflect_border
from intarsia.recipes import load_recipe


def small(network: Any, **options: Any) -> RecurrentCNN:
    torch.manual_seed(0)
    return RecurrentCNN(num_classes=3, maps=(4, 6), network=network, **options).eval()


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"num_classes": 8, "network": "cnn1"}, 33_633),
        ({"num_classes": 8, "network": "cnn2"}, 98_083),
        ({"num_classes": 8, "network": "cnn3"}, 98_083),
        ({"num_classes": 33, "network": "cnn1", "maps": (50, 50)}, 108_883),
        ({"num_classes": 33}, 139_358),
    ],
)
def test_parameters(options: Any, count: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in RecurrentCNN(**options).parameters()) == count


@pytest.mark.parametrize(("network", "windows"), [("cnn1", [133]), ("cnn2", [25, 121]), ("cnn3", [23, 67, 155])])
def test_windows_of_the_paper(network: Any, windows: list[int]) -> None:
    made = small(network)
    sides = [1 + 2 * sum(made.reach * made.stride**run for run in range(runs + 1)) for runs in range(made.runs)]
    assert sides == windows


def conv_reads_labels(network: RecurrentCNN) -> bool:
    return next(iter(network.convs)).in_channels == 6


def strided(network: RecurrentCNN, window: Tensor) -> list[Tensor]:
    """The paper's way: one window, poolings that halve, the image at the resolution of the labels. Gives each map's middle."""
    image, labels, middles = window, torch.zeros(1, 3, *window.shape[-2:]), []
    for _ in range(network.runs):
        x = torch.cat([labels, image], 1) if conv_reads_labels(network) else image
        for conv, layer in zip(network.convs, network.layers, strict=True):
            x = F.max_pool2d(conv(x), layer.pool)
            x = torch.tanh(x) if layer.tanh else x
        middles.append(x[0, :, x.shape[-2] // 2, x.shape[-1] // 2])
        labels = x.softmax(1) if network.feed == "softmax" else x
        image = image[..., network.reach :: network.stride, network.reach :: network.stride]
        image = image[..., : x.shape[-2], : x.shape[-1]]
    assert x.shape[-2:] == (1, 1)
    return middles


@pytest.mark.parametrize(("network", "feed"), [("cnn1", "softmax"), ("cnn2", "softmax"), ("cnn2", "scores"), ("cnn3", "softmax")])
def test_all_at_once_equals_window_by_window(network: Any, feed: Any) -> None:
    made = small(network, feed=feed)
    image = torch.randn(1, 3, 30, 41)
    output = made(image)
    reach = sum(made.reach * made.stride**run for run in range(made.runs))
    grown = reflect_border(image, top=reach, bottom=reach, left=reach, right=reach)
    for y, x in ((0, 0), (13, 27), (29, 40)):
        middles = strided(made, grown[..., y : y + 2 * reach + 1, x : x + 2 * reach + 1])
        for logits, middle in zip([*(head.logits for head in output.auxiliary), output.logits], middles, strict=True):
            torch.testing.assert_close(logits[0, :, y, x], middle, rtol=1e-4, atol=1e-5)


def test_runs_are_heads_of_weight_one_or_none() -> None:
    image = torch.randn(2, 3, 20, 24)
    heads = small("cnn3")(image).auxiliary
    assert [(head.name, head.target, head.weight, tuple(head.logits.shape)) for head in heads] == [
        ("run1", "label", 1.0, (2, 3, 20, 24)),
        ("run2", "label", 1.0, (2, 3, 20, 24)),
    ]
    last = small("cnn3", losses="last")(image)
    assert last.auxiliary == ()
    assert torch.equal(last.logits, small("cnn3")(image).logits)


def test_the_first_run_of_many_is_a_single_run() -> None:
    image = torch.randn(1, 3, 20, 24)
    torch.testing.assert_close(small("cnn3")(image).auxiliary[0].logits, small("cnn3", runs=1)(image).logits)


def test_cnn1_runs_once() -> None:
    with pytest.raises(SettingsError, match="CNN1 reads no labels and runs once; 2 runs were asked for"):
        small("cnn1", runs=2)


def test_the_recipe_begins_with_two_runs() -> None:
    two, three = load_recipe("recurrent_cnn").stages
    assert (two.options, three.options) == ({"runs": 2, "losses": "last"}, {"runs": 3, "losses": "all"})
    assert (two.optimizer, two.lr, two.momentum, two.schedule) == ("sgd", 1e-4, 0.0, "constant")
    assert three.init == "previous"
