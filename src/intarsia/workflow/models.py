"""models: what there is to train, what works without training, and what each of it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from intarsia.classical import CLASSICAL, MethodDescription, describe_method
from intarsia.core import SettingsError, UnknownNameError, nearest_names
from intarsia.models import FIGURES_CLASSES, FIGURES_SIZE_HW, SEMANTIC, ModelDescription, ModelSpec, describe_model

if TYPE_CHECKING:
    from intarsia.models.figures import Layer

__all__ = ["NetworkDescription", "describe", "list_methods", "list_models"]


class NetworkDescription(ModelDescription):
    """An architecture, and what can be counted of one network of it.

    network: `ModelSpec.to_dict()` of that network; `figures` are its own.
    size_hw: of the image that its operations are counted for.
    layers: parameters and operations of the network and of every module in it.
    blocks: the same of at most some thirty blocks.
    """

    network: dict[str, Any]
    size_hw: tuple[int, int]
    layers: list[Layer]
    blocks: list[Layer]


def list_models() -> list[ModelDescription]:
    """Every architecture, with the figures that are stored for it. Torch is not needed for it."""
    return [describe_model(name) for name in SEMANTIC.names]


def list_methods() -> list[MethodDescription]:
    """Every classical method."""
    return [describe_method(name) for name in CLASSICAL.names]


def describe(
    name: str,
    *,
    size_hw: tuple[int, int] = FIGURES_SIZE_HW,
    num_classes: int = FIGURES_CLASSES,
    in_channels: int = 3,
    encoder: str | None = None,
    output_stride: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> NetworkDescription | MethodDescription:
    """What the architecture or the classical method called `name` is; of a network also what it costs and how far it sees.

    Nothing is computed for that, so a network of any size takes seconds.

    Args:
        name: of a file of `intarsia.models.semantic` or `intarsia.classical`.
        size_hw: of the image that operations are counted for. This and the rest is for networks.
        num_classes: how many it tells apart.
        in_channels: of the image.
        encoder: for architectures that take one.
        output_stride: of the encoder.
        options: the architecture's own.

    Raises:
        UnknownNameError: with the nearest names.
        SettingsError: what the architecture cannot be made with.
    """
    if name in CLASSICAL:
        if encoder is not None or output_stride is not None or options:
            verb = "train" if describe_method(name)["result"] == "learned" else "predict"
            raise SettingsError(
                f"{name} is a classical method, and there is no network of it to count. Give its options to "
                f"`intarsia {verb} --model {name} --set NAME=VALUE`."
            )
        return describe_method(name)
    if name not in SEMANTIC:
        near = nearest_names(name, (*SEMANTIC.names, *CLASSICAL.names))
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise UnknownNameError(
            f"There is no network and no classical method called {name!r}.{hint} `intarsia models` lists them."
        )
    from intarsia.models.figures import blocks, figures

    spec = ModelSpec(name, num_classes, in_channels, encoder, output_stride, options or {})
    found, layers = figures(spec, size_hw)
    about = describe_model(name)
    about["figures"] = found
    return {**about, "network": spec.to_dict(), "size_hw": size_hw, "layers": layers, "blocks": blocks(layers)}
