"""A recipe: everything that decides what a training run does, as one TOML file that reproduces it.

What is left out is decided from the data and the machine before the first step; the recipe saved beside a run has it all
filled in. A recipe is a list of stages, since some papers train in several (FCN-32s, then 16s, then 8s): settings at the top
of the file hold for every stage, and a stage overrides them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w

from intarsia.core import SettingsError, UnknownNameError, nearest_names

__all__ = ["Recipe", "Stage", "load_recipe", "recipe_names"]

SCHEDULES = ("poly", "cosine", "constant")
OPTIMIZERS = ("adamw", "sgd")
PRECISIONS = ("32", "bf16", "16")


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
        crop: height and width of the training crop; None: `imgsz`.
        epochs, time_s: length; a time budget chooses the epochs.
        patience: epochs without a better mIoU before it stops; 0 never stops.
        batch: images a step.
        lr: peak learning rate.
        optimizer: "adamw" or "sgd" (momentum 0.9).
        weight_decay: on weights of two or more dimensions; biases and normalisations have none.
        schedule: "poly" (power 0.9), "cosine" or "constant", after a linear warm-up over `warmup` of all steps.
        loss, loss_options: name of a loss and its arguments.
        class_weights: "auto" (from the pixels of the training masks), "none", or one number for each class.
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
    time_s: float | None = None
    patience: int = 0
    batch: int | None = None
    lr: float | None = None
    optimizer: str = "adamw"
    weight_decay: float | None = None
    schedule: str = "poly"
    warmup: float = 0.05
    loss: str = "cross_entropy_dice"
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
        for name, known in (("schedule", SCHEDULES), ("optimizer", OPTIMIZERS), ("precision", PRECISIONS)):
            value = getattr(self, name)
            if value is not None and value not in known:
                raise SettingsError(f"{name} is {value!r}; it can be {', '.join(known)}.")
        for name in ("epochs", "batch", "lr", "time_s"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise SettingsError(f"{name} is {value}; it must be greater than 0.")
        for name in ("imgsz", "crop"):
            value = getattr(self, name)
            if value is not None and (len(value) != 2 or min(value) < 1):
                raise SettingsError(f"{name} is {value}; it is a height and a width, such as 360x480.")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise SettingsError(f"scale is {self.scale}; it is the smallest and the largest zoom, both greater than 0.")
        if self.ema is not None and not 0 < self.ema < 1:
            raise SettingsError(f"ema is {self.ema}; a decay lies between 0 and 1, such as 0.999.")
        if not 0 <= self.warmup < 1:
            raise SettingsError(f"warmup is {self.warmup}; it is a share of all steps, from 0 to below 1.")


@dataclass(frozen=True)
class Recipe:
    """The stages of a run, the data and the seed.

    Args:
        stages: at least one.
        data: what `open_dataset` takes; None in recipes that hold for any data.
        seed: of everything random.
        made_by: version of Intarsia that wrote it.
    """

    stages: tuple[Stage, ...]
    data: str | None = None
    seed: int = 0
    made_by: str | None = None

    def override(self, **settings: Any) -> Recipe:
        """The same recipe with these settings in every stage; None leaves a setting as it is.

        `options` and `loss_options` are merged, not replaced.
        """
        given = {name: value for name, value in settings.items() if value is not None}

        def change(stage: Stage) -> Stage:
            merged: dict[str, Any] = {
                name: {**getattr(stage, name), **value} if isinstance(value, Mapping) else value for name, value in given.items()
            }
            return replace(stage, **merged)

        return replace(self, stages=tuple(change(stage) for stage in self.stages))

    def to_toml(self) -> str:
        """As TOML text; `Recipe.from_dict(tomllib.loads(text))` is equal to the recipe."""
        head = {"made_by": self.made_by, "data": self.data, "seed": self.seed}
        stages = [{name: value for name, value in asdict(stage).items() if value is not None} for stage in self.stages]
        return tomli_w.dumps({**{k: v for k, v in head.items() if v is not None}, "stages": stages})

    def save(self, path: Path) -> None:
        path.write_text(self.to_toml(), encoding="utf-8")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, where: str = "The recipe") -> Recipe:
        """Read what `to_toml` wrote, or a recipe written by hand."""
        own = {"data", "seed", "made_by", "stages"}
        shared = {name: value for name, value in data.items() if name not in own}
        stages = tuple(_stage({**shared, **entry}, where) for entry in data.get("stages", [{}]))
        if not stages:
            raise SettingsError(f"{where} has no stage; leave `stages` out for a training in one go.")
        return cls(stages, data.get("data"), int(data.get("seed", 0)), data.get("made_by"))


def load_recipe(name: str | Path) -> Recipe:
    """Read a recipe file, or one that comes with Intarsia by its name.

    Raises:
        UnknownNameError: neither a file nor a known name.
        SettingsError: not TOML, or a setting that does not exist.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.exists():
        if not path.is_file():
            raise SettingsError(f"There is no recipe at {path}. A run keeps its own as recipe.toml in its folder.")
        text = path.read_text(encoding="utf-8")
    elif str(name) in recipe_names():
        text = resources.files("intarsia.recipes").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    else:
        near = nearest_names(str(name), recipe_names())
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UnknownNameError(f"There is no recipe called {str(name)!r}.{hint} Known: {', '.join(recipe_names())}, or a file.")
    try:
        return Recipe.from_dict(tomllib.loads(text), where=str(name))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{name} is not a TOML file: {error}.") from error


def recipe_names() -> tuple[str, ...]:
    """Names of the recipes that come with Intarsia."""
    files = resources.files("intarsia.recipes").iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def _stage(entry: Mapping[str, Any], where: str) -> Stage:
    known = [f.name for f in fields(Stage)]
    for name in entry:
        if name not in known:
            near = nearest_names(name, known)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise SettingsError(f"{where} has a setting {name!r} that does not exist.{hint} Known: {', '.join(known)}.")
    settings: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
    try:
        return Stage(**settings)
    except TypeError as error:
        raise SettingsError(f"{where} has a setting of the wrong type: {error}.") from error
