"""torchvision's networks with random weights, in our files: the same scores."""

import pytest
import torch
from torchvision.models import segmentation

import intarsia
from intarsia.inference.foreign._foreign import Wishes, fill
from intarsia.inference.foreign.torchvision import NETWORKS, VOC, torchvision_network
from intarsia.models import spec_of


def original(name, **options):
    torch.manual_seed(0)
    made = getattr(segmentation, name)
    return made(weights=None, weights_backbone=None, **{"num_classes": 3, "aux_loss": True, **options})


@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3_resnet50", "deeplabv3_mobilenet_v3_large"])
def test_the_model_file_has_the_same_scores_at_an_odd_size(name, tmp_path, randomised, distance):
    reference = randomised(original(name))
    torch.save(reference.state_dict(), tmp_path / "weights.pth")
    made = intarsia.import_weights(tmp_path / "weights.pth", source=f"torchvision:{name}", out=tmp_path / "own.safetensors")
    network, image = intarsia.load(made.path, device="cpu").model, torch.rand(1, 3, 65, 97)
    with torch.no_grad():
        output, expected = network(image), reference(image)["out"]
    assert (output.logits - expected).abs().max() < 1e-4 * expected.abs().max()  # float32
    assert len(output.auxiliary) == ("resnet" in name)
    assert distance(network, reference, image) < 1e-6
    assert made.card.history == {"imported": {"from": f"torchvision:{name}", "file": "weights.pth"}}


@pytest.mark.parametrize(("name", "auxiliary"), [(name, "101" in name) for name in NETWORKS])
def test_every_tensor_of_every_network_has_its_place(name, auxiliary):
    """Names and shapes, of which a wrong one is refused, at no cost on the meta device."""
    with torch.device("meta"):
        state = original(name, num_classes=5, aux_loss=auxiliary).state_dict()
        network = fill(torchvision_network(name, state, Wishes(), "file"), state, "file")
    spec = spec_of(network)
    assert (spec.num_classes, spec.in_channels) == (5, 3)
    assert spec.encoder == ("mobilenetv3_large_100" if "mobile" in name else name.partition("_")[2])
    assert len(network.state_dict()) == len([key for key in state if "mobile" not in name or not key.startswith("aux")])


def test_classes_of_its_own_weights():
    assert tuple(segmentation.FCN_ResNet50_Weights.DEFAULT.meta["categories"][1:]) == VOC[1:]
    assert len(VOC) == 21


def test_the_first_dilated_unit_of_the_mobilenet_matters(randomised, distance):
    """A control: with the rates that dilation by itself has, scores differ."""
    reference = randomised(original("deeplabv3_mobilenet_v3_large"))
    state = reference.state_dict()
    wishes = Wishes(options={"dilate_first": False})
    other = fill(torchvision_network("deeplabv3_mobilenet_v3_large", state, wishes, "file"), state, "file")
    assert distance(other, reference, torch.rand(1, 3, 64, 64)) > 1e-3
