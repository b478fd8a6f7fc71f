from typing import Any

import pytest
import torch
from torch import Tensor, nn

from intarsia.encoders import create_encoder
from intarsia.models import create_model
from intarsia.models.semantic.pspnet import PSPNet
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor, make_optimizer


def small(**options: Any) -> PSPNet:
    torch.manual_seed(0)
    encoder = create_encoder("test_resnet", output_stride=8)
    return PSPNet(encoder=encoder, num_classes=3, **{"channels": 8, "auxiliary_channels": 8, **options}).eval()


@pytest.mark.parametrize(
    ("encoder", "classes", "count", "auxiliary"),
    [
        ("resnet50s", 19, 49_080_038, 2_364_691),
        ("resnet50s", 21, 49_081_578, 2_365_205),
        ("resnet50s", 150, 49_180_908, 2_398_358),
        ("resnet101s", 19, 68_072_166, 2_364_691),
        ("resnet50", 19, 49_080_038 - 123_776, 2_364_691),  # the plain stem
    ],
)
def test_parameters(encoder: str, classes: int, count: int, auxiliary: int) -> None:
    with torch.device("meta"):
        network = create_model("pspnet", num_classes=classes, encoder=encoder)
    assert sum(p.numel() for p in network.parameters()) == count
    assert sum(p.numel() for p in network.get_submodule("auxiliary").parameters()) == auxiliary


def test_shapes_of_the_paper() -> None:
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Any:
        return lambda _module, inputs, _output: shapes.update({name: tuple(inputs[0].shape[1:])})

    with torch.device("meta"):
        network = create_model("pspnet", num_classes=21)
        for name in ("pyramid", "head.0", "head.4", "auxiliary.0", "auxiliary.4"):
            network.get_submodule(name).register_forward_hook(note(name))
        output = network(torch.empty(2, 3, 473, 473))
    assert shapes == {
        "pyramid": (2048, 60, 60),
        "head.0": (4096, 60, 60),
        "head.4": (512, 60, 60),
        "auxiliary.0": (1024, 60, 60),
        "auxiliary.4": (256, 60, 60),
    }
    (head,) = output.auxiliary
    assert (head.target, head.weight, head.logits.shape) == ("label", 0.4, (2, 21, 473, 473))


def test_it_is_read_in_three_files() -> None:
    with torch.device("meta"):
        files = {type(module).__module__ for module in create_model("pspnet", num_classes=19).modules()}
    assert {file for file in files if file.startswith("intarsia")} == {
        "intarsia.models.semantic.pspnet",
        "intarsia.encoders.timm",
        "intarsia.models.parts.pyramid_pooling",
    }


@pytest.mark.parametrize("size", [(65, 41), (64, 40), (58, 33)])
def test_scores_stand_where_their_features_are(size: tuple[int, int]) -> None:
    """Enlarged with aligned corners, the scores at every eighth pixel are the network's own, whatever the size."""
    network = small()
    seen: list[Tensor] = []
    network.head.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    logits = network(torch.rand(1, 3, *size)).logits[..., ::8, ::8]
    torch.testing.assert_close(logits, seen[0][..., : logits.shape[-2], : logits.shape[-1]], rtol=1e-4, atol=1e-4)


def test_each_classifier_reads_its_own_stage() -> None:
    network = small()
    seen: dict[str, Tensor] = {}
    network.pyramid.register_forward_hook(lambda _module, inputs, _output: seen.update(last=inputs[0]))
    network.auxiliary.register_forward_hook(lambda _module, inputs, _output: seen.update(before=inputs[0]))
    image = torch.rand(1, 3, 65, 65)
    network(image)
    features = network.encoder(image)
    assert torch.equal(seen["last"], features[-1])
    assert torch.equal(seen["before"], features[-2])


def test_new_layers_start_from_he() -> None:
    torch.manual_seed(0)
    network = small(channels=64)
    conv = network.head[0]
    assert conv.weight.std().item() == pytest.approx((2 / (9 * conv.in_channels)) ** 0.5, rel=0.02)
    assert not network.head[4].bias.any()


def test_dropout_takes_whole_channels_before_the_scores() -> None:
    network = small(dropout=0.5)
    assert [type(layer) for layer in network.head] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Dropout2d, nn.Conv2d]
    dropped = network.head[3].train()(torch.ones(1, 64, 3, 3))
    assert {float(v) for v in dropped.amax((2, 3)).unique()} == {0.0, 2.0}
    assert torch.equal(dropped.amax((2, 3)), dropped.amin((2, 3)))


def test_a_batch_of_one_image_trains() -> None:
    network = small().train()
    output = network(torch.rand(1, 3, 65, 65))
    (output.logits.square().mean() + output.auxiliary[0].logits.square().mean()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_recipe() -> None:
    (stage,) = load_recipe("pspnet").stages
    assert (stage.model, stage.batch, stage.steps, stage.crop) == ("pspnet", 16, 90_000, (713, 713))
    factor = learning_rate_factor(stage, 90_000)
    assert factor(0) == 1
    assert factor(89_999) == pytest.approx((1 / 90_000) ** 0.9)
    groups = make_optimizer(small().named_parameters(), stage).param_groups
    assert {group["lr"] for group in groups} == {0.01, 0.1}
    assert {group["weight_decay"] for group in groups} == {0.0, 1e-4}
