"""How a network is made, and made again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from intarsia.core import ClassSpace, IntarsiaError, SettingsError, Task, nearest_names, thing_ids_of
from intarsia.encoders import create_encoder
from intarsia.models._description import (
    FIGURES_CLASSES,
    FIGURES_THINGS,
    NETWORKS,
    ModelDescription,
    describe_model,
    network_catalog,
)

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ModelSpec", "classes_learnt", "create_model", "spec_of", "spec_to_count"]


@dataclass(frozen=True)
class ModelSpec:
    """All that it takes to make a network again; with its state dict it is the network.

    What is left out is filled in from the architecture at once, so that a stored spec does not change with its defaults.

    Args:
        name: of the architecture.
        num_classes: K of its logits; of an instance network T, the number of classes of things.
        in_channels: of the image.
        encoder: for architectures that take one: a name that `create_encoder` knows.
        output_stride: of that encoder.
        options: the architecture's own arguments. Plain values that JSON can hold; a list is taken as a tuple.
        thing_ids: of a panoptic network: which of the K classes are countable; of others none.

    Raises:
        UnknownNameError: no such architecture.
        SettingsError: an option that it does not have or a value that the option cannot have, an encoder for an architecture with
            its own trunk, less than one class or channel, thing ids for another task than panoptic or outside the classes.
    """

    name: str
    num_classes: int
    in_channels: int = 3
    encoder: str | None = None
    output_stride: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    thing_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        about = describe_model(self.name)
        for what, count in (("classes", self.num_classes), ("image channels", self.in_channels)):
            if count < 1:
                raise SettingsError(f"{self.name} cannot be made for {count} {what}; it needs at least one.")
        if about["encoder"] is None:
            self._refuse_encoder()
        object.__setattr__(self, "thing_ids", tuple(self.thing_ids))
        self._check_things(about["task"])
        options = {key: tuple(value) if isinstance(value, list) else value for key, value in self.options.items()}
        for option, value in options.items():
            _check_option(about, option, value)
        object.__setattr__(self, "encoder", self.encoder or about["encoder"])
        object.__setattr__(self, "output_stride", self.output_stride or about["output_stride"])
        object.__setattr__(self, "options", about["options"] | options)

    @property
    def task(self) -> Task:
        """What the architecture is trained for."""
        return network_catalog(self.name)[0]

    def _check_things(self, task: Task) -> None:
        if task != "panoptic" and self.thing_ids:
            raise SettingsError(
                f"{self.name} is a network for {task} segmentation; thing_ids are for panoptic ones. Leave them out."
            )
        if task == "panoptic" and not self.thing_ids:
            raise SettingsError(
                f"{self.name} needs to know which classes are countable things, and none is. Declare things in intarsia.toml, or "
                "give thing_ids."
            )
        if strange := [i for i in self.thing_ids if not 0 <= i < self.num_classes]:
            raise SettingsError(f"{self.name} was given the thing ids {strange}, outside its {self.num_classes} classes.")

    def _refuse_encoder(self) -> None:
        for what, value in (("encoder", self.encoder), ("output stride of an encoder", self.output_stride)):
            if value is not None:
                able = [name for name in NETWORKS[self.task].names if describe_model(name)["encoder"]]
                raise SettingsError(
                    f"{self.name} has its own trunk, and the {what} {value!r} was given. Leave it out"
                    + (f", or choose an architecture that takes an encoder: {', '.join(able)}." if able else ".")
                )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` reads them back to an equal spec."""
        return {
            "name": self.name,
            "num_classes": self.num_classes,
            "in_channels": self.in_channels,
            "encoder": self.encoder,
            "output_stride": self.output_stride,
            "options": {key: list(value) if isinstance(value, tuple) else value for key, value in self.options.items()},
            **({"thing_ids": list(self.thing_ids)} if self.thing_ids else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelSpec:
        """Inverse of `to_dict`."""
        return cls(**data)

    def build(self, *, encoder_weights: str = "none") -> nn.Module:
        """Make the network; only its trunk's weights can be other than random.

        Args:
            encoder_weights: "auto", "imagenet", "none" or a file, as in `create_encoder`; own trunks obey it too.

        Returns:
            The network, with the attributes `spec` (this) and `weights_note` (where the weights came from, in words).

        Raises:
            SettingsError: weights that cannot be had or do not fit, or options of which no network can be made.
        """
        from intarsia.encoders import load_weights

        if self.encoder is not None:
            encoder = create_encoder(
                self.encoder,
                in_channels=self.in_channels,
                output_stride=self.output_stride or 32,
                weights=encoder_weights,
            )
            network = self._construct(encoder=encoder)
            network.weights_note = encoder.weights_note
        else:
            network = self._construct(in_channels=self.in_channels)
            network.weights_note = (
                load_weights(network, encoder_weights) if hasattr(network, "imagenet") else self._no_weights(encoder_weights)
            )
        network.spec = self
        made: nn.Module = network
        return made

    def _construct(self, **trunk: Any) -> Any:
        """Call the architecture; what it or a layer in it cannot do with the options becomes a sentence about them."""
        architecture = network_catalog(self.name)[1].load(self.name)
        if self.thing_ids:
            trunk["thing_ids"] = self.thing_ids
        try:
            return architecture(num_classes=self.num_classes, **trunk, **self.options)
        except IntarsiaError:
            raise
        except (ValueError, TypeError, RuntimeError, IndexError, ArithmeticError) as error:
            defaults = describe_model(self.name)["options"]
            given = ", ".join(f"{key}={value!r}" for key, value in self.options.items() if value != defaults[key])
            instead = ", ".join(f"{key}={value!r}" for key, value in defaults.items() if value != self.options[key])
            raise SettingsError(
                f"{self.name} cannot be made with {given or 'its default options'}: {error}."
                + (f" The defaults: {instead}." if instead else "")
            ) from error

    def _no_weights(self, encoder_weights: str) -> str:
        if encoder_weights not in ("auto", "none"):
            raise SettingsError(
                f"There are no pretrained weights for {self.name}, and the encoder weights {encoder_weights!r} were asked for. "
                "Leave them out, or start from a model file."
            )
        return "random initialisation"


def create_model(
    name: str,
    *,
    classes: ClassSpace | Sequence[str] | None = None,
    num_classes: int | None = None,
    encoder: str | None = None,
    encoder_weights: str = "none",
    output_stride: int | None = None,
    in_channels: int = 3,
    thing_ids: Sequence[int] | None = None,
    **options: Any,
) -> nn.Module:
    """Make a network by the name of its architecture.

    Args:
        name: a file of `models.semantic`, `models.instance` or `models.panoptic`.
        classes: what it tells apart, or their names; an instance network is made for the things among them (`core.thing_ids_of`).
        num_classes: how many there are, where there are no names.
        encoder: for architectures that take one: a file of `intarsia.encoders`, or any timm model.
        encoder_weights: "auto", "imagenet", "none" or a file.
        output_stride: of the encoder's last feature: 8, 16 or 32.
        in_channels: of the image.
        thing_ids: of a panoptic network: which classes are things, where `classes` does not say it.
        options: the architecture's own arguments; `describe_model(name)["options"]` lists them.

    Returns:
        A network `(N, C, H, W) -> intarsia.core.Output`, with the attributes `spec` and `weights_note`.

    Raises:
        UnknownNameError: no such architecture or encoder.
        SettingsError: see `ModelSpec`; also no number of classes, or two that differ.
    """
    if isinstance(classes, str):
        raise SettingsError(f"`classes` is the text {classes!r}; a ClassSpace or a list of names is expected.")
    task, _ = network_catalog(name)
    space = classes if classes is None or isinstance(classes, ClassSpace) else ClassSpace.from_names(classes)
    known = None if space is None else classes_learnt(task, space)
    counts = {count for count in (known, num_classes) if count is not None}
    if len(counts) != 1:
        found = f"{known} classes and num_classes={num_classes} do not agree" if counts else "neither was given"
        raise SettingsError(f"A network needs `classes` or `num_classes`: {found}.")
    if thing_ids is None:
        thing_ids = space.thing_ids if task == "panoptic" and space is not None else ()
    spec = ModelSpec(name, counts.pop(), in_channels, encoder, output_stride, options, tuple(thing_ids))
    return spec.build(encoder_weights=encoder_weights)


def classes_learnt(task: Task, classes: ClassSpace) -> int:
    """How many classes a network for this task tells apart: all of them; for instances those of things."""
    return len(thing_ids_of(classes)) if task == "instance" else len(classes)


def spec_to_count(name: str, num_classes: int = FIGURES_CLASSES, *, things: int | None = None, **given: Any) -> ModelSpec:
    """The spec of a network that is only counted, whose classes have no names.

    Args:
        name: of the architecture.
        num_classes: how many it tells apart.
        things: how many of them, the last ones, are countable; for panoptic networks, of which 8 or all are where it is not said.
        given: what else `ModelSpec` takes.

    Raises:
        SettingsError: no network can be made of it.
    """
    if things is None:
        things = min(FIGURES_THINGS, num_classes) if network_catalog(name)[0] == "panoptic" else 0
    elif not 1 <= things <= num_classes:
        raise SettingsError(f"{things} of {num_classes} classes are to be countable things; give from 1 to {num_classes}.")
    return ModelSpec(name, num_classes, thing_ids=tuple(range(num_classes - things, num_classes)), **given)


def spec_of(network: nn.Module) -> ModelSpec:
    """The spec of a network that `create_model` or `ModelSpec.build` made.

    Raises:
        SettingsError: it was made otherwise.
    """
    spec = getattr(network, "spec", None)
    if not isinstance(spec, ModelSpec):
        raise SettingsError(
            f"This {type(network).__name__} does not say how it was made. Make it by `create_model`, which writes that down."
        )
    return spec


def _check_option(about: ModelDescription, option: str, value: Any) -> None:
    """Whether the architecture has the option, and whether the value is of its kind."""
    options, name = about["options"], about["name"]
    if option not in options:
        near = nearest_names(option, options)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        listed = ", ".join(f"{key}={default!r}" for key, default in options.items())
        raise SettingsError(f"{name} has no option {option!r}.{hint} Its options and their defaults: {listed or 'none'}.")
    choices, default = about["choices"].get(option), options[option]
    if choices and value not in (*choices, default):
        raise SettingsError(f"{name}'s option {option} can be {', '.join(map(repr, choices))}; {value!r} was given.")
    kinds = (int, float) if type(default) is float else (type(default),)
    if not choices and default is not None and type(value) not in kinds:
        raise SettingsError(f"{name}'s option {option} is of type {type(default).__name__}, as {default!r}; {value!r} was given.")
    if type(default) is int and default > 0 and value < 1:  # channels, levels, layers
        raise SettingsError(f"{name}'s option {option} is a whole number from 1 up, such as {default}; {value!r} was given.")
