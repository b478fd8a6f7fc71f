"""Encoders: an image in, features fine to coarse out. One file per family, and any model of timm by its name there."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from intarsia.core import Catalog

if TYPE_CHECKING:
    from intarsia.encoders._cut import cut_encoder
    from intarsia.encoders._dilation import dilate_first_units, set_multi_grid
    from intarsia.encoders._encoder import Encoder
    from intarsia.encoders._weights import RANDOM, check_state, load_strictly, load_weights, normalization

__all__ = [
    "ENCODERS",
    "RANDOM",
    "Encoder",
    "check_state",
    "create_encoder",
    "cut_encoder",
    "dilate_first_units",
    "load_strictly",
    "load_weights",
    "normalization",
    "set_multi_grid",
]

ENCODERS = Catalog("encoder", "intarsia.encoders")


def create_encoder(name: str, *, in_channels: int = 3, output_stride: int = 32, weights: str = "none") -> Encoder:
    """Make an encoder.

    Args:
        name: a file of this folder (`ENCODERS`), or a timm model such as "resnet18" or "resnet50.tv_in1k".
        in_channels: of the image.
        output_stride: stride of the coarsest feature: 32, or 16 or 8 where the encoder can.
        weights: "auto" (ImageNet weights from the local cache, or from the hub if that is reachable, else none), "imagenet"
            (those or an error), "none", or a file of a classifier's weights. `weights_note` of the result says what was taken.

    Raises:
        UnknownNameError: no such encoder; the message names the nearest.
        SettingsError: an output stride that the encoder does not have, or weights that cannot be had or do not fit.
    """
    if name not in ENCODERS or name == "timm":
        from intarsia.encoders.timm import TimmEncoder

        return TimmEncoder(name, in_channels=in_channels, output_stride=output_stride, weights=weights)
    from intarsia.encoders._weights import load_weights

    network = ENCODERS.load(name)(in_channels=in_channels, output_stride=output_stride)
    network.weights_note = load_weights(network, weights)
    encoder: Encoder = network
    return encoder


def __getattr__(name: str) -> Any:
    """What needs torch is imported when asked for."""
    homes = {
        "Encoder": "_encoder",
        "check_state": "_weights",
        "cut_encoder": "_cut",
        "dilate_first_units": "_dilation",
        "load_strictly": "_weights",
        "load_weights": "_weights",
        "normalization": "_weights",
        "RANDOM": "_weights",
        "set_multi_grid": "_dilation",
    }
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{homes[name]}"), name)
