"""A checkpoint becomes a model file, with the classes and the normalisation that it does not hold itself."""

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch

import intarsia
from intarsia.core import ClassSpace, ModelFileError, SettingsError, UnknownNameError
from intarsia.inference import initialise
from intarsia.inference.foreign.torchvision import VOC
from intarsia.models import create_model, spec_of


@pytest.fixture
def checkpoint(tmp_path):
    """A function that saves a PSPNet, the smallest of them, and returns the network and the file."""

    def save(**options):
        torch.manual_seed(0)
        network = smp.PSPNet("resnet18", encoder_weights=None, psp_out_channels=16, **options).eval()
        used = {name: value for name, value in network.state_dict().items() if "layer3" not in name and "layer4" not in name}
        return network, _written(used | _counters_of_resnet18(), tmp_path)

    return save


def _written(state, folder):
    torch.save(state, folder / "weights.pth")
    return folder / "weights.pth"


def _counters_of_resnet18():
    """What tells a ResNet-18 from others, without the weights that nothing reads."""
    return {f"encoder.layer{level}.{unit}.conv1.weight": torch.zeros(1) for level in (3, 4) for unit in (0, 1)}


def test_classes_in_every_form(checkpoint, tmp_path):
    _, path = checkpoint(classes=3)
    (tmp_path / "names.txt").write_text("sky\nroad\n\ncar\n", encoding="utf-8")
    space = ClassSpace.from_names(["sky", "road", "car"])
    for classes in ("sky, road,car", str(tmp_path / "names.txt"), ["sky", "road", "car"], space):
        made = intarsia.import_weights(path, source="smp:PSPNet", out=tmp_path / "m.safetensors", classes=classes)
        assert made.card.classes == space
    assert made.notes[0] == "smp:PSPNet as pspnet on resnet18 at output stride 32"
    assert made.notes[1] == "4 tensors without a use were left out: encoder.layer3, encoder.layer4"
    assert made.notes[2] == "3 classes: sky, road, car"
    unnamed = intarsia.import_weights(path, source="smp:PSPNet", out=tmp_path / "m.safetensors")
    assert unnamed.card.classes.names == ("class_0", "class_1", "class_2")
    assert unnamed.notes[2] == "3 classes, called class_0, class_1 ...: give their names by --classes"
    with pytest.raises(
        SettingsError, match=r"2 classes were given \(a, b\), and the weights have 3 scores for each pixel. Name 3"
    ):
        intarsia.import_weights(path, source="smp:PSPNet", out=tmp_path / "m.safetensors", classes="a,b")


def test_twenty_one_classes_of_torchvision_are_voc(tmp_path):
    from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large

    path = _written(deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None).state_dict(), tmp_path)
    made = intarsia.import_weights(path, source="torchvision:deeplabv3_mobilenet_v3_large", out=tmp_path / "m.safetensors")
    assert made.card.classes.names == VOC
    assert made.card.classes.colors[15].tolist() == [192, 128, 128]  # a person in VOC's own palette


def test_one_score_decides_between_two_classes(checkpoint, tmp_path):
    network, path = checkpoint(classes=1)
    made = intarsia.import_weights(path, source="smp:PSPNet", out=tmp_path / "m.safetensors")
    assert made.card.classes.names == ("background", "foreground")
    segment = intarsia.load(made.path, device="cpu")
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    with torch.no_grad():
        score = network(torch.from_numpy(made.card.preprocessing.normalize(image))[None])[0, 0]
    middle = score.median()  # random weights may score one sign only
    with torch.no_grad():
        segment.model.head[4].bias -= middle
    mask = segment(image, prob=True)
    assert 0.3 < mask.ids.mean() < 0.7
    sure = (score - middle).abs().numpy() > 1e-4
    assert (mask.ids == (score > middle).numpy())[sure].all()
    np.testing.assert_allclose(mask.prob[1], (score - middle).sigmoid().numpy(), atol=1e-4)
    with pytest.raises(SettingsError, match="the weights have a single score, which decides between two"):
        intarsia.import_weights(path, source="smp:PSPNet", out=tmp_path / "m.safetensors", classes="cell")


