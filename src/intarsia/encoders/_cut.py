"""The fine part of an encoder alone."""

from __future__ import annotations

from timm.models import FeatureListNet

from intarsia.core import SettingsError
from intarsia.encoders._encoder import Encoder

__all__ = ["cut_encoder"]


def cut_encoder(encoder: Encoder, stride: int) -> None:
    """Leave out all that an encoder has behind its first feature of a stride; in place.

    Raises:
        SettingsError: there is no such feature, or the encoder is not a sequence of stages, as a ResNet is.
    """
    body = getattr(encoder, "body", None)
    if stride not in encoder.strides or not isinstance(body, FeatureListNet):
        raise SettingsError(
            f"This {type(encoder).__name__} with strides {', '.join(map(str, encoder.strides))} cannot end at stride {stride}. "
            "Choose one such as resnet34."
        )
    count = encoder.strides.index(stride) + 1
    ends = list(body.return_layers.items())[:count]
    layers = list(body)
    for layer in layers[layers.index(ends[-1][0]) + 1 :]:
        del body[layer]
    body.return_layers = dict(ends)
    encoder.channels, encoder.strides = encoder.channels[:count], encoder.strides[:count]
