import json
import resource
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from intarsia.core import ClassSpace, ModelFileError
from intarsia.data.preprocessing import Preprocessing
from intarsia.inference import ModelCard, initialise, read_model, write_model
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


def test_a_file_stays_whole_when_the_disk_is_full(saved):
    """A process that may write files of a few kilobytes only, as on a disk that fills up half way."""
    model, path = saved
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_model(path, model, card())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


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


def edited(**changes):
    def edit(path):
        header, rest = header_and_rest(path)
        header["__metadata__"]["intarsia"] = json.dumps(json.loads(header["__metadata__"]["intarsia"]) | changes)
        rewrite(path, header, rest)

    return edit


def shorter_tensor(path):
    header, rest = header_and_rest(path)
    name = next(name for name in header if name != "__metadata__")
    header[name]["shape"] = [1, 2, 3]
    rewrite(path, header, rest)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.write_bytes(b""), "is not whole, or not a safetensors file: .* the file has 0"),
        (lambda p: p.write_bytes(p.read_bytes() + b"more"), "is damaged: 4 bytes too many"),
        (lambda p: torch.save({"weight": torch.zeros(3)}, p), r"is a zip archive, such as torch\.save writes"),
        (
            lambda p: torch.save({"weight": torch.zeros(3)}, p, _use_new_zipfile_serialization=False),
            "is no model file; it begins with",
        ),
        (lambda p: p.write_text('{"model": "unet"}'), r"is no model file; it begins with b'\{\"model\"'"),
        (lambda p: rewrite(p, [1, 2], b""), "is no safetensors file, or its header was damaged"),
        (
            lambda p: p.write_bytes(struct.pack("<Q", 200_000) + b"[" * 200_000),
            "is no safetensors file, or its header was damaged",
        ),
        (newer, r"written by Intarsia 9\.9 in format 99; .* Upgrade"),
        (foreign, "was not written by Intarsia"),
        (incomplete, "lacks 'classes'"),
        (
            edited(model={"name": "u-nett", "num_classes": 3}),
            "m.safetensors cannot be used: There is no network called 'u-nett'",
        ),
        (edited(preprocessing=[0.5]), "m.safetensors cannot be used: .* damaged or edited"),
        (edited(format_version="1"), "m.safetensors cannot be used: .* damaged or edited"),
        (edited(model=SPEC.to_dict() | {"in_channels": 10**15}), "m.safetensors names cannot be made: unet cannot be made"),
        (shorter_tensor, "m.safetensors cannot be read: .* damaged"),
        (lambda p: p.unlink(), "does not exist"),
    ],
)
def test_a_file_that_cannot_be_used_is_said_in_a_sentence(saved, damage, message):
    _, path = saved
    damage(path)
    with pytest.raises(ModelFileError, match=message):
        read_model(path)


def test_a_header_whose_length_begins_as_a_zip_archive_does_is_no_archive(saved):
    _, path = saved
    header, rest = header_and_rest(path)
    size = int.from_bytes(b"PK", "little")
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", size) + text + b" " * (size - len(text)) + rest)
    assert read_model(path)[1] == card()


def test_a_file_cut_anywhere_is_said_in_a_sentence(saved):
    _, path = saved
    whole = path.read_bytes()
    weights = 8 + struct.unpack("<Q", whole[:8])[0]
    for length in {
        *range(16),
        *np.linspace(16, weights + 8, 40, dtype=int),
        *np.linspace(weights, len(whole) - 1, 20, dtype=int),
    }:
        path.write_bytes(whole[:length])
        missing = f"is truncated: {len(whole) - length} bytes are missing" if length >= weights else "is not whole, or not a"
        with pytest.raises(ModelFileError, match=missing):
            read_model(path)


def test_a_changed_byte_of_the_header_is_said_or_does_no_harm(saved):
    """Some bytes are digits of a score or letters of a class; whatever comes of the others is our sentence."""
    model, path = saved
    whole, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for position in rng.integers(0, 8 + struct.unpack("<Q", whole[:8])[0], 400):
        data = bytearray(whole)
        data[position] ^= rng.integers(1, 256)
        path.write_bytes(data)
        try:
            again, _ = read_model(path)
        except ModelFileError:
            refused += 1
        else:
            assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in model.state_dict().items())
    assert 200 < refused < 400


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


def test_rows_of_an_instance_network_are_those_of_things(tmp_path):
    """A tensor with a row for each class of things goes by their names; where touching borders have a row too, it is new."""
    options = {"width": 2, "depths": (1, 1, 1, 1), "channels": 2}
    old, new = ClassSpace.from_names(["sky", "car", "cat"], things=["car", "cat"]), ClassSpace.from_names(["ground", "cat"])
    before = ModelSpec("ternausnet_v2", 2, options=options)
    path = write_model(
        tmp_path / "m.safetensors", before.build(), ModelCard(before, old, Preprocessing((0.5,) * 3, (0.2,) * 3), "instance")
    )
    after = ModelSpec("ternausnet_v2", 1, options=options)
    model = after.build()
    line = initialise(model, after, new, path)
    assert line.endswith("; new: score.weight, score.bias")
    same = before.build()
    assert "new" not in initialise(same, before, ClassSpace.from_names(["void", "car", "cat"]), path)
