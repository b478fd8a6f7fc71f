"""The networks of segmentation_models_pytorch with random weights, in our files: the same scores."""

import warnings

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

import intarsia
from intarsia.core import ModelFileError, SettingsError
from intarsia.inference.foreign import Wishes, convert
from intarsia.inference.foreign._foreign import RESNETS, fill
from intarsia.inference.foreign.smp import NETWORKS, smp_network
from intarsia.models import spec_of


def original(name: str, encoder: str = "resnet18", **options) -> nn.Module:
    torch.manual_seed(0)
    return getattr(smp, name)(encoder, encoder_weights=None, **{"classes": 3, **options})


def image_for(name: str) -> torch.Tensor:
    return torch.rand(1, 3, *((65, 97) if name == "Unet" else (64, 96)))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_model_file_has_the_same_scores(name, tmp_path, randomised, distance):
    reference = randomised(original(name))
    torch.save(reference.state_dict(), tmp_path / "weights.pth")
    made = intarsia.import_weights(tmp_path / "weights.pth", source=f"smp:{name}", out=tmp_path / "own.safetensors")
    network, image = intarsia.load(made.path, device="cpu").model, image_for(name)
    with torch.no_grad():
        expected = reference(image)
        assert (network(image).logits - expected).abs().max() < 1e-4 * expected.abs().max()  # float32
    assert distance(network, reference, image) < 1e-6
    assert made.card.spec.name == NETWORKS[name]


@pytest.mark.parametrize("encoder", ["resnet34", "resnet50"])
@pytest.mark.parametrize("name", NETWORKS)
def test_other_encoders(name, encoder, randomised, distance):
    reference = randomised(original(name, encoder))
    network = fill(smp_network(name, reference.state_dict(), Wishes(), "file"), reference.state_dict(), "file")
    assert spec_of(network).encoder == encoder
    assert distance(network, reference, image_for(name)) < 1e-6


@pytest.mark.parametrize("encoder", RESNETS)
def test_resnets_are_recognised_by_their_tensors(encoder):
    with torch.device("meta"):
        state = original("Unet", encoder).state_dict()
    assert smp_network("Unet", state, Wishes(), "file").spec.encoder == encoder


@pytest.mark.parametrize("name", ["DeepLabV3", "DeepLabV3Plus", "PSPNet"])
def test_encoders_of_timm_are_named(name, randomised, distance):
    reference = randomised(original(name, "tu-resnet18"))
    state = reference.state_dict()
    with pytest.raises(SettingsError, match="name it by --encoder, such as resnet34 for smp's tu-resnet34"):
        smp_network(name, state, Wishes(), "file")
    network = fill(smp_network(name, state, Wishes(encoder="tu-resnet18"), "file"), state, "file")
    assert distance(network, reference, image_for(name)) < 1e-6


def test_a_timm_encoder_without_a_feature_of_stride_2(randomised, distance):
    reference = randomised(original("Unet", "tu-test_convnext"))
    state = reference.state_dict()
    foreign = smp_network("Unet", state, Wishes(encoder="test_convnext"), "file")
    assert distance(fill(foreign, state, "file"), reference, torch.rand(1, 3, 64, 96)) < 1e-6


def test_a_folder_of_save_pretrained_says_all_itself(tmp_path, randomised, distance):
    options = {"encoder_output_stride": 8, "decoder_atrous_rates": (3, 5, 7), "decoder_channels": 32}
    reference = randomised(original("DeepLabV3Plus", "tu-resnet18", **options))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the hub's client has its own views on model cards
        reference.save_pretrained(tmp_path / "saved")
    made = convert(tmp_path / "saved", "smp")
    spec = spec_of(made.network)
    assert (made.source, spec.encoder, spec.output_stride) == ("smp:DeepLabV3Plus", "resnet18", 8)
    assert (spec.options["rates"], spec.options["channels"], spec.options["dilate_first"]) == ((3, 5, 7), 32, False)
    assert distance(made.network, reference, torch.rand(1, 3, 64, 64)) < 1e-6
    with pytest.raises(SettingsError, match=r"says that it is smp's DeepLabV3Plus, and smp:Unet was given. Give smp alone"):
        convert(tmp_path / "saved", "smp:Unet")


def test_unet_that_enlarges_bilinearly(randomised, distance):
    reference = randomised(original("Unet", decoder_interpolation="bilinear", decoder_channels=(64, 32, 16, 8, 8)))
    state = reference.state_dict()
    network = fill(smp_network("Unet", state, Wishes(options={"enlarge": "bilinear"}), "file"), state, "file")
    assert spec_of(network).options["channels"] == (64, 32, 16, 8, 8)
    assert distance(network, reference, image_for("Unet")) < 1e-6


@pytest.mark.parametrize(("name", "stride"), [("DeepLabV3", 16), ("DeepLabV3Plus", 8)])
def test_rates_of_the_encoder_matter(name, stride, randomised, distance):
    """The output stride is said where it is not the library's default; a control without `dilate_first` differs."""
    reference = randomised(original(name, encoder_output_stride=stride))
    state, image = reference.state_dict(), image_for(name)
    right, wrong = (
        fill(smp_network(name, state, Wishes(output_stride=stride, options=options), "file"), state, "file")
        for options in ({}, {"dilate_first": False})
    )
    assert distance(right, reference, image) < 1e-6
    assert distance(wrong, reference, image) > 1e-3


def test_a_head_that_classifies_images_is_left_out(tmp_path):
    with_head = original("Unet", aux_params={"classes": 4})
    torch.save(with_head.state_dict(), tmp_path / "weights.pth")
    assert convert(tmp_path / "weights.pth", "smp:unet").unused == ("classification_head.3.weight", "classification_head.3.bias")


def test_what_cannot_be_imported():
    with torch.device("meta"):
        attentive = original("Unet", decoder_attention_type="scse").state_dict()
        plain = original("Unet").state_dict()
        with pytest.raises(ModelFileError, match=r"\d+ unexpected \(decoder.blocks.0.attention1.attention.cSE.1.weight"):
            fill(smp_network("Unet", attentive, Wishes(), "file"), attentive, "file")
        with pytest.raises(SettingsError, match="smp's own encoder efficientnet-b0 has other tensors than timm's"):
            smp_network("Unet", plain, Wishes(encoder="efficientnet-b0"), "file")
        with pytest.raises(SettingsError, match="This smp Unet was made with encoder_depth=4; only encoder_depth=5 can be"):
            smp_network("Unet", plain, Wishes(config={"encoder_depth": 4}), "file")
        odd = {name: value for name, value in plain.items() if "encoder.layer4.1" not in name}
        with pytest.raises(ModelFileError, match="has 2, 2, 2, 1 units in its stages, which no ResNet that is known here has"):
            smp_network("Unet", odd, Wishes(), "file")
        with pytest.raises(
            ModelFileError, match=r"file has no tensor decoder.seg_blocks.0.block.0.*it holds 182 tensors, such as decoder.bl"
        ):
            smp_network("FPN", plain, Wishes(), "file")
