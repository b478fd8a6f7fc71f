from typing import Any

import pytest
import torch

from intarsia.models.semantic.patch_classifier import CENTRE, WINDOW, PatchClassifier
from intarsia.recipes import load_recipe


def small(**options: Any) -> PatchClassifier:
    torch.manual_seed(0)
    return PatchClassifier(num_classes=3, maps=(8, 8, 12), hidden=10, **options).eval()


@pytest.mark.parametrize(("connections", "count"), [("sparse", 427_910), ("dense", 855_680)])
def test_parameters_of_the_features(connections: Any, count: int) -> None:
    with torch.device("meta"):
        network = PatchClassifier(num_classes=8, connections=connections)
    assert sum(p.numel() for p in network.features.parameters()) == count


@pytest.mark.parametrize(("options", "count"), [({"classifier": "linear"}, 6_152), ({}, 795_656), ({"num_classes": 33}, 821_281)])
def test_parameters_of_the_classifier(options: Any, count: int) -> None:
    with torch.device("meta"):
        network = PatchClassifier(**{"num_classes": 8, **options})
    assert sum(p.numel() for p in network.classify.parameters()) == count


@pytest.mark.parametrize("options", [{}, {"connections": "dense"}, {"classifier": "linear", "scales": 2}, {"in_channels": 1}])
@pytest.mark.parametrize("size", [(9, 14), (1, 5)])
def test_whole_levels_equal_window_by_window(size: tuple[int, int], options: Any) -> None:
    """What makes it fast does not change it."""
    network = small(stride=1, **options)
    image = torch.randn(2, options.get("in_channels", 3), *size)
    torch.testing.assert_close(network(image).logits, network.classify_windows(image, batch=50), rtol=1e-5, atol=1e-5)


def test_a_window_lies_around_its_pixel() -> None:
    """Of one level: moving a spot by one pixel moves the answer by one, and what the window does not hold does not count."""
    network = small(stride=1, scales=1, in_channels=1)
    band = torch.zeros(1, 1, 120, 120)
    band[..., 60, 60] = 1
    nothing = network.features(torch.zeros(1, 1, WINDOW, WINDOW), dense=False)
    changed = (network.features(band, dense=True) - nothing).abs().sum((0, 1)) > 1e-7  # of windows, by their first pixel
    rows = changed.any(1).nonzero().flatten()
    assert rows[0] >= 60 - WINDOW + 1
    assert rows[-1] <= 60
    assert len(rows) >= WINDOW - 4
    one, other = torch.randn(2, 1, 46 + 7, 46 + 7)
    other[:, 7:, 7:] = one[:, :-7, :-7]
    feature = network.features(torch.stack([one, other]), dense=True)
    torch.testing.assert_close(feature[1, :, 7:, 7:], feature[0, :, :-7, :-7])
    assert WINDOW - CENTRE == CENTRE


def test_at_stride_4_are_the_same_windows_less_often() -> None:
    network = small()
    x = torch.randn(1, 3, 70, 66)
    torch.testing.assert_close(network.features(x, dense=False), network.features(x, dense=True)[..., ::4, ::4])
    coarse = network(torch.randn(1, 3, 21, 30)).logits
    assert torch.equal(coarse[..., :4, :4], coarse[..., :1, :1].expand(-1, -1, 4, 4))
    assert not torch.equal(coarse[..., 3, 3], coarse[..., 4, 4])


def test_which_maps_are_seen() -> None:
    """10 of the first maps see the luma alone and 6 both chroma channels; a second map sees 8 of the first."""
    network = PatchClassifier(num_classes=2)
    features = network.features
    assert {channels: conv.weight.shape[:2] for channels, conv in zip(features.split, features.first, strict=True)} == {
        1: (10, 1),
        2: (6, 2),
    }
    for conv, before, fan in ((features.second, 16, 8), (features.third, 64, 32)):
        assert conv.table is not None
        assert all(len(set(row)) == fan for row in conv.table.tolist())
        assert set(conv.table.flatten().tolist()) == set(range(before))
        x = torch.zeros(1, before, 7, 7)
        x[:, conv.table[0]] = 1
        torch.testing.assert_close(conv(x)[0, 0, 0, 0], conv.weight[0].sum() + conv.bias[0])


def test_levels_of_a_grey_image_have_no_chroma() -> None:
    grey = torch.rand(1, 1, 40, 52).expand(-1, 3, -1, -1)
    levels = small().levels(grey)
    assert [tuple(level.shape[1:]) for level in levels] == [(3, 40, 52), (3, 20, 26), (3, 10, 13)]
    for level in levels:
        assert level[:, 1:].abs().max() < 0.1 * level[:, 0].abs().max()


def test_the_recipe_learns_features_first() -> None:
    features, mlp = load_recipe("patch_classifier").stages
    assert (features.options["classifier"], mlp.options["classifier"]) == ("linear", "mlp")
    assert (features.frozen, mlp.frozen, mlp.init) == ((), ("features.",), "previous")
    assert (features.optimizer, features.lr, features.batch, features.weight_decay) == ("sgd", 1e-3, 1, 1e-5)
