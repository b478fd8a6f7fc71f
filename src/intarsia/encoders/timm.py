"""Any network of timm that gives its features.

Wightman: PyTorch Image Models (timm). 2019.

Source: timm's `features_only` models. What a model announces is not taken on trust: a small image is passed through, and the
features must have the channels and sizes that were announced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import timm
import torch
from torch import Tensor

from intarsia.core import SettingsError, UnknownNameError, nearest_names
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
        output_stride: stride of the last feature; 8 and 16 replace strides by dilation where timm can.
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
        self.body = _create(name, in_channels, output_stride, state)
        self.channels = tuple(self.body.feature_info.channels())
        self.strides = tuple(self.body.feature_info.reduction())
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
        """1 if an image of odd size gives features of the announced size, rounded up; else the divisor for which they are."""
        self.body.eval()
        coarsest = self.strides[-1]
        trouble = ""
        for size, divisor in ((coarsest + 1, 1), (2 * coarsest, coarsest)):
            image = torch.zeros(1, in_channels, size, size, device=next(self.body.parameters()).device)
            try:
                found = [tuple(feature.shape) for feature in self.body(image)]
            except Exception as error:  # a model that cannot take this size says so with errors of many kinds
                trouble = str(error).split("\n")[0].rstrip(".")
                continue
            if found == [
                (1, channels, -(-size // s), -(-size // s)) for channels, s in zip(self.channels, self.strides, strict=True)
            ]:
                self.body.train()
                return divisor
            trouble = f"features of shapes {found} come from {size} x {size} pixels"
        raise SettingsError(
            f"The encoder {self.name} does not take images of any size ({trouble}). Encoders that do: {EXAMPLES}."
        )


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


def _create(name: str, in_channels: int, output_stride: int, state: Mapping[str, Tensor] | None) -> Any:
    """The model, with dilation for strides where timm can. Pretrained weights are fitted to the image's channels by timm."""
    options: dict[str, Any] = {"features_only": True, "in_chans": in_channels}
    if state is not None:
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": dict(state)}}
    if output_stride != 32:
        try:
            return timm.create_model(name, output_stride=output_stride, **options)
        except (TypeError, AssertionError, NotImplementedError):
            pass  # so timm's models say that they have no such option
    return timm.create_model(name, **options)
