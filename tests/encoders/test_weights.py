import threading
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file

from intarsia.core import SettingsError
from intarsia.encoders import _weights, create_encoder
from intarsia.encoders._weights import inflate_input, normalization, pretrained_state
from intarsia.models import create_model


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache, and whoever asks the hub gets no answer."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("there is no network in tests")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(_weights, "urlopen", refuse)


def fill_cache(folder: Path, name: str, state: dict[str, torch.Tensor]) -> None:
    """What the hub's client leaves after a download."""
    repository = folder / "cache" / f"models--timm--{name}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0123abc")
    (repository / "snapshots" / "0123abc").mkdir(parents=True)
    save_file(state, repository / "snapshots" / "0123abc" / "model.safetensors")


@pytest.mark.parametrize("weights", ["auto", "imagenet"])
def test_the_cache_comes_first(weights: str, tmp_path: Path) -> None:
    classifier = timm.create_model("test_resnet")
    fill_cache(tmp_path, "test_resnet.r160_in1k", classifier.state_dict())
    encoder = create_encoder("test_resnet", weights=weights)
    assert encoder.weights_note == "imagenet weights test_resnet.r160_in1k from the cache"
    ours = encoder.state_dict()
    for name, value in classifier.state_dict().items():
        if not name.startswith("fc."):
            assert torch.equal(ours[f"body.{name}"], value)


def test_auto_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pretrained_state("auto", "resnet18") == (
        None,
        "random initialisation (resnet18 is not in the cache, and the hub is not reachable)",
    )
    assert pretrained_state("auto", "test_coatnet")[1] == "random initialisation (timm offers no weights for test_coatnet)"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert pretrained_state("auto", "resnet18")[1].endswith("(resnet18 is not in the cache, and HF_HUB_OFFLINE is set)")
    assert pretrained_state("none", "resnet18") == (None, "random initialisation")


def test_imagenet_must_be_had() -> None:
    with pytest.raises(SettingsError, match=r"cannot be loaded: resnet18 is not in the cache, and the hub is not reachable\."):
        pretrained_state("imagenet", "resnet18")
    with pytest.raises(SettingsError, match=r"cannot be loaded: there are no weights for a network of this size"):
        create_model("fcn", num_classes=2, width=2, fc_channels=8, encoder_weights="imagenet")
    narrow = create_model("fcn", num_classes=2, width=2, fc_channels=8, encoder_weights="auto")
    assert narrow.weights_note == "random initialisation (there are no weights for a network of this size)"


def test_the_hub_is_asked_when_it_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_weights, "_hub_is_reachable", lambda: True)
    path = tmp_path / "fetched.safetensors"
    save_file({"conv1.weight": torch.ones(2)}, path)
    monkeypatch.setattr(_weights, "hf_hub_download", lambda repository, file: str(path))
    state, note = pretrained_state("auto", "resnet18")
    assert state is not None
    assert state["conv1.weight"].tolist() == [1, 1]
    assert note == "imagenet weights resnet18.a1_in1k from the hub"

    def broken(*_: Any) -> str:
        raise ConnectionResetError

    monkeypatch.setattr(_weights, "hf_hub_download", broken)
    assert pretrained_state("auto", "resnet18")[1].endswith("(the download of resnet18 failed with ConnectionResetError)")


def test_reachability_is_decided_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not _weights._hub_is_reachable()
    released = threading.Event()

    def silent(*_: Any, **__: Any) -> None:  # a name server that never answers
        released.wait()
        raise OSError

    monkeypatch.setattr(_weights, "urlopen", silent)
    assert not _weights._hub_is_reachable(timeout_s=0.05)
    released.set()

    def forbidden(*_: Any, **__: Any) -> None:
        raise HTTPError("", 403, "", {}, None)

    monkeypatch.setattr(_weights, "urlopen", forbidden)
    assert _weights._hub_is_reachable()


def test_inflated_weights_answer_a_grey_image_as_before() -> None:
    weight = torch.randn(4, 3, 3, 3)
    for channels in (1, 3, 6):
        found = inflate_input(weight, channels)
        assert found.shape == (4, channels, 3, 3)
        torch.testing.assert_close(found.sum(1), weight.sum(1))


class Payload:
    """Something that a state dict has no business to hold."""


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no weights file imagnet\. Weights are 'auto', 'imagenet', 'none'"):
        pretrained_state("imagnet", "resnet18")
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(SettingsError, match=r"text\.safetensors cannot be read \(.*state dict saved by torch\.save is expected"):
        pretrained_state(str(tmp_path / "text.safetensors"), "resnet18")
    torch.save({"a": Payload()}, tmp_path / "pickled.pth")
    with pytest.raises(SettingsError, match=r"pickled\.pth cannot be read"):
        pretrained_state(str(tmp_path / "pickled.pth"), "resnet18")
    torch.save({"epoch": 3}, tmp_path / "other.pth")
    with pytest.raises(SettingsError, match=r"other\.pth is not a state dict: its entry 'epoch' is not a tensor"):
        pretrained_state(str(tmp_path / "other.pth"), "resnet18")


def test_normalization_is_that_of_the_classifier() -> None:
    assert normalization("resnet18") == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert normalization("mixer_b16_224.goog_in21k") == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert normalization("not a model of timm") == normalization("resnet18")
