from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.models.semantic.segnet import SegNet
from intarsia.recipes import load_recipe


def small(**options: Any) -> SegNet:
    torch.manual_seed(0)
    return SegNet(num_classes=3, width=2, **options).eval()


@pytest.mark.parametrize(("classes", "count"), [(11, 29_449_355), (21, 29_455_125)])
def test_parameters(classes: int, count: int) -> None:
    with torch.device("meta"):
        network = SegNet(num_classes=classes)
    assert sum(p.numel() for p in network.parameters()) == count
    assert sum(p.numel() for p in network.encoder.parameters()) == 14_723_136
    assert sum(p.numel() for p in network.decoder.parameters()) == 14_719_872


def test_channels_fall_in_the_last_convolution_of_a_stage() -> None:
    with torch.device("meta"):
        network = SegNet(num_classes=11)
    convs = [[layer.out_channels for layer in stage if isinstance(layer, nn.Conv2d)] for stage in network.decoder]
    assert convs == [[512, 512, 512], [512, 512, 256], [256, 256, 128], [128, 64], [64]]
    assert sum(isinstance(module, nn.Conv2d) for module in network.modules()) == 26


def test_camvid_keeps_every_row() -> None:
    """360 x 480: 45 rows become 23 and 23 become 12, and come back."""
    sizes: list[tuple[int, int]] = []
    network = small()
    for stage in (*network.encoder.stages, *network.decoder):
        stage.register_forward_hook(lambda _module, inputs, _output: sizes.append(tuple(inputs[0].shape[-2:])))
    with torch.no_grad():
        assert network(torch.rand(1, 3, 360, 480)).logits.shape == (1, 3, 360, 480)
    down = [(360, 480), (180, 240), (90, 120), (45, 60), (23, 30)]
    assert sizes == [*down, *down[::-1]]


def test_equals_the_same_layers_with_torch_unpooling() -> None:
    network = small()
    image = torch.rand(2, 3, 45, 61)
    x, kept = image, []
    for stage in network.encoder.stages:
        x = stage(x)
        size = x.shape[-2:]
        x, index = F.max_pool2d(x, 2, 2, ceil_mode=True, return_indices=True)
        kept.append((index, size))
    for stage in network.decoder:
        index, size = kept.pop()
        x = stage(F.max_unpool2d(x, index, 2, output_size=size))
    torch.testing.assert_close(network(image).logits, network.score(x))


def test_the_decoder_uses_the_places() -> None:
    """A corner in the image moves with the image by one pixel, although all features have been pooled to 1/32."""
    network = small()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):  # let a value pass from pool to unpool untouched
            nn.init.zeros_(module.weight)
            nn.init.ones_(module.weight[0, 0, 1:2, 1:2])
    image = torch.zeros(1, 3, 64, 64)
    image[0, 0, 21, 38] = 5
    answer = network(image).logits[0, 0]
    assert divmod(int(answer.argmax()), 64) == (21, 38)


def test_dropout_is_at_six_places() -> None:
    network = small(dropout=0.5).train()
    sizes: list[tuple[int, ...]] = []
    network.dropout.register_forward_hook(lambda _module, inputs, _output: sizes.append(tuple(inputs[0].shape[1:])))
    network(torch.rand(2, 3, 64, 64))
    assert sizes == [(8, 8, 8), (16, 4, 4), (16, 2, 2), (16, 4, 4), (8, 8, 8), (4, 16, 16)]
    assert SegNet(num_classes=2, width=1).dropout.p == 0


def test_initial_weights() -> None:
    torch.manual_seed(0)
    network = SegNet(num_classes=3, width=16)
    for conv in (network.encoder.stages[2][0], network.decoder[0][0]):
        assert isinstance(conv, nn.Conv2d)
        assert conv.weight.var().item() == pytest.approx(2 / (9 * conv.in_channels), rel=0.05)
        assert not conv.bias.any()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 25
    assert all((norm.weight == 1).all() and torch.allclose(norm.bias, torch.tensor(0.001)) for norm in norms)


def test_only_the_encoder_takes_the_classifiers_weights() -> None:
    network = small()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state: dict[str, Tensor] = {}
    convs = [module for module in network.encoder.modules() if isinstance(module, nn.Conv2d)]
    for index, conv in zip((0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), convs, strict=True):
        state |= {f"features.{index}.{part}": torch.randn_like(value) for part, value in conv.state_dict().items()}
    network.load_imagenet(state)
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {
        f"encoder.{name}.{part}" for name, m in network.encoder.named_modules() if m in convs for part in ("weight", "bias")
    }
    assert torch.equal(convs[-1].weight, state["features.28.weight"])


def test_the_recipe_weighs_classes_as_published() -> None:
    (stage,) = load_recipe("segnet").stages
    assert (stage.optimizer, stage.lr, stage.momentum, stage.schedule, stage.batch) == ("sgd", 1e-3, 0.9, "constant", 4)
    (camvid,) = load_recipe("segnet_camvid").stages
    assert camvid.class_weights == (
        0.2595, 0.1826, 4.5640, 0.1417, 0.9051, 0.3826, 9.6446, 1.8418, 0.6823, 6.2478, 7.3614,
    )  # fmt: skip
