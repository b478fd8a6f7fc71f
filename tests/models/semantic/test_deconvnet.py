from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.models.semantic.deconvnet import DeconvNet
from intarsia.recipes import load_recipe


def small(**options: Any) -> DeconvNet:
    torch.manual_seed(0)
    return DeconvNet(num_classes=3, **{"width": 2, "fc_channels": 8, "window": 64, **options}).eval()


def test_parameters() -> None:
    with torch.device("meta"):
        network = DeconvNet(num_classes=21)
    count = sum(p.numel() for p in network.parameters())
    assert count == 251_805_653
    norms = sum(p.numel() for m in network.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters())
    assert count - norms == 251_772_245
    assert network.imagenet == "vgg16.tv_in1k"


def test_figure_2() -> None:
    """224 pixels become one vector and come back."""
    sizes: list[tuple[int, ...]] = []
    with torch.device("meta"):
        network = DeconvNet(num_classes=2, width=2, fc_channels=8).eval()
        for layer in (*network.encoder.stages, network.fc6, network.fc7, network.fc6_deconv, *network.decoder):
            layer.register_forward_hook(lambda _module, _inputs, output: sizes.append(tuple(output.shape[1:3])))
        assert network(torch.empty(1, 3, 224, 224)).logits.shape == (1, 2, 224, 224)
    down = [(2, 224), (4, 112), (8, 56), (16, 28), (16, 14)]
    up = [(16, 14), (8, 28), (4, 56), (2, 112), (2, 224)]
    assert sizes == [*down, (8, 1), (8, 1), (16, 7), *up]


def test_equals_the_layers_one_by_one() -> None:
    """Deconvolutions of stride 1 written as the convolutions by mirrored kernels that they are, unpooling as torch's."""
    network = small()
    image = torch.rand(2, 3, 75, 97)
    x, kept = image, []
    for stage in network.encoder.stages:
        x = stage(x)
        size = x.shape[-2:]
        x, index = F.max_pool2d(x, 2, 2, ceil_mode=True, return_indices=True)
        kept.append((index, size))
    x = F.relu(network.norm6(network.fc6(x)))
    x = F.relu(network.norm7(network.fc7(x)))
    layers = [(network.fc6_deconv, network.norm6_deconv)]
    for stage in network.decoder:
        layers += [(stage[index], stage[index + 1]) for index in range(0, len(stage), 3)]
    unpool_before = {1, 4, 7, 10, 12}
    for position, (deconv, norm) in enumerate(layers):
        if position in unpool_before:
            index, size = kept.pop()
            x = F.max_unpool2d(x, index, 2, output_size=size)
        border = deconv.kernel_size[0] - 1 - deconv.padding[0]
        x = F.relu(norm(F.conv2d(x, deconv.weight.flip(2, 3).transpose(0, 1), deconv.bias, padding=border)))
    torch.testing.assert_close(network(image).logits, network.score(x), rtol=1e-4, atol=1e-4)


def test_smaller_images_are_mirrored_up_to_the_window() -> None:
    network, image = small(), torch.rand(1, 3, 40, 64)
    mirrored = torch.cat([image, image.flip(2)[:, :, 1:25]], dim=2)
    torch.testing.assert_close(network(image).logits, network(mirrored).logits[:, :, :40])


def test_a_single_vector_trains_with_the_running_statistics() -> None:
    network = small().train()
    before = network.norm6.running_mean.clone()
    network(torch.rand(1, 3, 64, 64)).logits.sum().backward()
    assert torch.equal(network.norm6.running_mean, before)
    network(torch.rand(2, 3, 64, 64))
    assert not torch.equal(network.norm6.running_mean, before)


def test_initial_weights() -> None:
    torch.manual_seed(0)
    network = DeconvNet(num_classes=5, fc_channels=64, window=64)
    assert network.fc6.weight.var().item() == pytest.approx(2 / (4 * 512), rel=0.05)
    for layer in (network.fc6_deconv, network.decoder[0][0]):
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.02)
        assert not layer.bias.any()
    assert network.score.weight.std().item() == pytest.approx(0.01, rel=0.3)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 13 + 3 + 13
    assert all(torch.allclose(norm.bias, torch.tensor(0.001)) for norm in norms)


@pytest.mark.parametrize("window", [0, 100])
def test_a_window_that_does_not_fit_is_refused(window: int) -> None:
    with pytest.raises(SettingsError, match=rf"DeconvNet's window is {window}; it can be a multiple of 32, such as 224"):
        DeconvNet(num_classes=2, window=window)


def test_the_recipe_has_two_stages() -> None:
    easy, hard = load_recipe("deconvnet").stages
    assert [(s.optimizer, s.lr, s.momentum, s.weight_decay, s.schedule, s.gamma) for s in (easy, hard)] == [
        ("sgd", 0.01, 0.9, 5e-4, "step", 0.1)
    ] * 2
    assert [(s.steps, s.batch, s.accumulate) for s in (easy, hard)] == [(20_000, 8, 8), (40_000, 8, 8)]
    assert easy.milestones == (0.45, 0.9)
    assert hard.milestones == (0.25, 0.5, 0.75)
    assert hard.init == "previous"
