from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from intarsia.core import SettingsError, UnknownNameError
from intarsia.encoders.timm import EXAMPLES, TimmEncoder


@pytest.mark.parametrize(("name", "divisor"), [("test_resnet", 1), ("test_efficientnet", 1), ("test_convnext", 32)])
def test_features_have_the_announced_shapes_at_every_legal_size(name: str, divisor: int) -> None:
    encoder = TimmEncoder(name).eval()
    assert encoder.size_divisor == divisor
    for height, width in ((33, 65), (1, 31)):
        height, width = -(-height // divisor) * divisor, -(-width // divisor) * divisor
        features = encoder(torch.rand(1, 3, height, width))
        for feature, channels, stride in zip(features, encoder.channels, encoder.strides, strict=True):
            assert feature.shape == (1, channels, -(-height // stride), -(-width // stride))


@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_the_encoders_that_messages_name_deliver(output_stride: int) -> None:
    with torch.device("meta"):
        for name in EXAMPLES.split(", "):
            assert TimmEncoder(name, output_stride=output_stride).strides[-1] == output_stride


def test_a_new_encoder_trains() -> None:
    assert all(module.training for module in TimmEncoder("test_resnet").modules())


@pytest.fixture(scope="module")
def classifier() -> Any:
    torch.manual_seed(1)
    return timm.create_model("test_resnet").eval()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("channels", [3, 1, 5])
def test_weights_from_a_file(classifier: Any, tmp_path: Path, suffix: str, channels: int) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": {f"module.{name}": value for name, value in classifier.state_dict().items()}}, path)
    else:
        save_file(classifier.state_dict(), path)
    encoder = TimmEncoder("test_resnet", in_channels=channels, output_stride=16, weights=str(path)).eval()
    assert encoder.weights_note == f"weights from {path}"
    # timm's rule: one channel sums the three, five repeat them at three fifths
    grey = torch.rand(1, 1, 64, 64)
    image = grey.expand(-1, channels, -1, -1)
    if channels == 5:  # red and green come twice, so their sum is even only over six channels
        given, fitted = classifier.conv1[0].weight, encoder.body.conv1[0].weight
        torch.testing.assert_close(fitted, given[:, [0, 1, 2, 0, 1]] * 3 / 5)
    else:
        with torch.no_grad():
            expected = classifier.maxpool(classifier.act1(classifier.bn1(classifier.conv1(grey.expand(-1, 3, -1, -1)))))
            torch.testing.assert_close(encoder(image)[1], classifier.layer1(expected))


def test_weights_of_another_network_are_refused(classifier: Any, tmp_path: Path) -> None:
    state = classifier.state_dict()
    save_file({name: value for name, value in state.items() if name != "layer4.0.bn1.bias"}, tmp_path / "lacking.safetensors")
    with pytest.raises(SettingsError, match=r"do not fit the encoder test_resnet: .* 1 missing \(layer4\.0\.bn1\.bias\)"):
        TimmEncoder("test_resnet", weights=str(tmp_path / "lacking.safetensors"))
    save_file({**state, "layer5.weight": torch.zeros(1)}, tmp_path / "more.safetensors")
    with pytest.raises(SettingsError, match=r"1 unexpected \(layer5\.weight\)"):
        TimmEncoder("test_resnet", weights=str(tmp_path / "more.safetensors"))
    save_file({**state, "bn1.weight": torch.zeros(7)}, tmp_path / "shape.safetensors")
    with pytest.raises(SettingsError, match=r"1 of another shape \(bn1\.weight is \(7,\) instead of \(32,\)\)"):
        TimmEncoder("test_resnet", weights=str(tmp_path / "shape.safetensors"))
    without_classifier = {name: value for name, value in state.items() if not name.startswith("fc.")}
    save_file(without_classifier, tmp_path / "trunk.safetensors")
    assert TimmEncoder("test_resnet", weights=str(tmp_path / "trunk.safetensors")).weights_note.endswith("trunk.safetensors")


def test_errors_name_encoders_that_work() -> None:
    with pytest.raises(UnknownNameError, match=r"no encoder called 'resnt18'\. Did you mean 'resnet18'"):
        TimmEncoder("resnt18")
    with pytest.raises(UnknownNameError, match=r"'resnet50\.tvin1k'\. Did you mean 'resnet50\.tv_in1k'"):
        TimmEncoder("resnet50.tvin1k")
    with pytest.raises(UnknownNameError, match=r"'§§§'\. Some that there are: resnet18"):
        TimmEncoder("§§§")
    with pytest.raises(
        SettingsError, match=r"vovnet39a does not work at output stride 16: .*strides 2, 4, 8, 16, 32\..*resnet18"
    ):
        TimmEncoder("vovnet39a", output_stride=16)
    with pytest.raises(SettingsError, match=r"vit_tiny_patch16_224 does not take images of any size \(.*resnet18"):
        TimmEncoder("vit_tiny_patch16_224", output_stride=16)
