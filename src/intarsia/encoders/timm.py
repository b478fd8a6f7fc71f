"""Any network of timm that gives its features.

Wightman: PyTorch Image Models (timm). 2019.

Source: timm's `features_only` models. What a model announces is not taken on trust: a small image is passed through, and the
features must have the channels and sizes that were announced.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import timm
import torch
from torch import Tensor

from intarsia.core import SettingsError, UnknownNameError, nearest_names
from intarsia.encoders._dilation import dilate
from intarsia.encoders._encoder import Encoder
from intarsia.encoders._weights import check_state, pretrained_state

__all__ = ["TimmEncoder"]

EXAMPLES = "resnet18, resnet50, resnet101, resnext50_32x4d, efficientnet_b0, mobilenetv2_100, mobilenetv3_large_100, xception65"
"""Encoders that work at every output stride."""


class TimmEncoder(Encoder):
    """A timm model as an encoder.

    Args:
        name: timm's name, such as "resnet18" or "resnet50.tv_in1k".
        in_channels: of the image. Pretrained weights of the first convolution are summed for one channel and repeated for more
            than three.
        output_stride: stride of the last feature; 8 and 16 replace strides by dilation (`intarsia.encoders._dilation`), or do as
            timm does where a layer is padded unevenly.
        weights: as in `intarsia.encoders.create_encoder`. The names and shapes in a file must be those of timm's classifier, its
            last layer aside.

    Raises:
        UnknownNameError: timm has no such model.
        SettingsError: an output stride that the model does not deliver, images of one size only, or weights that cannot be had.
    """

    def __init__(self, name: str, *, in_channels: int = 3, output_stride: int = 32, weights: str = "none") -> None:
        super().__init__()
        _check_name(name)
        self.name = name
        state, self.weights_note = pretrained_state(weights, name)
        if state is not None and weights not in ("auto", "imagenet"):
            _check_classifier_state(name, state)
        self.body, self.strides = _create(name, in_channels, output_stride, state)
        self.channels = tuple(self.body.feature_info.channels())
        if self.strides[-1] != output_stride:
            raise SettingsError(
                f"The encoder {name} does not work at output stride {output_stride}: its features have strides "
                f"{', '.join(map(str, self.strides))}. Encoders that do: {EXAMPLES}."
            )
        self.size_divisor = self._probe(in_channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        return list(self.body(image))

    @torch.no_grad()
    def _probe(self, in_channels: int) -> int:
        """The first of 1, the output stride and 32 whose multiples, as sizes of an image, give the announced features."""
        self.body.eval()
        coarsest = self.strides[-1]
        trouble = ""
        for divisor in sorted({1, coarsest, 32}):
            trouble = self._trouble(in_channels, divisor) or self._trouble(in_channels, divisor + coarsest)
            if not trouble:
                self.body.train()
                return divisor
        raise SettingsError(
            f"The encoder {self.name} does not take images of any size ({trouble}). Encoders that do: {EXAMPLES}."
        )

    def _trouble(self, in_channels: int, size: int) -> str:
        """What is wrong with the features of an image of this height and width; empty if nothing is."""
        image = torch.zeros(1, in_channels, size, size, device=next(self.body.parameters()).device)
        try:
            found = [tuple(feature.shape) for feature in self.body(image)]
        except Exception as error:  # a model that cannot take this size says so with errors of many kinds
            return str(error).split("\n")[0].rstrip(".")
        announced = [(1, channels, -(-size // s), -(-size // s)) for channels, s in zip(self.channels, self.strides, strict=True)]
        return "" if found == announced else f"features of shapes {found} come from {size} x {size} pixels"


def _check_name(name: str) -> None:
    try:
        timm.models.get_pretrained_cfg(name)
        known = timm.is_model(name)
    except RuntimeError:  # a tag that the model does not have
        known = False
    if not known:
        near = nearest_names(name, timm.list_models() + timm.list_models(pretrained=True))
        hint = f"Did you mean {' or '.join(repr(n) for n in near)}?" if near else f"Some that there are: {EXAMPLES}."
        raise UnknownNameError(f"There is no encoder called {name!r}. {hint} `timm.list_models()` lists all.")


def _check_classifier_state(name: str, state: Mapping[str, Tensor]) -> None:
    with torch.device("meta"):
        classifier: Any = timm.create_model(name)
    last = classifier.pretrained_cfg.get("classifier") or ()
    layers = (last,) if isinstance(last, str) else last
    check_state(classifier.state_dict(), state, f"the encoder {name}", ignore=[f"{layer}." for layer in layers])


def _create(name: str, in_channels: int, output_stride: int, state: Mapping[str, Tensor] | None) -> tuple[Any, tuple[int, ...]]:
    """The model and its features' strides. Pretrained weights are fitted to the image's channels by timm.

    timm's own dilation is the second choice: it is another function than the strided network where a shortcut is pooled (the "d"
    ResNets) or a stride is preceded by a blur.
    """
    options: dict[str, Any] = {"features_only": True, "in_chans": in_channels}
    if state is not None:
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": dict(state)}}
    model: Any = timm.create_model(name, **options)
    strides = tuple(model.feature_info.reduction())
    if output_stride >= strides[-1]:
        return model, strides
    side = 2 * strides[-1]
    image = torch.zeros(1, in_channels, side, side, device=next(model.parameters()).device)
    if dilate(model.eval(), image, output_stride):
        return model, tuple(min(stride, output_stride) for stride in strides)
    with suppress(TypeError, AssertionError, NotImplementedError):  # so timm's models say that they have no such option
        model = timm.create_model(name, output_stride=output_stride, **options)
    return model, tuple(model.feature_info.reduction())
