import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from intarsia.core import ClassSpace, SettingsError, UnknownNameError
from intarsia.models import NETWORKS, ModelSpec, classes_learnt, create_model, describe_model, spec_of

SMALL = {"width": 2, "depth": 2}


def test_a_spec_is_complete_and_survives_json() -> None:
    spec = ModelSpec("deeplab_v3plus", 5, encoder="resnet18", options={"channels": 32})
    assert spec.output_stride == 16
    assert spec.options["low_level_channels"] == 48  # filled in, so that a stored spec does not follow later defaults
    assert ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert replace(spec, output_stride=8).output_stride == 8
    assert ModelSpec("deeplab_v3plus", 5).encoder == "resnet50"
    assert ModelSpec("unet", 5).to_dict()["encoder"] is None


@pytest.mark.parametrize("name", ["unet", "deeplab_v3plus"])
def test_a_network_is_made_again_from_its_spec(name: str) -> None:
    options = SMALL if name == "unet" else {"encoder": "test_resnet", "channels": 8}
    network = create_model(name, num_classes=3, in_channels=2, **options).eval()
    again = spec_of(network).build().eval()
    again.load_state_dict(network.state_dict())
    image = torch.rand(1, 2, 33, 20)
    assert torch.equal(again(image).logits, network(image).logits)


def test_classes_may_be_names_or_a_number() -> None:
    names = ["sky", "road", "car"]
    for arguments in ({"classes": ClassSpace.from_names(names)}, {"classes": names}, {"num_classes": 3}):
        assert spec_of(create_model("unet", **arguments, **SMALL)).num_classes == 3
    with pytest.raises(SettingsError, match=r"needs `classes` or `num_classes`: neither was given"):
        create_model("unet")
    with pytest.raises(SettingsError, match=r"3 classes and num_classes=4 do not agree"):
        create_model("unet", classes=names, num_classes=4)
    with pytest.raises(SettingsError, match=r"`classes` is the text 'road'"):
        create_model("unet", classes="road")
    with pytest.raises(SettingsError, match=r"unet cannot be made for 0 classes"):
        create_model("unet", num_classes=0)
    with pytest.raises(SettingsError, match=r"unet cannot be made for -1 image channels"):
        create_model("unet", num_classes=2, in_channels=-1)


def test_the_task_is_that_of_the_catalogue() -> None:
    assert ModelSpec("unet", 3).task == "semantic"
    assert all(describe_model(name)["task"] == task for task, catalog in NETWORKS.items() for name in catalog.names)
    assert classes_learnt("instance", ClassSpace.from_names(["sky", "car", "road"], things=["car"])) == 1
    assert classes_learnt("panoptic", ClassSpace.from_names(["sky", "car", "road"], things=["car"])) == 3
    with pytest.raises(SettingsError, match=r"unet is a network for semantic segmentation; thing_ids are for panoptic ones"):
        create_model("unet", num_classes=2, thing_ids=(1,))


def test_wrong_names_and_options_get_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"no network called 'u-net'\. Did you mean 'unet'"):
        create_model("u-net", num_classes=2)
    with pytest.raises(SettingsError, match=r"unet has no option 'widht'\. Did you mean 'width'\?.*width=64, depth=4"):
        create_model("unet", num_classes=2, widht=32)
    with pytest.raises(SettingsError, match=r"unet's option padding can be 'same', 'valid'; 'sane' was given"):
        create_model("unet", num_classes=2, padding="sane")
    with pytest.raises(SettingsError, match=r"unet's option width is of type int, as 64; '32' was given"):
        create_model("unet", num_classes=2, width="32")
    with pytest.raises(SettingsError, match=r"fcn's option at_once is of type bool, as False; 1 was given"):
        create_model("fcn", num_classes=2, at_once=1)
    assert spec_of(create_model("unet", num_classes=2, dropout=0.1, **SMALL)).options["dropout"] == 0.1


@pytest.mark.parametrize(
    ("name", "option", "value", "said"),
    [
        ("unet", "dropout", 2, r"unet cannot be made with dropout=2.*: dropout probability .*The defaults: dropout=None"),
        ("unet", "dropout", "abc", r"unet cannot be made with dropout='abc'.*: .*'str'"),
        ("fcn", "dropout", -0.5, r"fcn cannot be made with .*dropout=-0\.5.*: .*The defaults: .*dropout=0\.5"),
        ("unet", "width", 0, r"unet's option width is a whole number from 1 up, such as 64; 0 was given"),
        ("unet", "depth", -1, r"unet's option depth is a whole number from 1 up, such as 4; -1 was given"),
    ],
)
def test_values_that_make_no_network_are_named(name: str, option: str, value: object, said: str) -> None:
    tiny = {"unet": SMALL, "fcn": {"width": 2, "fc_channels": 4}}[name]
    with pytest.raises(SettingsError, match=said):
        create_model(name, num_classes=2, **{**tiny, option: value})


def test_an_own_trunk_takes_no_encoder() -> None:
    with pytest.raises(SettingsError, match=r"fcn has its own trunk, and the encoder 'resnet18' was given\..*deeplab_v3plus"):
        create_model("fcn", num_classes=2, encoder="resnet18")
    with pytest.raises(SettingsError, match=r"unet has its own trunk, and the output stride of an encoder 8 was given"):
        create_model("unet", num_classes=2, output_stride=8)


def test_where_the_weights_came_from(tmp_path: Path) -> None:
    assert create_model("unet", num_classes=2, encoder_weights="auto", **SMALL).weights_note == "random initialisation"
    with pytest.raises(SettingsError, match=r"no pretrained weights for unet, and the encoder weights 'imagenet' were asked for"):
        create_model("unet", num_classes=2, encoder_weights="imagenet", **SMALL)

    path = tmp_path / "trunk.safetensors"
    classifier = timm.create_model("test_resnet")
    save_file(classifier.state_dict(), path)
    network = create_model("deeplab_v3plus", num_classes=2, encoder="test_resnet", encoder_weights=str(path), channels=8)
    assert network.weights_note == f"weights from {path}"
    assert torch.equal(network.state_dict()["encoder.body.conv1.0.weight"], classifier.state_dict()["conv1.0.weight"])
    with pytest.raises(SettingsError, match=r"do not fit the VGG-16 trunk"):
        create_model("fcn", num_classes=2, width=2, fc_channels=8, encoder_weights=str(path))


def test_a_network_of_unknown_origin() -> None:
    with pytest.raises(SettingsError, match=r"This Linear does not say how it was made"):
        spec_of(torch.nn.Linear(1, 1))


def test_listing_and_describing_do_without_torch() -> None:
    code = (
        "import sys; from intarsia.models import SEMANTIC, ModelSpec, describe_model; "
        "[describe_model(name) for name in SEMANTIC.names]; ModelSpec('unet', 2); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
