"""models: what there is to train, what works without training, and what each of it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from intarsia.classical import CLASSICAL, MethodDescription, describe_method
from intarsia.core import SettingsError, UnknownNameError, nearest_names
from intarsia.models import FIGURES_CLASSES, FIGURES_SIZE_HW, NETWORKS, ModelDescription, describe_model, spec_to_count

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
    return [describe_model(name) for catalog in NETWORKS.values() for name in catalog.names]


def list_methods() -> list[MethodDescription]:
    """Every classical method."""
    return [describe_method(name) for name in CLASSICAL.names]


def describe(
    name: str,
    *,
    size_hw: tuple[int, int] = FIGURES_SIZE_HW,
    num_classes: int = FIGURES_CLASSES,
    things: int | None = None,
    in_channels: int = 3,
    encoder: str | None = None,
    output_stride: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> NetworkDescription | MethodDescription:
    """What the architecture or the classical method called `name` is; of a network also what it costs and how far it sees.

    Nothing is computed for that, so a network of any size takes seconds.

    Args:
        name: of an architecture, or of a file of `intarsia.classical`.
        size_hw: of the image that operations are counted for. This and the rest is for networks.
        num_classes: how many it tells apart; of an instance network classes of things.
        things: how many of them are countable, for panoptic networks; None: 8, or all of fewer.
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
    networks = [known for catalog in NETWORKS.values() for known in catalog.names]
    if name not in networks:
        near = nearest_names(name, (*networks, *CLASSICAL.names))
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise UnknownNameError(
            f"There is no network and no classical method called {name!r}.{hint} `intarsia models` lists them."
        )
    from intarsia.models.figures import blocks, figures

    given = {"in_channels": in_channels, "encoder": encoder, "output_stride": output_stride, "options": options or {}}
    spec = spec_to_count(name, num_classes, things=things, **given)
    found, layers = figures(spec, size_hw)
    about = describe_model(name)
    about["figures"] = found
    return {**about, "network": spec.to_dict(), "size_hw": size_hw, "layers": layers, "blocks": blocks(layers)}
