"""Tensors out of files that anybody may have written; nothing that is pickled in them is run."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from intarsia.core import ModelFileError
from intarsia.inference.foreign import read_checkpoint

STATE = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.zeros(2)}


def equal(found, expected=STATE):
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.module.", "net."])
def test_wrapped_and_prefixed(wrapper, prefix, tmp_path):
    state = {prefix + name: value for name, value in STATE.items()}
    torch.save(state if wrapper is None else {wrapper: state, "epoch": 3, "optimizer": {"lr": 0.1}}, tmp_path / "w.pth")
    found, config = read_checkpoint(tmp_path / "w.pth")
    assert equal(found)
    assert config == {}


@pytest.mark.parametrize("legacy", [True, False])
def test_both_formats_of_torch_and_safetensors(legacy, tmp_path):
    torch.save(STATE, tmp_path / "w.pt", _use_new_zipfile_serialization=not legacy)
    save_file({f"module.{name}": value for name, value in STATE.items()}, tmp_path / "w.bin")  # the content counts, not the name
    assert equal(read_checkpoint(tmp_path / "w.pt")[0])
    assert equal(read_checkpoint(str(tmp_path / "w.bin"))[0])


def test_a_folder_with_its_config(tmp_path):
    save_file(STATE, tmp_path / "model.safetensors")
    with pytest.raises(ModelFileError, match=r"has no config.json that can be read \(.*No such file"):
        read_checkpoint(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"classes": 2}))
    found, config = read_checkpoint(tmp_path)
    assert equal(found)
    assert config == {"classes": 2}


def test_a_prefix_that_not_all_have_stays(tmp_path):
    state = {"module.a": torch.zeros(1), "b": torch.zeros(1)}
    torch.save(state, tmp_path / "w.pth")
    assert set(read_checkpoint(tmp_path / "w.pth")[0]) == set(state)


class Trap:
    """Writes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.write_text, (self.path, "ran"))


def test_code_in_a_file_is_not_run(tmp_path):
    with (tmp_path / "w.pth").open("wb") as file:
        pickle.dump({"weight": Trap(tmp_path / "ran")}, file)
    torch.save({"state_dict": STATE, "hook": Trap(tmp_path / "ran")}, tmp_path / "zip.pth")
    for name in ("w.pth", "zip.pth"):
        with pytest.raises(ModelFileError, match=rf"{name} holds more than tensors, .* code in it is not run"):
            read_checkpoint(tmp_path / name)
    assert not (tmp_path / "ran").exists()
    pickle.loads((tmp_path / "w.pth").read_bytes())  # the trap works
    assert (tmp_path / "ran").exists()


def test_other_files_are_refused_with_a_sentence(tmp_path):
    path = tmp_path / "w.pth"
    with pytest.raises(ModelFileError, match=r"The checkpoint .*w.pth does not exist"):
        read_checkpoint(path)
    torch.save(nn.Conv2d(1, 1, 1), path)
    with pytest.raises(ModelFileError, match=r"save its weights: torch.save\(model.state_dict\(\)"):
        read_checkpoint(path)
    torch.save([1, 2], path)
    with pytest.raises(ModelFileError, match="holds a list instead of tensors by name"):
        read_checkpoint(path)
    torch.save({"epoch": 3}, path)
    with pytest.raises(
        ModelFileError, match=r"its entry 'epoch' is not a tensor. One is looked for at its top and under state_dict"
    ):
        read_checkpoint(path)
    torch.save({}, path)
    with pytest.raises(ModelFileError, match="is not a state dict: it is empty"):
        read_checkpoint(path)
    path.write_bytes(b"PK\x03\x04 no zip after all")
    with pytest.raises(ModelFileError, match=r"w.pth cannot be read \(\w+"):
        read_checkpoint(path)
    save_file(STATE, path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ModelFileError, match="The file is damaged; copy it again"):
        read_checkpoint(path)
    save_file(STATE, path, metadata={"intarsia": "{}"})
    with pytest.raises(ModelFileError, match="is a model file of Intarsia already"):
        read_checkpoint(path)
