"""Decoders by name: `decode_NAME` in `NAME.py`, from a network's output for one image to its objects or segments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from intarsia.core import Catalog, SettingsError, nearest_names

__all__ = ["Decoder", "create_decoder", "decoder_options"]

Decoder = Callable[..., Any]
"""`(logits, parts, size_hw, *, scale_yx, ...)` of arrays, for one image.

logits: the network's, without the axis of images: (C, H, W) at the size that is wanted, or what a detector has.
parts: its further outputs by name: maps (C, H, W) likewise, and a detector's boxes, classes, scores and mask grids.
size_hw: of the image as the network saw it, in whose pixels boxes are.
scale_yx: from there to the size that is wanted.

Returns `(InstanceMasks, class_index, score)`, or `(ids, segments)` of a panoptic map.
"""

_GIVEN = ("scale_yx", "thing_ids", "num_classes")
"""Keywords that the caller gives, and nobody sets."""

_SHARES = ("_score", "threshold", "_overlap", "_alike")
"""How options that lie in [0, 1] end."""


def create_decoder(name: str, options: Mapping[str, Any] | None = None) -> Decoder:
    """The decoder in the file called `name`, with these options.

    Raises:
        SettingsError: an option that it does not have, or a value of another kind than its default or outside its range.
    """
    options = dict(options or {})
    known = decoder_options(name)
    for option, value in options.items():
        if option not in known:
            near = nearest_names(option, known)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            listed = ", ".join(f"{key}={default!r}" for key, default in known.items())
            raise SettingsError(
                f"Objects are decoded by {name}, which has no option {option!r}.{hint} Its options and their defaults: "
                f"{listed or 'none'}."
            )
        default = known[option]
        kinds = (int, float) if type(default) is float else (type(default),)
        if default is not None and type(value) not in kinds:
            raise SettingsError(
                f"The option {option} of {name} is of type {type(default).__name__}, as {default!r}; {value!r} was given."
            )
        if option.endswith(_SHARES) and not 0 <= value <= 1:
            raise SettingsError(f"The option {option} of {name} is {value}; it lies from 0 to 1, such as {default}.")
    return partial(_load(name), **options)


def decoder_options(name: str) -> dict[str, Any]:
    """The options of the decoder in the file called `name`, and their defaults."""
    parameters = inspect.signature(_load(name)).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in _GIVEN}


def _load(name: str) -> Decoder:
    decoder: Decoder = getattr(Catalog("decoder", "intarsia.postprocess").module(name), f"decode_{name}")
    return decoder
