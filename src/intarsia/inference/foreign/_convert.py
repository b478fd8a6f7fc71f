"""A checkpoint of another library, and what it is called there, to a network of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from intarsia.core import SettingsError, UnknownNameError, nearest_names
from intarsia.inference.foreign import detection, smp
from intarsia.inference.foreign._checkpoint import read_checkpoint
from intarsia.inference.foreign._foreign import Wishes, fill
from intarsia.inference.foreign.smp import smp_network
from intarsia.inference.foreign.torchvision import NETWORKS, torchvision_network
from intarsia.inference.foreign.trunks import TRUNKS, trunk_network

__all__ = ["SOURCES", "Converted", "convert"]

SOURCES = (
    *(f"torchvision:{name}" for name in (*NETWORKS, *detection.NETWORKS, *TRUNKS)),
    *(f"smp:{name}" for name in smp.NETWORKS),
)
"""What can be imported: library:network."""


@dataclass(frozen=True)
class Converted:
    """A network of ours with weights from elsewhere.

    Args:
        network: it, with its `spec`, in evaluation mode.
        source: which of `SOURCES` it was.
        class_names: of its scores, if the library's own weights have that many.
        imagenet: timm's name of the classifier whose normalisation of images it expects; "" is the usual one.
        unused: names of the checkpoint's tensors of which ours has no use.
        weights_note: where the trunk's weights came from, if only it has any.
    """

    network: nn.Module
    source: str
    class_names: tuple[str, ...] | None = None
    imagenet: str = ""
    unused: tuple[str, ...] = ()
    weights_note: str = ""


def convert(checkpoint: str | Path, source: str, wishes: Wishes | None = None) -> Converted:
    """Read a checkpoint and make the network of ours that computes the same.

    Args:
        checkpoint: as in `read_checkpoint`.
        source: one of `SOURCES`; of a folder that smp's `save_pretrained` wrote, "smp" is enough.
        wishes: what the checkpoint does not say.

    Raises:
        UnknownNameError: no such source.
        ModelFileError: a checkpoint that cannot be read or does not fit.
        SettingsError: wishes that contradict it, or that are missing.
    """
    path, wishes = Path(checkpoint), wishes or Wishes()
    library, _, name = source.partition(":")
    if source != "smp":
        library, name = _known(source)
    if library == "torchvision" and name in TRUNKS:
        network = trunk_network(name, path, wishes)
        return Converted(network, f"{library}:{name}", weights_note=str(network.weights_note))
    if wishes.model is not None:
        raise SettingsError(f"Which network of ours {source} becomes is settled; leave the model {wishes.model!r} out.")
    state, config = read_checkpoint(path)
    if library == "smp":
        name = _agreed(name, config, path)
    make = smp_network if library == "smp" else torchvision_network
    if name in detection.NETWORKS:
        make = detection.detection_network
    foreign = make(name, state, wishes.with_config(config), str(path))
    network = fill(foreign, state, f"{library}:{name}, which {path} is said to hold")
    unused = tuple(tensor for tensor in state if tensor.startswith(foreign.unused)) if foreign.unused else ()
    return Converted(network, f"{library}:{name}", foreign.class_names, foreign.imagenet, unused)


def _known(source: str) -> tuple[str, str]:
    """Library and network, whatever the case of the letters."""
    exact = {known.lower(): known for known in SOURCES}.get(source.lower())
    if exact is None:
        near = nearest_names(source, SOURCES)
        hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
        raise UnknownNameError(f"Weights cannot be imported from {source!r}.{hint} Known: {', '.join(SOURCES)}.")
    library, _, name = exact.partition(":")
    return library, name


def _agreed(name: str, config: Mapping[str, Any], path: Path) -> str:
    """Which network of smp it is, as was said or as its config says."""
    written = config.get("_model_class")
    if not name and written is None:
        raise SettingsError(f"{path} does not say which of smp's networks it is; --from smp:Unet, for instance, does.")
    if name and written is not None and written != name:
        raise SettingsError(f"{path} says that it is smp's {written}, and smp:{name} was given. Give smp alone.")
    found = str(written or name)
    if found not in smp.NETWORKS:
        raise UnknownNameError(f"smp's {found} in {path} cannot be imported; known: {', '.join(smp.NETWORKS)}.")
    return found
