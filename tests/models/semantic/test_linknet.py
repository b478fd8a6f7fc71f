from typing import Any

import pytest
import torch
from torch import Tensor, nn

from intarsia.core import SettingsError
from intarsia.encoders import create_encoder
from intarsia.models import create_model
from intarsia.models.semantic.linknet import LinkNet
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor


def small(**options: Any) -> LinkNet:
    torch.manual_seed(0)
    return LinkNet(encoder=create_encoder("test_resnet"), num_classes=3, **options).eval()


@pytest.mark.parametrize(("classes", "count"), [(19, 11_535_699), (20, 11_535_828), (21, 11_535_957)])
def test_parameters(classes: int, count: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in create_model("linknet", num_classes=classes).parameters()) == count


def test_table_of_layers() -> None:
    """Channels and sizes after each decoder block and in the head; the last block keeps its size."""
    shapes: list[tuple[int, ...]] = []
    with torch.device("meta"):
        network = create_model("linknet", num_classes=19)
        for module in (*network.decoders, *(network.head[index] for index in (0, 3, 6))):
            module.register_forward_hook(lambda _module, inputs, output: shapes.append((inputs[0].shape[1], *output.shape[1:])))
        network(torch.empty(1, 3, 512, 1024))
    blocks = [(512, 256, 32, 64), (256, 128, 64, 128), (128, 64, 128, 256), (64, 64, 128, 256)]
    assert shapes == [*blocks, (64, 32, 256, 512), (32, 32, 256, 512), (32, 19, 512, 1024)]
    assert [block[1].stride[0] for block in network.decoders] == [2, 2, 2, 1]
    assert [layer.bias is not None for layer in network.head if not isinstance(layer, nn.BatchNorm2d | nn.ReLU)] == [True] * 3


def test_levels_are_linked_by_sums_down_to_the_pooled_stem() -> None:
    network, image = small(), torch.rand(1, 3, 64, 96)
    pooled: list[Tensor] = []
    stem, e1, e2, e3, e4 = network.encoder(image)
    pooled.append(nn.functional.max_pool2d(stem, 3, stride=2, padding=1))
    x = e4
    for decode, link in zip(network.decoders, (e3, e2, e1, pooled[0]), strict=True):
        x = decode(x) + link
    torch.testing.assert_close(network(image).logits, network.head(x))


def test_the_pooled_stem_is_the_resnet_s_own() -> None:
    torch.manual_seed(0)
    network = create_model("linknet", num_classes=2).eval()
    own: list[Tensor] = []
    links: list[Tensor] = []
    network.encoder.body.maxpool.register_forward_hook(lambda _module, _inputs, output: own.append(output))
    network.recalibrate[0].register_forward_hook(lambda _module, inputs, _output: links.append(inputs[0]))
    with torch.no_grad():
        network(torch.rand(1, 3, 64, 32))
    assert torch.equal(own[0], links[0])


def test_recalibration_of_both_ends_of_each_link() -> None:
    plain, weighed = small(), small(se="sse")
    links = [32, 32, 48, 192]  # test_resnet's features; each link is weighed on both of its ends
    assert sum(p.numel() for p in weighed.parameters()) - sum(p.numel() for p in plain.parameters()) == 2 * sum(links)
    assert small(se="scse_concat").head[0].in_channels == 64


def test_a_dilated_encoder_has_one_enlargement_less() -> None:
    network = LinkNet(encoder=create_encoder("test_resnet", output_stride=16), num_classes=3).eval()
    assert [block[1].stride[0] for block in network.decoders] == [1, 2, 2, 1]
    assert network(torch.rand(1, 3, 40, 56)).logits.shape == (1, 3, 40, 56)


def test_an_encoder_without_early_features_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"from strides 2 and 4 on, and this encoder has strides 4, 8, 16, 32"):
        LinkNet(encoder=create_encoder("test_convnext"), num_classes=3)


def test_recipe() -> None:
    (stage,) = load_recipe("linknet").stages
    assert (stage.optimizer, stage.lr, stage.class_weights, stage.imgsz) == ("rmsprop", 5e-4, "log", (512, 1024))
    factor = learning_rate_factor(stage, 300 * 372)
    assert [factor(epoch * 372) for epoch in (0, 99, 100, 199, 200, 299)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
