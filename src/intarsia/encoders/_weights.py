"""Where the weights of a trunk come from: the local cache, the hub, a file, or nowhere."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Protocol
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import timm
from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from intarsia.core import SettingsError

__all__ = ["RANDOM", "check_state", "inflate_input", "load_strictly", "load_weights", "normalization", "pretrained_state"]

RANDOM = "random initialisation"
"""How a note on weights begins when there are none."""


class Pretrainable(Protocol):
    """A network whose trunk is a known classifier.

    imagenet: timm's name of that classifier; None if it was made in a size of which there are no weights.
    """

    imagenet: str | None

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Take the weights of the classifier, in its own names."""


def load_weights(network: Pretrainable, weights: str) -> str:
    """Load what `weights` asks for, as in `pretrained_state`; returns one line that says where the weights came from."""
    state, note = pretrained_state(weights, network.imagenet)
    if state is not None:
        network.load_imagenet(state)
    return note


def pretrained_state(weights: str, imagenet: str | None) -> tuple[dict[str, Tensor] | None, str]:
    """The weights that `weights` asks for, and one line that says where they came from.

    Args:
        weights: "auto" takes the ImageNet weights from the local cache, else from the hub if that answers within seconds, else
            none; "imagenet" does the same and fails instead of doing without; "none"; or the path of a file.
        imagenet: timm's name of the classifier, with or without tag; None if there is none.

    Returns:
        A state dict in the classifier's own names, or None for a random initialisation; and the line.

    Raises:
        SettingsError: "imagenet" without a way to get them, or a file that cannot be read.
    """
    if weights == "none":
        return None, RANDOM
    if weights not in ("auto", "imagenet"):
        return _read_state(Path(weights)), f"weights from {weights}"
    path, note = _find_imagenet(imagenet)
    if path is not None:
        return _read_state(path), note
    if weights == "imagenet":
        raise SettingsError(
            f"The ImageNet weights cannot be loaded: {note}. Give the path of a weights file, or 'auto' or 'none' to begin from "
            "random weights."
        )
    return None, f"{RANDOM} ({note})"


def normalization(imagenet: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the three colours that a timm classifier was trained with, on the scale [0, 1]."""
    config = timm.models.get_pretrained_cfg(imagenet)
    return (tuple(config.mean), tuple(config.std)) if config is not None else (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)


def _find_imagenet(name: str | None) -> tuple[Path | None, str]:
    """The weights file of a timm model and where it was found, or None and why it was not."""
    if name is None:
        return None, "there are no weights for a network of this size"
    config = timm.models.get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        return None, f"timm offers no weights for {name}"
    label = f"imagenet weights {config.architecture}.{config.tag}"
    filename = config.hf_hub_filename or "model.safetensors"
    cached = try_to_load_from_cache(config.hf_hub_id, filename)
    if isinstance(cached, str):
        return Path(cached), f"{label} from the cache"
    if constants.HF_HUB_OFFLINE:
        return None, f"{name} is not in the cache, and HF_HUB_OFFLINE is set"
    if not _hub_is_reachable():
        return None, f"{name} is not in the cache, and the hub is not reachable"
    try:
        return Path(hf_hub_download(config.hf_hub_id, filename)), f"{label} from the hub"
    except Exception as error:  # the hub's client raises errors of several libraries; each of them means: no weights
        return None, f"the download of {name} failed with {type(error).__name__}"


def _hub_is_reachable(timeout_s: float = 3.0) -> bool:
    """Whether the hub answers at all. Asked in a thread, since no timeout covers the look-up of a host's name."""
    answered = threading.Event()

    def ask() -> None:
        try:
            urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=timeout_s).close()
        except HTTPError:
            pass  # an answer all the same
        except (OSError, HTTPException, ValueError):
            return
        answered.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout_s)
    return answered.is_set()


def _read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file or of a PyTorch checkpoint, read without running any pickled code.

    Raises:
        SettingsError: no such file, not a weights file, or a checkpoint that holds other things than tensors.
    """
    if not path.is_file():
        raise SettingsError(f"There is no weights file {path}. Weights are 'auto', 'imagenet', 'none' or the path of a file.")
    try:
        state: dict[str, Tensor] = timm.models.load_state_dict(str(path), weights_only=True)
    except Exception as error:  # unpickling and safetensors raise whatever the broken bytes make them raise
        reason = str(error).split("\n")[0]
        raise SettingsError(
            f"The weights file {path} cannot be read ({type(error).__name__}: {reason}). A safetensors file or a state dict "
            "saved by torch.save is expected."
        ) from error
    strange = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if strange:
        raise SettingsError(f"The weights file {path} is not a state dict: its entry {strange[0]!r} is not a tensor.")
    return state


def check_state(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], owner: str, *, ignore: Iterable[str] = ()) -> None:
    """Compare names and shapes of a state dict with the expected ones.

    Args:
        expected: what there should be, such as `module.state_dict()`.
        state: what there is.
        owner: whose weights they are, as it stands in the message.
        ignore: beginnings of names that may differ, such as a classifier's. Counters of batch normalisation always may.

    Raises:
        SettingsError: naming what is missing, what is too much and which shapes differ.
    """
    ignored = tuple(ignore)

    def names(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> list[str]:
        candidates = [name for name in one if not name.startswith(ignored) and not name.endswith("num_batches_tracked")]
        return [name for name in candidates if name not in other]

    both = [name for name in expected if name in state and not name.startswith(ignored)]
    shapes = [
        f"{name} is {tuple(state[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in both
        if state[name].shape != expected[name].shape
    ]
    troubles = (("missing", names(expected, state)), ("unexpected", names(state, expected)), ("of another shape", shapes))
    found = [
        f"{len(entries)} {what} ({'; '.join(entries[:3])}{' ...' if len(entries) > 3 else ''})"
        for what, entries in troubles
        if entries
    ]
    if found:
        raise SettingsError(
            f"These weights do not fit {owner}: of its {len(expected)} tensors {', '.join(found)}. "
            "They probably belong to another architecture, width or library."
        )


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], owner: str) -> None:
    """Load a state dict that must fit `module` name by name and shape by shape; else see `check_state`."""
    check_state(module.state_dict(), state, owner)
    module.load_state_dict(state, strict=False)  # names are checked; only counters of batch normalisation may be absent


def inflate_input(weight: Tensor, in_channels: int) -> Tensor:
    """Fit the weight (C, 3, k, k) of a first convolution to another number of input channels.

    One channel takes the sum over red, green and blue; more than three repeat them, scaled so that the answer to a grey image
    stays the same. It is timm's rule.
    """
    inflated: Tensor = timm.models.adapt_input_conv(in_channels, weight)
    return inflated
