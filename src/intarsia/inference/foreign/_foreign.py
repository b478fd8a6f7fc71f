"""A network of another library in our terms."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from intarsia.core import IntarsiaError, ModelFileError
from intarsia.encoders import check_state
from intarsia.models import ModelSpec

__all__ = ["RESNETS", "Foreign", "Rules", "Wishes", "fill", "pyramid_rules", "renamed", "tensor_of"]

Rules = Sequence[tuple[str, str]]
"""Patterns at the beginning of our names, and what stands there in theirs."""

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d")
"""timm's ResNets whose tensors have the same names and meaning in torchvision."""


@dataclass(frozen=True)
class Wishes:
    """What a checkpoint does not say.

    Args:
        encoder: as in `intarsia.models.create_model`.
        output_stride: of the encoder.
        options: of our architecture.
        model: architecture of ours that takes the weights of a classifier.
        num_classes: of that architecture.
        config: what the other library wrote beside the weights.
    """

    encoder: str | None = None
    output_stride: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    num_classes: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    def with_config(self, config: Mapping[str, Any]) -> Wishes:
        return replace(self, config=config)


@dataclass(frozen=True)
class Foreign:
    """A network of another library in our terms.

    Args:
        spec: the network of ours that computes the same.
        name_of: from the name of a tensor of ours to its name in the checkpoint.
        unused: beginnings of names in the checkpoint of which our network has no use.
        adjust: changes tensors of ours, in their names, after they were taken over as they stand.
        class_names: of its scores, if they are known.
        imagenet: timm's name of the classifier whose normalisation of images it expects; "" is the usual one.
    """

    spec: ModelSpec
    name_of: Callable[[str], str]
    unused: tuple[str, ...] = ()
    adjust: Callable[[dict[str, Tensor]], None] = lambda _state: None
    class_names: tuple[str, ...] | None = None
    imagenet: str = ""


def fill(foreign: Foreign, state: Mapping[str, Tensor], owner: str) -> nn.Module:
    """Make the network of ours and give it the weights, which should be those of `owner`.

    Raises:
        ModelFileError: tensors that are missing, too many or of another shape, by their names in the checkpoint.
    """
    network = foreign.spec.build()
    theirs = {ours: foreign.name_of(ours) for ours in network.state_dict()}
    expected = {theirs[ours]: tensor for ours, tensor in network.state_dict().items()}
    try:
        check_state(expected, state, owner, ignore=foreign.unused)
    except IntarsiaError as error:
        raise ModelFileError(str(error)) from error
    taken = {ours: state[name] for ours, name in theirs.items() if name in state}
    foreign.adjust(taken)
    network.load_state_dict(taken, strict=False)  # names are checked; only counters of batch normalisation may be absent
    return network.eval()


def renamed(rules: Rules) -> Callable[[str], str]:
    """A function that applies the first rule whose pattern fits."""
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]

    def name_of(ours: str) -> str:
        for pattern, replacement in compiled:
            if found := pattern.match(ours):
                return found.expand(replacement) + ours[found.end() :]
        return ours

    return name_of


def pyramid_rules(ours: str, theirs: str) -> Rules:
    """Our atrous pyramid in the names of torchvision, which others took over."""
    ours = re.escape(ours)
    return (
        (rf"{ours}branches\.4\.conv\.", f"{theirs}convs.4.1."),
        (rf"{ours}branches\.4\.norm\.", f"{theirs}convs.4.2."),
        (rf"{ours}branches\.", f"{theirs}convs."),
        (rf"{ours}project\.", f"{theirs}project."),
    )


def tensor_of(state: Mapping[str, Tensor], name: str, where: str) -> Tensor:
    """A tensor that every checkpoint of this kind has.

    Raises:
        ModelFileError: it is not there.
    """
    if name not in state:
        some = ", ".join(sorted(state)[:3])
        raise ModelFileError(
            f"{where} has no tensor {name}, which every such network has; it holds {len(state)} tensors, such as {some}. It "
            "probably belongs to another architecture or library: say which by --from."
        )
    return state[name]