def test_how_images_enter(checkpoint, tmp_path):
    _, path = checkpoint(classes=2, in_channels=1)
    out = tmp_path / "m.safetensors"
    grey = intarsia.import_weights(path, source="smp:PSPNet", out=out).card.preprocessing
    assert grey.mean == pytest.approx(((0.485 + 0.456 + 0.406) / 3,))
    assert grey.std == pytest.approx(((0.229 + 0.224 + 0.225) / 3,))
    said = intarsia.import_weights(path, source="smp:PSPNet", out=out, mean=[0.5], std=[0.25], imgsz=64)
    assert (said.card.preprocessing.mean, said.card.preprocessing.std) == ((0.5,), (0.25,))
    assert said.card.preprocessing.fit_hw == (64, 64)
    assert said.notes[-1] == "images fitted into 64x64, minus the mean 0.5 (as given)"
    with pytest.raises(SettingsError, match=r"The mean of images is 0.5, 0.5, 0.5; the network takes 1 channels"):
        intarsia.import_weights(path, source="smp:PSPNet", out=out, mean=[0.5, 0.5, 0.5])
    with pytest.raises(SettingsError, match=r"The std of images is 0.0; .* one number above zero"):
        intarsia.import_weights(path, source="smp:PSPNet", out=out, std=[0.0])


def test_another_training_starts_from_it(checkpoint, tmp_path):
    _, path = checkpoint(classes=3)
    made = intarsia.import_weights(path, source="smp:PSPNet", out=tmp_path / "m.safetensors", classes="sky,road,car")
    options = {"form": "smp", "channels": 16}
    network = create_model("pspnet", num_classes=2, encoder="resnet18", output_stride=32, **options)
    line = initialise(network, spec_of(network), ClassSpace.from_names(["car", "tree"]), made.path)
    assert "2 of the head by class name (1 of 2: car)" in line
    assert torch.equal(network.head[4].weight[0], intarsia.load(made.path, device="cpu").model.head[4].weight[2])


def test_a_file_that_does_not_fit_is_refused_by_names_and_shapes(checkpoint, tmp_path):
    _, path = checkpoint(classes=3)
    state = torch.load(path, weights_only=True)
    state["decoder.extra.weight"] = state.pop("decoder.conv.1.bias")
    state["segmentation_head.0.bias"] = torch.zeros(4)
    torch.save(state, path)
    out = tmp_path / "m.safetensors"
    expected = (
        r"do not fit smp:PSPNet, which .*weights.pth is said to hold: of its \d+ tensors 1 missing \(decoder.conv.1.bias\), "
        r"1 unexpected \(decoder.extra.weight\), 1 of another shape \(segmentation_head.0.bias is \(4,\) instead of \(3,\)\)"
    )
    with pytest.raises(ModelFileError, match=expected):
        intarsia.import_weights(path, source="smp:PSPNet", out=out)
    assert not out.exists()


def test_what_is_said_is_checked(checkpoint, tmp_path):
    _, path = checkpoint(classes=3)
    with pytest.raises(
        UnknownNameError, match=r"from 'torchvision:deeplab_resnet50'. Did you mean 'torchvision:deeplabv3_resnet50'"
    ):
        intarsia.import_weights(path, source="torchvision:deeplab_resnet50", out=tmp_path / "m.safetensors")
    with pytest.raises(SettingsError, match=r"model files end in .safetensors"):
        intarsia.import_weights(path, source="smp:PSPNet", out=tmp_path / "m.pth")
    with pytest.raises(SettingsError, match="is the checkpoint itself"):
        intarsia.import_weights(tmp_path / "m.safetensors", source="smp:PSPNet", out=tmp_path / "m.safetensors")
    with pytest.raises(SettingsError, match="Which network of ours smp:PSPNet becomes is settled; leave the model 'unet' out"):
        intarsia.import_weights(path, source="smp:PSPNet", out=tmp_path / "m.safetensors", model="unet", classes="a,b,c")
    with pytest.raises(SettingsError, match="does not say which of smp's networks it is; --from smp:Unet"):
        intarsia.import_weights(path, source="smp", out=tmp_path / "m.safetensors")
