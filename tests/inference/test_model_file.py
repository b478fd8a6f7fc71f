import json
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from intarsia.core import ClassSpace, ModelFileError
from intarsia.data.preprocessing import Preprocessing
from intarsia.inference import ModelCard, initialise, read_model, read_model_card, write_model
from intarsia.models import ModelSpec

SPACE = ClassSpace.from_names(["sky", "car", "person"], things=["car"])
SPEC = ModelSpec("unet", num_classes=3, options={"width": 4, "depth": 2})


def card(spec=SPEC, classes=SPACE) -> ModelCard:
    preprocessing = Preprocessing((0.5,) * 3, (0.2,) * 3, (40, 60))
    return ModelCard(spec, classes, preprocessing, scores={"val/miou": 0.5}, history={"data": "x"})


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = SPEC.build().eval()
    return model, write_model(tmp_path / "runs" / "m.safetensors", model, card())


def test_a_written_model_reads_back_with_all_it_says(saved):
    model, path = saved
    again, said = read_model(path)
    assert said == card()
    image = torch.randn(2, 3, 33, 47)
    with torch.inference_mode():
        assert torch.equal(again(image).logits, model(image).logits)
    assert list(path.parent.iterdir()) == [path], "no partial file is left behind"


def test_a_file_stays_whole_when_writing_the_next_one_fails(saved, monkeypatch):
    model, path = saved
    before = path.read_bytes()

    def full_disk(*_args, **_keywords):
        raise OSError("No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_model(path, model, card())
    assert path.read_bytes() == before


def header_and_rest(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def rewrite(path, header, rest):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + rest)


def newer(path):
    header, rest = header_and_rest(path)
    said = json.loads(header["__metadata__"]["intarsia"]) | {"format_version": 99, "version": "9.9"}
    header["__metadata__"]["intarsia"] = json.dumps(said)
    rewrite(path, header, rest)


def foreign(path):
    header, rest = header_and_rest(path)
    del header["__metadata__"]
    rewrite(path, header, rest)


def incomplete(path):
    header, rest = header_and_rest(path)
    said = json.loads(header["__metadata__"]["intarsia"])
    del said["classes"]
    header["__metadata__"]["intarsia"] = json.dumps(said)
    rewrite(path, header, rest)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-1000]), "is truncated: 1000 bytes are missing"),
        (lambda p: p.write_bytes(p.read_bytes()[:100]), "is not whole"),
        (lambda p: p.write_bytes(b""), "is not whole, or not a safetensors file: .* the file has 0"),
        (
            lambda p: p.write_bytes(b"PK\x03\x04 a zip archive, such as a pickled checkpoint"),
            "is not whole, or not a safetensors",
        ),
        (newer, r"written by Intarsia 9\.9 in format 99; .* Upgrade"),
        (foreign, "was not written by Intarsia"),
        (incomplete, "lacks 'classes'"),
        (lambda p: p.unlink(), "does not exist"),
    ],
)
def test_a_file_that_cannot_be_used_is_said_in_a_sentence(saved, damage, message):
    _, path = saved
    damage(path)
    with pytest.raises(ModelFileError, match=message):
        read_model_card(path)


def test_weights_of_another_architecture_are_refused(saved, tmp_path):
    other = ModelSpec("unet", num_classes=3, options={"width": 4, "depth": 3}).build()
    path = write_model(tmp_path / "wrong.safetensors", other, card())
    with pytest.raises(ModelFileError, match="do not fit the architecture 'unet'"):
        read_model(path)


def test_initialising_copies_equal_tensors_and_head_rows_by_class_name(saved):
    source, path = saved
    classes = ClassSpace.from_names(["person", "tree", "sky", "road"])
    spec = ModelSpec("unet", num_classes=4, options={"width": 4, "depth": 2})
    torch.manual_seed(1)
    model = spec.build()
    fresh = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    line = initialise(model, spec, classes, path)
    heads = [name for name, tensor in source.state_dict().items() if tensor.shape != fresh[name].shape]
    assert len(heads) == 2
    for name, tensor in model.state_dict().items():
        old = source.state_dict()[name]
        if name in heads:
            assert torch.equal(tensor[0], old[2])
            assert torch.equal(tensor[2], old[0])
            assert torch.equal(tensor[[1, 3]], fresh[name][[1, 3]])
        else:
            assert torch.equal(tensor, old)
    count = len(fresh)
    assert line == (f"initialised from m.safetensors: {count}/{count} tensors; 2 of the head by class name (2 of 4: person, sky)")


def test_same_number_of_classes_in_another_order_is_matched_by_name_too(saved):
    source, path = saved
    classes = ClassSpace.from_names(["person", "sky", "car"])
    model = SPEC.build()
    initialise(model, SPEC, classes, path)
    image = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        assert np.allclose(model.eval()(image).logits, source(image).logits[:, [2, 0, 1]], atol=1e-6)


def test_nothing_in_common_is_an_error(saved, tmp_path):
    _, path = saved
    spec = ModelSpec("deeplab_v3plus", num_classes=3, encoder="test_resnet")
    with pytest.raises(ModelFileError, match=r"Nothing in .*m\.safetensors .*'unet'.* fits the new network .*'deeplab_v3plus'"):
        initialise(spec.build(), spec, SPACE, path)


def test_a_wider_network_takes_what_fits_and_keeps_its_own_head(saved):
    _, path = saved
    spec = ModelSpec("unet", num_classes=3, options={"width": 8, "depth": 2})
    model = spec.build()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    line = initialise(model, spec, SPACE, path)
    changed = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])]
    assert f"{len(before)} tensors" in line
    assert all(before[name].shape == load_file(path)[name].shape for name in changed)


def test_tensors_with_two_class_axes_are_left_new_when_the_classes_differ(tmp_path):
    spec = ModelSpec("fcn", num_classes=3, options={"width": 4, "fc_channels": 8, "stride": 32, "learn_upsampling": True})
    model = spec.build()
    path = write_model(tmp_path / "fcn.safetensors", model, card(spec))
    line = initialise(spec.build(), spec, ClassSpace.from_names(["person", "sky", "car"]), path)
    assert "; new: " in line
    assert initialise(spec.build(), spec, SPACE, path).endswith("tensors")
