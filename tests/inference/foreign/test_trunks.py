"""torchvision's classifiers in the trunks of our networks: the same features."""

import pytest
import torch
from torch import nn
from torchvision import models

from intarsia.core import SettingsError
from intarsia.inference.foreign import SOURCES, Wishes, convert


def saved(name, tmp_path):
    """A classifier with random features, and its state dict in a small file: the other tensors are a single number, repeated."""
    torch.manual_seed(0)
    with torch.device("meta"):
        classifier = getattr(models, name)().eval()
    state = {
        key: 0.05 * torch.randn(value.shape) if key.startswith("features") else torch.ones(1).expand(value.shape)
        for key, value in classifier.state_dict().items()
    }
    torch.save(state, tmp_path / "weights.pth")
    classifier.load_state_dict(state, assign=True)
    return classifier, tmp_path / "weights.pth"


def features_differ(own, theirs):
    assert theirs.std() > 1e-3
    return ((own - theirs).abs().max() / theirs.abs().max()).item()


def test_resnet_into_an_encoder(tmp_path, randomised):
    classifier = randomised(models.resnet18())
    torch.save(classifier.state_dict(), tmp_path / "weights.pth")
    wishes = Wishes(model="linknet", num_classes=2, options={"channels": 8})
    made = convert(tmp_path / "weights.pth", "torchvision:resnet18", wishes)
    image, seen = torch.rand(1, 3, 33, 47), []
    for layer in (classifier.layer1, classifier.layer2, classifier.layer3, classifier.layer4):
        layer.register_forward_hook(lambda _layer, _inputs, output: seen.append(output))
    with torch.no_grad():
        classifier(image)
        for own, theirs in zip(made.network.encoder(image)[1:], seen, strict=True):
            assert features_differ(own, theirs) < 1e-5
    assert made.weights_note.startswith("weights from ")
    assert made.network.spec.options["channels"] == 8


def test_vgg16_into_an_encoder(tmp_path):
    classifier, path = saved("vgg16", tmp_path)
    network = convert(path, "torchvision:vgg16", Wishes(model="unet_encoder", num_classes=2)).network
    image = torch.rand(1, 3, 32, 64)
    with torch.no_grad():
        assert features_differ(network.encoder(image)[-1], classifier.features(image)) < 1e-5


def test_alexnet_into_an_own_trunk(tmp_path):
    classifier, path = saved("alexnet", tmp_path)
    network = convert(path, "torchvision:alexnet", Wishes(model="fcn", num_classes=2)).network
    convs = [layer for layer in network.trunk.modules() if isinstance(layer, nn.Conv2d)]
    theirs = [layer for layer in classifier.features if isinstance(layer, nn.Conv2d)]
    assert all(torch.equal(own.weight, other.weight) for own, other in zip(convs, theirs, strict=True))
    assert network.fc7.weight.unique().tolist() == network.fc6.weight.unique().tolist() == [1]


def test_what_is_missing_or_does_not_fit(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(models.resnet18().state_dict(), path)
    with pytest.raises(SettingsError, match=r"resnet18 is a classifier, .* say which by --model, such as deeplab_v3plus"):
        convert(path, "torchvision:resnet18")
    with pytest.raises(SettingsError, match=r"do not fit the encoder resnet34: .* missing \(layer1.2.conv1.weight"):
        convert(path, "torchvision:resnet34", Wishes(model="linknet", num_classes=2))
    with pytest.raises(SettingsError, match="vgg16_bn of torchvision is no encoder for linknet; vgg16 and the ResNets are"):
        convert(path, "torchvision:vgg16_bn", Wishes(model="linknet", num_classes=2))
    assert {"torchvision:resnet50", "torchvision:vgg16", "torchvision:alexnet"} < set(SOURCES)
