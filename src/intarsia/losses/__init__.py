"""Losses: one file each, a function and a thin Module. `create_loss` makes one by name; torch is imported only then."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from intarsia.core import Catalog, SettingsError, nearest_names

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["LOSSES", "counts_classes_alike", "create_loss", "takes_class_weight"]

LOSSES = Catalog("loss", "intarsia.losses")


def create_loss(name: str, *, ignore_id: int, class_weight: Sequence[float] | Tensor | None = None, **options: Any) -> nn.Module:
    """Make the loss called `name`: a Module whose forward takes logits (N, K, H, W) and label (N, H, W).

    Args:
        name: a file of `intarsia.losses`, such as "cross_entropy".
        ignore_id: label value of pixels without truth.
        class_weight: (K,) weight of each class, for the losses that take one.
        options: further keyword arguments of that loss.

    Raises:
        UnknownNameError: no such loss.
        SettingsError: an option that this loss does not have, or a class weight where it takes none.
    """
    loss = LOSSES.load(name)
    known = [option for option in _parameters(name) if option not in ("ignore_id", "class_weight")]
    for option in options:
        if option not in known:
            near = nearest_names(option, known)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise SettingsError(f"The loss {name!r} has no option {option!r}.{hint} Its options: {', '.join(known) or 'none'}.")
    if class_weight is not None:
        if not takes_class_weight(name):
            able = [other for other in LOSSES.names if takes_class_weight(other)]
            raise SettingsError(
                f"The loss {name!r} takes no class weights, and {len(class_weight)} were given. Leave them out, or use "
                f"one that takes them: {', '.join(able)}."
            )
        options["class_weight"] = class_weight
    module: nn.Module = loss(ignore_id=ignore_id, **options)
    return module


def takes_class_weight(name: str) -> bool:
    """Whether the loss called `name` weighs classes."""
    return "class_weight" in _parameters(name)


def counts_classes_alike(name: str) -> bool:
    """Whether the loss called `name` averages over classes, as Dice does, so that a rare class weighs as much as a common one."""
    return bool(getattr(LOSSES.load(name), "COUNTS_CLASSES_ALIKE", False))


def _parameters(name: str) -> list[str]:
    return list(inspect.signature(LOSSES.load(name)).parameters)
