"""Tensors out of a checkpoint that anybody may have written, without running what is pickled in it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from intarsia.core import ModelFileError

__all__ = ["read_checkpoint"]

WRAPPERS = ("state_dict", "model_state_dict", "model", "weights")
"""Entries under which training scripts keep the weights, beside an optimizer's and others."""
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")
"""What DataParallel, torch.compile and Lightning modules put before every name."""


def read_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state dict in a checkpoint, and what is written beside it.

    Args:
        path: safetensors; a file of torch.save that holds a state dict, alone or under `state_dict` or `model`; or a folder with
            model.safetensors and config.json, as `save_pretrained` writes it. A word such as "module." that stands before every
            name is taken off.

    Returns:
        The tensors by name, on the CPU, and the folder's config.json, which else is empty.

    Raises:
        ModelFileError: no such file, one that cannot be read, one of our own, or one that holds other things than tensors.
    """
    path = Path(path)
    config: dict[str, Any] = {}
    if path.is_dir():
        folder, path = path, path / "model.safetensors"
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelFileError(
                f"The folder {folder} has no config.json that can be read ({error}); one that `save_pretrained` wrote has that "
                "and a model.safetensors. Else name the file with the weights."
            ) from error
    if not path.is_file():
        raise ModelFileError(f"The checkpoint {path} does not exist.")
    with path.open("rb") as file:
        start = file.read(9)
    loaded = _read_safetensors(path) if start[8:] == b"{" else _read_pickle(path)
    return _without_prefixes(_unwrapped(loaded, path)), config


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            ours = "intarsia" in (file.metadata() or {})
        state: dict[str, Tensor] = {} if ours else load_file(path)
    except SafetensorError as error:
        raise ModelFileError(f"The checkpoint {path} cannot be read: {error}. The file is damaged; copy it again.") from error
    if ours:
        raise ModelFileError(f"The file {path} is a model file of Intarsia already; use it as it is.")
    return state


def _read_pickle(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about how it was pickled, which its user did not choose
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ModelFileError(
            f"The checkpoint {path} holds more than tensors, or is no checkpoint, and code in it is not run: "
            f"{str(error).splitlines()[0]} If it is a whole model, load it where you trust it and save its weights: "
            "torch.save(model.state_dict(), 'weights.pth')."
        ) from error
    except Exception as error:  # damaged bytes raise whatever they make torch and zip raise
        reason = str(error).partition("\n")[0]
        raise ModelFileError(
            f"The checkpoint {path} cannot be read ({type(error).__name__}: {reason}). A safetensors file or a state dict "
            "saved by torch.save is expected."
        ) from error


def _unwrapped(loaded: Any, path: Path) -> dict[str, Tensor]:
    """The state dict among what a training script saved."""
    for wrapper in WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    if not isinstance(loaded, Mapping):
        raise ModelFileError(f"The checkpoint {path} holds a {type(loaded).__name__} instead of tensors by name (a state dict).")
    strange = [str(name) for name, value in loaded.items() if not (isinstance(name, str) and isinstance(value, Tensor))]
    if strange or not loaded:
        found = f"its entry {strange[0]!r} is not a tensor" if strange else "it is empty"
        raise ModelFileError(
            f"The checkpoint {path} is not a state dict: {found}. One is looked for at its top and under {', '.join(WRAPPERS)}."
        )
    return dict(loaded)


def _without_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    while prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in state)), ""):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state
