"""A stage: one training of one network, and what its settings can be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from intarsia.core import SettingsError, nearest_names

__all__ = ["Stage", "check_names"]

Rule = tuple[Callable[[Any], bool], str]


@dataclass(frozen=True)
class Stage:
    """One training of one network. None means: decide from the data and the machine.

    Args:
        model: name of an architecture.
        options: its own arguments, such as `{stride = 8}`.
        encoder, encoder_weights, output_stride: for architectures that take an encoder. Weights are "auto" (from the cache or the
            hub when reachable, else none), "imagenet", "none" or a file.
        init: a model file to start from, or "previous" for the stage before.
        imgsz: height and width of the box that images are scaled into before the network; see `training.plan.choose_sizes`.
        crop: height and width of the training crop; None: `imgsz`. Given without `imgsz`, images keep their own size.
        epochs, steps, time_s: length; optimizer steps are rounded up to whole epochs, and a time budget chooses the epochs.
        patience: epochs without a better mIoU before it stops; 0 never stops.
        batch: images that are in memory together.
        accumulate: batches whose gradients are averaged into one optimizer step.
        lr: peak learning rate.
        lr_factors: factors on it, by beginnings of the names of parameters; the longest that fits holds.
        bias_lr_factor: a further factor for parameters called bias.
        optimizer: "adamw", "adam", "sgd" or "rmsprop"; momentum, nesterov: of "sgd", momentum of "rmsprop" as well (None: 0).
        weight_decay: on weights of two or more dimensions, and with `decay_all` on biases and normalisations too.
        clip: largest norm of the gradient; None: any.
        schedule: after a linear warm-up over `warmup` of all steps: "poly" (1 - t)^power, "cosine", "constant", "step" (times
            `gamma` at each of `milestones`, shares of the training) or "exponential" (times `gamma` each epoch), never below
            `lr_min`.
        loss, loss_options: name of a loss and its arguments; or a table of names and weights, whose sum is the loss, and a table
            of arguments for each name.
        class_weights: "auto" (from the pixels of the training masks; none where the loss counts every class alike, as Dice does),
            "median_frequency" (Eigen & Fergus 2015), "log" (1 / ln(1.02 + share of the pixels), Paszke et al. 2016), "none", or
            one number for each class.
        scale, flip, color: the augmentation, see `data.transforms.Augmentation`.
        precision: "32", "bf16" or "16"; None is bf16 on hardware that has it, else 32.
        channels_last, compile: how the network is laid out and run.
        ema: decay of an exponential moving average of the weights, which is then what is evaluated and saved; None has none.
        frozen: beginnings of the names of parameters that stay as they are.
    """

    model: str = "unet"
    options: Mapping[str, Any] = field(default_factory=dict)
    encoder: str | None = None
    encoder_weights: str = "auto"
    output_stride: int | None = None
    init: str | None = None
    imgsz: tuple[int, int] | None = None
    crop: tuple[int, int] | None = None
    epochs: int | None = None
    steps: int | None = None
    time_s: float | None = None
    patience: int = 0
    batch: int | None = None
    accumulate: int = 1
    lr: float | None = None
    lr_factors: Mapping[str, float] = field(default_factory=dict)
    bias_lr_factor: float = 1.0
    optimizer: str = "adamw"
    momentum: float | None = None
    nesterov: bool = False
    weight_decay: float | None = None
    decay_all: bool = False
    clip: float | None = None
    schedule: str = "poly"
    power: float = 0.9
    gamma: float = 0.1
    milestones: tuple[float, ...] = ()
    lr_min: float = 0.0
    warmup: float = 0.05
    loss: str | Mapping[str, float] = "cross_entropy_dice"
    loss_options: Mapping[str, Any] = field(default_factory=dict)
    class_weights: str | tuple[float, ...] = "auto"
    scale: tuple[float, float] = (0.5, 2.0)
    flip: float = 0.5
    color: float = 0.3
    precision: str | None = None
    channels_last: bool = True
    compile: bool = False
    ema: float | None = None
    frozen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = _usual(entry.name, getattr(self, entry.name))
            object.__setattr__(self, entry.name, value)
            fits, words = RULES[entry.name]
            if value is not None and not fits(value):
                raise SettingsError(f"{entry.name} is {value!r}; it can be {words}.")


def check_names(names: Iterable[str], where: str) -> None:
    """Refuse settings that do not exist.

    Raises:
        SettingsError: with the nearest names.
    """
    for name in names:
        if name not in RULES:
            near = nearest_names(name, RULES)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise SettingsError(f"{where} has a setting {name!r} that does not exist.{hint} Known: {', '.join(RULES)}.")


def _usual(name: str, value: Any) -> Any:
    """One number for a square, lists as tuples and paths as texts, so that a stage is equal to what TOML gives back."""
    if name in ("imgsz", "crop") and isinstance(value, int):
        return value, value
    if isinstance(value, Path):
        return str(value)
    return tuple(value) if isinstance(value, list) else value


def _one_of(*choices: str) -> Rule:
    return lambda value: value in choices, ", ".join(choices)


def _number(fits: Callable[[Any], bool], words: str, kind: type = float) -> Rule:
    return lambda value: _is_number(value, kind) and fits(value), words


def _tuple_of(fits: Callable[[Any], bool], words: str, length: int | None = None) -> Rule:
    return lambda value: isinstance(value, tuple) and length in (None, len(value)) and all(map(fits, value)), words


def _is_number(value: Any, kind: type = float) -> bool:
    return isinstance(value, kind if kind is int else (int, float)) and not isinstance(value, bool)


def _weights_by_name(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(_is_number(weight) and weight > 0 for weight in value.values())


CLASS_WEIGHTS = ("auto", "median_frequency", "log", "none")
TEXT: Rule = (lambda value: isinstance(value, str), "a text")
TABLE: Rule = (lambda value: isinstance(value, Mapping), "a table of names and values")
FLAG: Rule = (lambda value: isinstance(value, bool), "true or false")
COUNT = _number(lambda n: n > 0, "a whole number greater than 0", int)
POSITIVE = _number(lambda x: x > 0, "a number greater than 0")
NOT_NEGATIVE = _number(lambda x: x >= 0, "a number, 0 or greater")
SHARE = _number(lambda x: 0 <= x < 1, "a share, from 0 to below 1")
SIZE = _tuple_of(lambda n: _is_number(n, int) and n > 0, "a height and a width, such as 360x480, or one number for a square", 2)
ZOOMS = _tuple_of(lambda x: _is_number(x) and x > 0, "", 2)
WEIGHTS = _tuple_of(lambda x: _is_number(x) and x >= 0, "")

RULES: dict[str, Rule] = {
    "model": TEXT,
    "options": TABLE,
    "encoder": TEXT,
    "encoder_weights": TEXT,
    "output_stride": COUNT,
    "init": TEXT,
    "imgsz": SIZE,
    "crop": SIZE,
    "epochs": COUNT,
    "steps": COUNT,
    "time_s": POSITIVE,
    "patience": _number(lambda n: n >= 0, "a whole number, 0 or greater", int),
    "batch": COUNT,
    "accumulate": COUNT,
    "lr": POSITIVE,
    "lr_factors": (
        lambda value: isinstance(value, Mapping) and all(_is_number(x) and x >= 0 for x in value.values()),
        "a table of beginnings of parameter names and factors",
    ),
    "bias_lr_factor": NOT_NEGATIVE,
    "optimizer": _one_of("adamw", "adam", "sgd", "rmsprop"),
    "momentum": SHARE,
    "nesterov": FLAG,
    "weight_decay": NOT_NEGATIVE,
    "decay_all": FLAG,
    "clip": POSITIVE,
    "schedule": _one_of("poly", "cosine", "constant", "step", "exponential"),
    "power": POSITIVE,
    "gamma": _number(lambda x: 0 < x <= 1, "a factor, greater than 0 and at most 1"),
    "milestones": _tuple_of(lambda x: _is_number(x) and 0 < x < 1, "shares of the training, each between 0 and 1"),
    "lr_min": NOT_NEGATIVE,
    "warmup": SHARE,
    "loss": (
        lambda value: isinstance(value, str) or _weights_by_name(value),
        "the name of a loss, or a table of names and weights greater than 0",
    ),
    "loss_options": TABLE,
    "class_weights": (
        lambda value: value in CLASS_WEIGHTS or (value != () and WEIGHTS[0](value)),
        f"{', '.join(CLASS_WEIGHTS)}, or a number for each class",
    ),
    "scale": (
        lambda value: ZOOMS[0](value) and value[0] <= value[1],
        "the smallest and the largest zoom, both greater than 0",
    ),
    "flip": _number(lambda x: 0 <= x <= 1, "a probability, from 0 to 1"),
    "color": NOT_NEGATIVE,
    "precision": _one_of("32", "bf16", "16"),
    "channels_last": FLAG,
    "compile": FLAG,
    "ema": _number(lambda x: 0 < x < 1, "a decay between 0 and 1, such as 0.999"),
    "frozen": _tuple_of(lambda part: isinstance(part, str), "a list of texts"),
}
"""What a setting can be besides None, as a check and in words."""
