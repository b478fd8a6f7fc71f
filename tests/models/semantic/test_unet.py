from typing import Any

import pytest
import torch
from torch import Tensor, nn

from intarsia.models.semantic.unet import UNet
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"in_channels": 1, "num_classes": 2, "padding": "valid"}, 31_030_658),  # the network of 2015
        ({"in_channels": 3, "num_classes": 21, "padding": "valid"}, 31_033_045),
        ({"in_channels": 3, "num_classes": 2}, 31_037_698),  # normalised, convolutions without bias
        ({"in_channels": 1, "num_classes": 2, "norm": "none"}, 31_030_658),
    ],
)
def test_parameters(options: Any, count: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in UNet(**options).parameters()) == count


def test_figure_1() -> None:
    """572 pixels become 388, through the sizes that the figure prints."""
    sizes: list[int] = []
    enlarged: list[int] = []
    with torch.device("meta"):
        network = UNet(num_classes=2, in_channels=1, padding="valid", width=2)
        for convs in (*network.down, *network.up):
            for layer in convs:
                if isinstance(layer, nn.Conv2d):
                    layer.register_forward_hook(
                        lambda _module, inputs, output: sizes.extend([inputs[0].shape[-1], output.shape[-1]])
                    )
        for enlarge in network.enlarge:
            enlarge.register_forward_hook(lambda _module, _inputs, output: enlarged.append(output.shape[-1]))
        assert network(torch.empty(1, 1, 388, 388)).logits.shape == (1, 2, 388, 388)
    down = [572, 570, 568, 284, 282, 280, 140, 138, 136, 68, 66, 64, 32, 30, 28]
    up = [56, 54, 52, 104, 102, 100, 200, 198, 196, 392, 390, 388]
    found = [sizes[i] for block in range(0, len(sizes), 4) for i in (block, block + 1, block + 3)]
    assert found == down + up
    assert enlarged == [56, 104, 200, 392]


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_every_size_comes_out_as_it_went_in(padding: Any, depth: int) -> None:
    with torch.device("meta"):
        network = UNet(num_classes=2, padding=padding, width=1, depth=depth).eval()
        for size in range(1, 70):
            assert network(torch.empty(1, 3, size, 70 - size)).logits.shape == (1, 2, size, 70 - size)


def test_without_padding_a_tile_with_its_surroundings_is_the_whole() -> None:
    """The overlap-tile strategy of figure 2: no pixel beyond the border of 20 (depth 2) can change the answer."""
    torch.manual_seed(0)
    network = UNet(num_classes=2, padding="valid", width=4, depth=2).double().eval()
    image = torch.rand(1, 3, 96, 88, dtype=torch.float64)
    with torch.no_grad():
        whole, tile = network(image).logits, network(image[..., 8:80, 12:84]).logits
    torch.testing.assert_close(tile[..., 20:-20, 20:-20], whole[..., 28:60, 32:64])
    assert not torch.allclose(tile[..., :20, :20], whole[..., 8:28, 12:32])


def test_the_skips_carry_the_detail() -> None:
    """With the path through the bottom cut, a single bright pixel still moves the answer at its own place."""
    torch.manual_seed(0)
    network = UNet(num_classes=1, width=4, depth=2, norm="none").eval()
    for enlarge in network.enlarge:
        for parameter in enlarge.parameters():
            nn.init.zeros_(parameter)
    image = torch.zeros(1, 3, 32, 32)
    image[..., 16, 16] = 10
    answer = network(image).logits - network(torch.zeros_like(image)).logits
    assert answer[0, 0, 16, 16] != 0
    assert not answer[0, 0, :, :12].any()  # four convolutions of 3x3 at full size see four pixels


def test_dropout_ends_the_contracting_path() -> None:
    network = UNet(num_classes=2, padding="valid", width=1).train()
    dropped: list[Tensor] = []
    network.dropout.register_forward_hook(lambda _module, inputs, _output: dropped.append(inputs[0]))
    network(torch.rand(1, 3, 4, 4))
    assert [x.shape[1] for x in dropped] == [8, 16]  # levels 4 and 5
    assert network.dropout.p == 0.5
    assert UNet(num_classes=2, width=1).dropout.p == 0
    assert UNet(num_classes=2, width=1, dropout=0.3).dropout.p == 0.3


def test_initial_weights_follow_section_3() -> None:
    torch.manual_seed(0)
    weight = UNet(num_classes=2, width=32, depth=1).down[1][0].weight
    assert weight.var().item() == pytest.approx(2 / (9 * 32), rel=0.05)


@pytest.mark.parametrize(("se", "extra"), [("cse", 64 * 64), ("sse", 64), ("scse_max", 64 * 64 + 64)])
def test_recalibration_follows_every_level_but_the_lowest(se: Any, extra: int) -> None:
    """One pooling: a level of 64 channels on the way down and one on the way up."""
    with torch.device("meta"):
        plain, weighed = UNet(num_classes=2, depth=1), UNet(num_classes=2, depth=1, se=se)
    assert sum(p.numel() for p in weighed.parameters()) - sum(p.numel() for p in plain.parameters()) == 2 * extra
    assert [len(list(convs[-1].parameters())) > 0 for convs in (*weighed.down, *weighed.up)] == [True, False, True]


def test_joined_recalibration_doubles_what_is_handed_on() -> None:
    network = UNet(num_classes=2, width=4, depth=2, se="scse_concat")
    assert [convs[0].in_channels for convs in network.down] == [3, 8, 16]
    assert [enlarge.in_channels for enlarge in network.enlarge] == [16, 16]
    assert [convs[0].in_channels for convs in network.up] == [8 + 16, 4 + 8]
    assert network.score.in_channels == 8


def test_recipes() -> None:
    (valid,) = load_recipe("unet_2015").stages
    assert (valid.crop, valid.batch, valid.momentum, valid.options["padding"]) == ((388, 388), 1, 0.99, "valid")
    factor = learning_rate_factor(valid, 1000)
    assert factor(0) == factor(999) == 1
    (weighed,) = load_recipe("unet_scse").stages
    factor = learning_rate_factor(weighed, 40 * 25)
    assert [factor(25 * epoch) for epoch in (0, 9, 10, 20, 39)] == pytest.approx([1, 1, 0.1, 0.01, 0.001])
    assert dict(weighed.loss) == {"cross_entropy": 1.0, "dice": 1.0}
