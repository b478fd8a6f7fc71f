"""A recipe: everything that decides what a training run does, as one TOML file that reproduces it.

What is left out is decided from the data and the machine before the first step; the recipe saved beside a run has it all
filled in. A recipe is a list of stages, since some papers train in several (FCN-32s, then 16s, then 8s): settings at the top
of the file hold for every stage, and a stage overrides them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w

from intarsia.core import SettingsError, UnknownNameError, nearest_names
from intarsia.core.whole_file import written_whole
from intarsia.recipes.stage import Stage, check_names

__all__ = ["Recipe", "load_recipe", "recipe_names"]


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

    def __post_init__(self) -> None:
        if not isinstance(self.seed, int) or self.seed < 0:
            raise SettingsError(f"seed is {self.seed!r}; it can be a whole number, 0 or greater.")
        if self.data is not None and not isinstance(self.data, str):
            raise SettingsError(f"data is {self.data!r}; it can be a text: a folder, or the name of a data set.")
        if self.stages[0].init == "previous":
            raise SettingsError(
                'The first stage has init "previous", and there is no stage before it. Name a model file, or none.'
            )

    def override(self, **settings: Any) -> Recipe:
        """The same recipe with these settings in every stage; None leaves a setting as it is.

        `options` and `loss_options` are merged, not replaced. `init` is where the training starts: a stage that goes on from the
        one before still does. `time_s` is for all stages together, an equal part for each.

        Raises:
            SettingsError: a setting that does not exist, or a value that it cannot have.
        """
        given = {name: value for name, value in settings.items() if value is not None}
        check_names(given, "The call")
        return replace(self, stages=tuple(_changed(stage, given, len(self.stages)) for stage in self.stages))

    def to_toml(self) -> str:
        """As TOML text; `Recipe.from_dict(tomllib.loads(text))` is equal to the recipe."""
        head = {"made_by": self.made_by, "data": self.data, "seed": self.seed}
        stages = [{name: value for name, value in asdict(stage).items() if value is not None} for stage in self.stages]
        return tomli_w.dumps({**{k: v for k, v in head.items() if v is not None}, "stages": stages})

    def save(self, path: Path) -> None:
        with written_whole(path) as partial:
            partial.write_text(self.to_toml(), encoding="utf-8")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, where: str = "The recipe") -> Recipe:
        """Read what `to_toml` wrote, or a recipe written by hand."""
        own = {"data", "seed", "made_by", "stages"}
        shared = {name: value for name, value in data.items() if name not in own}
        entries = data.get("stages", [{}])
        if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
            raise SettingsError(f"{where} has stages = {entries!r}; each stage is a table under a line [[stages]].")
        if not entries:
            raise SettingsError(f"{where} has no stage; leave `stages` out for a training in one go.")
        check_names([name for entry in (shared, *entries) for name in entry], where)
        try:
            stages = tuple(Stage(**{**shared, **entry}) for entry in entries)
            return cls(stages, data.get("data"), data.get("seed", 0), data.get("made_by"))
        except SettingsError as error:
            raise SettingsError(f"{where}: {error}") from None


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
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise SettingsError(f"{path} is not a TOML file, which is text in UTF-8: {error}.") from error
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


def _changed(stage: Stage, given: Mapping[str, Any], stages: int) -> Stage:
    """A stage out of so many with the settings given for the whole recipe."""
    changed = dict(given)
    if stage.init == "previous":
        changed.pop("init", None)
    for name in ("options", "loss_options"):
        if isinstance(given.get(name), Mapping):
            changed[name] = {**getattr(stage, name), **given[name]}
    if isinstance(given.get("time_s"), int | float):
        changed["time_s"] = given["time_s"] / stages
    return replace(stage, **changed)
