"""The networks of segmentation_models_pytorch (smp), on its ResNets or on any encoder of timm ("tu-...").

    Unet      unet_encoder               DeepLabV3        deeplab_v3
    FPN       semantic_fpn, form smp     DeepLabV3Plus    deeplab_v3plus, form smp
    Linknet   linknet, form smp          PSPNet           pspnet, form smp

Source: structure and names read off segmentation_models_pytorch 0.6, and proven against it on random weights. Where its own
ResNets are dilated, the unit that carried the removed stride has the new rate too (`dilate_first`); timm's have not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from intarsia.core import ModelFileError, SettingsError
from intarsia.inference.foreign._foreign import RESNETS, Foreign, Rules, Wishes, pyramid_rules, renamed, tensor_of
from intarsia.models import ModelSpec

__all__ = ["NETWORKS", "smp_network"]

NETWORKS = {
    "Unet": "unet_encoder",
    "FPN": "semantic_fpn",
    "Linknet": "linknet",
    "PSPNet": "pspnet",
    "DeepLabV3": "deeplab_v3",
    "DeepLabV3Plus": "deeplab_v3plus",
}
"""Their names and ours."""

RULES: Mapping[str, Rules] = {
    "Unet": (
        (r"blocks\.(\d)\.0\.", r"decoder.blocks.\1.conv1."),
        (r"blocks\.(\d)\.1\.", r"decoder.blocks.\1.conv2."),
        (r"score\.", "segmentation_head.0."),
    ),
    "FPN": (
        (r"pyramid\.lateral\.3\.", "decoder.p5."),
        *((rf"pyramid\.lateral\.{level}\.", f"decoder.p{level + 2}.skip_conv.") for level in range(3)),
        *((rf"head\.branches\.{level}\.convs\.(\d)\.", rf"decoder.seg_blocks.{3 - level}.block.\1.block.") for level in range(4)),
        (r"head\.classify\.", "segmentation_head.0."),
    ),
    "Linknet": (
        (r"decoders\.(\d)\.0\.", r"decoder.blocks.\1.block.0."),
        (r"decoders\.(\d)\.1\.", r"decoder.blocks.\1.block.1.0."),
        (r"decoders\.(\d)\.2\.", r"decoder.blocks.\1.block.1.1."),
        (r"decoders\.(\d)\.4\.", r"decoder.blocks.\1.block.2."),
        (r"head\.0\.0\.", r"decoder.blocks.4.block.0."),
        (r"head\.0\.1\.", r"decoder.blocks.4.block.1.0."),
        (r"head\.0\.2\.", r"decoder.blocks.4.block.1.1."),
        (r"head\.0\.4\.", r"decoder.blocks.4.block.2."),
        (r"head\.1\.", "segmentation_head.0."),
    ),
    "PSPNet": (
        (r"pyramid\.grids\.(\d)\.1\.", r"decoder.psp.blocks.\1.pool.1.0."),
        (r"pyramid\.grids\.(\d)\.2\.", r"decoder.psp.blocks.\1.pool.1.1."),
        (r"head\.4\.", "segmentation_head.0."),
        (r"head\.", "decoder.conv."),
    ),
    "DeepLabV3": (
        *pyramid_rules("head.", "decoder.aspp."),
        (r"refine\.0\.", "decoder.conv."),
        (r"refine\.1\.", "decoder.bn."),
        (r"classify\.", "segmentation_head.0."),
    ),
    "DeepLabV3Plus": (
        (r"aspp\.branches\.([123])\.0\.", r"decoder.aspp.0.convs.\1.0.0."),  # depthwise
        (r"aspp\.branches\.([123])\.1\.0\.", r"decoder.aspp.0.convs.\1.0.1."),
        (r"aspp\.branches\.([123])\.1\.1\.", r"decoder.aspp.0.convs.\1.1."),
        *pyramid_rules("aspp.", "decoder.aspp.0."),
        (r"before_join\.0\.", "decoder.aspp.1.0."),
        (r"before_join\.1\.0\.", "decoder.aspp.1.1."),
        (r"before_join\.1\.1\.", "decoder.aspp.2."),
        (r"reduce\.", "decoder.block1."),
        (r"refine\.0\.", "decoder.block2.0.0."),
        (r"refine\.1\.0\.", "decoder.block2.0.1."),
        (r"refine\.1\.1\.", "decoder.block2.1."),
        (r"classify\.", "segmentation_head.0."),
    ),
}


def smp_network(name: str, state: Mapping[str, Tensor], wishes: Wishes, where: str) -> Foreign:
    """What computes the same as smp's network called `name` with these weights.

    Raises:
        ModelFileError: the weights lack tensors from which its size is read.
        SettingsError: an encoder that is neither a ResNet nor timm's, or settings that we have no form for.
    """
    _check_config(name, wishes.config)
    own = not any(key.startswith("encoder.model.") for key in state)
    prefix = "encoder." if own else "encoder.model."
    encoder = _encoder(state, wishes, own, where)

    def width(tensor: str) -> int:
        return len(tensor_of(state, tensor, where))

    spec = ModelSpec(
        NETWORKS[name],
        width("segmentation_head.0.weight"),
        state[f"{prefix}conv1.weight"].shape[1] if f"{prefix}conv1.weight" in state else 3,
        encoder,
        wishes.output_stride or wishes.config.get("encoder_output_stride") or {"DeepLabV3": 8, "DeepLabV3Plus": 16}.get(name, 32),
        _options(name, width, wishes.config, own) | dict(wishes.options),
    )
    deeper = ("encoder.layer3.", "encoder.layer4.") if name == "PSPNet" else ()
    return Foreign(
        spec,
        renamed([(r"encoder\.body\.", prefix), *RULES[name]]),
        unused=("classification_head.", *deeper),
        adjust=_map_first if name == "PSPNet" else lambda _state: None,
        imagenet="" if own else encoder,
    )


def _options(name: str, width: Any, config: Mapping[str, Any], own: bool) -> dict[str, Any]:
    """Those of our architecture."""
    if name == "Unet":
        channels = tuple(width(f"decoder.blocks.{index}.conv1.0.weight") for index in range(5))
        return {"channels": channels, "enlarge": config.get("decoder_interpolation", "nearest")}
    if name == "FPN":
        head = width("decoder.seg_blocks.0.block.0.block.0.weight")
        return {"form": "smp", "channels": width("decoder.p5.weight"), "head_channels": head, "dropout": 0.2}
    if name == "Linknet":
        return {"form": "smp"}
    if name == "PSPNet":
        return {"form": "smp", "channels": width("decoder.conv.0.weight"), "dropout": 0.2}
    rates = tuple(config.get("decoder_atrous_rates", (12, 24, 36)))
    options = {"rates": rates, "dilate_first": own, "dropout": 0.5, "align_corners": True}
    if name == "DeepLabV3":
        channels = width("decoder.aspp.convs.0.0.weight")
        return options | {"channels": channels, "head_conv": True, "multi_grid": (), "grow": False}
    return options | {"channels": width("decoder.aspp.0.convs.0.0.weight"), "form": "smp"}


def _encoder(state: Mapping[str, Tensor], wishes: Wishes, own: bool, where: str) -> str:
    """The name of the encoder in timm: as it was said, or read off the blocks of a ResNet."""
    named = wishes.encoder or wishes.config.get("encoder_name")
    if named is None and not own:
        raise SettingsError(
            f"{where} has an encoder of timm, and weights do not say which: name it by --encoder, such as resnet34 for smp's "
            "tu-resnet34."
        )
    name = str(named).removeprefix("tu-") if named else _resnet(state, where)
    if own and name not in RESNETS:
        raise SettingsError(
            f"smp's own encoder {name} has other tensors than timm's; those that can be imported are {', '.join(RESNETS)}, and "
            "any encoder that smp takes from timm (its names begin with tu-)."
        )
    return name


def _resnet(state: Mapping[str, Tensor], where: str) -> str:
    grouped = tensor_of(state, "encoder.layer1.0.conv2.weight", where).shape
    found = (re.match(r"encoder\.layer(\d)\.(\d+)\.conv(\d)", name) for name in state)
    units = {(match[1], match[2]) for match in found if match}
    depths = tuple(sum(stage == str(level) for stage, _ in units) for level in (1, 2, 3, 4))
    bottleneck = "encoder.layer1.0.conv3.weight" in state
    known = {
        (2, 2, 2, 2): "resnet18",
        (3, 4, 6, 3): "resnet50" if bottleneck else "resnet34",
        (3, 4, 23, 3): "resnet101",
        (3, 8, 36, 3): "resnet152",
    }
    groups = {(128, 4): "resnext50_32x4d", (256, 8): "resnext101_32x8d"}.get((grouped[0], grouped[1]))
    name = groups or known.get(depths)
    if name is None:
        raise ModelFileError(
            f"The encoder in {where} has {', '.join(map(str, depths))} units in its stages, which no ResNet that is known here "
            f"has: {', '.join(RESNETS)}."
        )
    return name


def _check_config(name: str, config: Mapping[str, Any]) -> None:
    """Refuse settings of smp that weights do not show and that we have no form for."""
    usual = {
        "encoder_depth": 3 if name == "PSPNet" else 5,
        "upsampling": {"FPN": 4, "PSPNet": 8, "DeepLabV3Plus": 4}.get(name),
        "decoder_interpolation": config.get("decoder_interpolation") if name == "Unet" else "nearest",
    }
    for setting, value in usual.items():
        if setting in config and config[setting] != value:
            raise SettingsError(
                f"This smp {name} was made with {setting}={config[setting]!r}; only {setting}={value!r} can be imported."
            )


def _map_first(state: dict[str, Tensor]) -> None:
    """Their grids stand before the map that was pooled, ours behind it; both have half of the channels."""
    weight = state["head.0.weight"]
    grids, pooled = weight.chunk(2, dim=1)
    state["head.0.weight"] = torch.cat([pooled, grids], dim=1)
