"""Losses: one file each, a function and a thin Module. `create_loss` makes one by name; torch is imported only then.

A second kind trains instance and panoptic networks: functions of (Output, targets) in files that say `OBJECT_LOSS = True`, which
`object_loss` gives.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from intarsia.core import Catalog, SettingsError, nearest_names

if TYPE_CHECKING:
    from torch import Tensor, nn

    from intarsia.core import Output

__all__ = [
    "LOSSES",
    "TARGET_LOSSES",
    "counts_classes_alike",
    "create_loss",
    "is_object_loss",
    "loss_targets",
    "object_loss",
    "takes_class_weight",
    "target_loss",
]

LOSSES = Catalog("loss", "intarsia.losses")
TARGET_LOSSES = {"presence": "class_presence", "touching_borders": "boundary_aware"}
"""What an auxiliary head is trained with that learns another target than the label."""


def create_loss(
    name: str | Mapping[str, float],
    *,
    ignore_id: int,
    class_weight: Sequence[float] | Tensor | None = None,
    **options: Any,
) -> nn.Module:
    """Make the loss called `name`: a Module whose forward takes logits (N, K, H, W) and label (N, H, W).

    Where a pixel can have several classes, the label is (N, K, H, W) of 0 and 1, and all but Lovász-softmax take it.

    A loss that needs more than the label says so in `TARGETS`, names of `intarsia.data.targets`, which it takes as keywords.

    Args:
        name: a file of `intarsia.losses`, such as "cross_entropy"; or names and weights, for the weighted sum. Then class weights
            go to those that take them, and `options` holds a table for each name.
        ignore_id: label value of pixels without truth.
        class_weight: (K,) weight of each class, for the losses that take one.
        options: further keyword arguments of that loss.

    Raises:
        UnknownNameError: no such loss.
        SettingsError: an option that this loss does not have, or a class weight where it takes none.
    """
    if not isinstance(name, str):
        return _create_sum(name, ignore_id, class_weight, options)
    loss = LOSSES.load(name)
    if name in TARGET_LOSSES.values():
        raise SettingsError(f"The loss {name!r} trains an auxiliary head of the networks that have one; it takes no label map.")
    if is_object_loss(name):
        raise SettingsError(f"The loss {name!r} trains networks that find objects, each its own; it takes no label map.")
    _check_options(name, options, [option for option in _parameters(name) if option not in ("ignore_id", "class_weight")])
    if class_weight is not None:
        if not takes_class_weight(name):
            able = [other for other in LOSSES.names if not is_object_loss(other) and takes_class_weight(other)]
            raise SettingsError(
                f"The loss {name!r} takes no class weights, and {len(class_weight)} were given. Leave them out, or use "
                f"one that takes them: {', '.join(able)}."
            )
        options["class_weight"] = class_weight
    module: nn.Module = loss(ignore_id=ignore_id, **options)
    return module


def _create_sum(
    weights: Mapping[str, float], ignore_id: int, class_weight: Sequence[float] | Tensor | None, options: Mapping[str, Any]
) -> nn.Module:
    from intarsia.losses._weighted_sum import WeightedSum

    if stray := [name for name in options if name not in weights]:
        raise SettingsError(
            f"The loss is the sum of {', '.join(weights)}, and options were given for {stray[0]!r}. Give a table of options for "
            "each name."
        )
    if class_weight is not None and not takes_class_weight(weights):
        raise SettingsError(f"None of the losses {', '.join(weights)} takes class weights, and {len(class_weight)} were given.")
    terms = {}
    for name in weights:
        own = class_weight if takes_class_weight(name) else None
        terms[name] = create_loss(name, ignore_id=ignore_id, class_weight=own, **options.get(name, {}))
    return WeightedSum(terms, weights)


def is_object_loss(name: str) -> bool:
    """Whether the loss called `name` is one of instance or panoptic networks: not of logits and label, but of what each needs."""
    return bool(getattr(LOSSES.module(name), "OBJECT_LOSS", False))


def object_loss(name: str, **options: Any) -> Callable[[Output, Mapping[str, Tensor]], dict[str, Tensor]]:
    """The loss of the instance or panoptic networks that name it in `LOSS`: scalar terms by name, whose sum is learnt from.

    Args:
        name: a file of `intarsia.losses` with `OBJECT_LOSS = True`.
        options: further keyword arguments of that loss.

    Raises:
        UnknownNameError: no such loss.
        SettingsError: a loss of label maps, or an option that this loss does not have.
    """
    if not is_object_loss(name):
        able = ", ".join(known for known in LOSSES.names if is_object_loss(known))
        raise SettingsError(f"The loss {name!r} learns from label maps; networks that find objects have their own: {able}.")
    function = getattr(LOSSES.module(name), f"{name}_loss")
    _check_options(name, options, list(inspect.signature(function).parameters)[2:])
    return partial(function, **options)


def target_loss(target: str) -> nn.Module:
    """The loss of an auxiliary head that learns `target`: a Module whose forward takes its logits and the target.

    Raises:
        SettingsError: no loss is known for such a target.
    """
    if target not in TARGET_LOSSES:
        raise SettingsError(f"There is no loss for the target {target!r}; known: {', '.join(TARGET_LOSSES)}.")
    made: nn.Module = LOSSES.load(TARGET_LOSSES[target])()
    return made


def loss_targets(loss: nn.Module) -> tuple[str, ...]:
    """Names of `intarsia.data.targets` that the forward of this loss takes as keywords."""
    return tuple(getattr(loss, "TARGETS", ()))


def takes_class_weight(name: str | Mapping[str, float]) -> bool:
    """Whether the loss called `name`, or one in the sum, weighs classes."""
    return any("class_weight" in _parameters(one) for one in _names(name))


def counts_classes_alike(name: str | Mapping[str, float]) -> bool:
    """Whether the loss called `name`, or one in the sum, averages over classes, as Dice does, so that none is forgotten."""
    return any(getattr(LOSSES.load(one), "COUNTS_CLASSES_ALIKE", False) for one in _names(name))


def _check_options(name: str, options: Iterable[str], known: Sequence[str]) -> None:
    for option in options:
        if option not in known:
            near = nearest_names(option, known)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise SettingsError(f"The loss {name!r} has no option {option!r}.{hint} Its options: {', '.join(known) or 'none'}.")


def _names(name: str | Mapping[str, float]) -> tuple[str, ...]:
    return (name,) if isinstance(name, str) else tuple(name)


def _parameters(name: str) -> list[str]:
    return list(inspect.signature(LOSSES.load(name)).parameters)
