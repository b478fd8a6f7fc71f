"""What `train` does for a classical method that learns: fit it to the training images, without torch or Lightning."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import tomli_w

from intarsia.classical import describe_method, fit_method, need_learned
from intarsia.core import DataError, Dataset, Sample, SettingsError
from intarsia.core.whole_file import written_whole
from intarsia.recipes import Recipe, Stage
from intarsia.recipes.run_files import BEST, CHECK, RECIPE
from intarsia.workflow.run_folder import RunFolder

if TYPE_CHECKING:
    from rich.console import Console

    from intarsia.data.check import Check

__all__ = ["fit", "refuse_network_settings"]


def refuse_network_settings(plan: Recipe, *, resume: bool, **machine: Any) -> None:
    """Refuse what makes sense for networks only, before any data are read.

    Args:
        plan: whose model is a classical method.
        resume: whether an interrupted run was to go on.
        **machine: arguments of `train` about machines, each with what was given where that is not the default.

    Raises:
        SettingsError: with the settings that do not apply, or for a method that learns nothing.
    """
    stage, usual = plan.stages[0], Stage()
    need_learned(stage.model)
    if len(plan.stages) > 1:
        raise SettingsError(f"{stage.model} is fitted in one go, and the recipe has {len(plan.stages)} stages. Keep one.")
    if resume:
        raise SettingsError(f"{stage.model} is fitted in one go, and there is nothing to resume: start again with --overwrite.")
    own = ("model", "options")
    changed = [f.name for f in fields(Stage) if f.name not in own and getattr(stage, f.name) != getattr(usual, f.name)]
    changed += [name for name, value in machine.items() if value]
    if changed:
        raise SettingsError(
            f"{stage.model} is fitted without a network, on the processor; {', '.join(changed)} is for networks. Leave it out. "
            f"Its own options are given by --set: {', '.join(_options(stage.model))}."
        )
    if "rng" in stage.options:
        raise SettingsError("The seed of a run is given by --seed; leave rng out.")


def fit(plan: Recipe, dataset: Dataset, run: RunFolder, *, checked: Check | None, console: Console) -> Recipe:
    """Fit the method of the plan, leave model file, recipe and check in the run's folder, and return the recipe, filled in.

    Raises:
        DataError: no training image, or truths that do not give each pixel a class.
    """
    from intarsia.data.stats import fingerprint
    from intarsia.inference import write_method

    (stage,) = plan.stages
    if not dataset.splits.get("train"):
        raise DataError(f"{dataset.name} has no training images: its splits are {', '.join(dataset.splits) or 'none'}.")
    started = time.perf_counter()
    options = {**_options(stage.model), **stage.options}
    fitted = fit_method(stage.model, _samples(dataset, console), dataset.classes, rng=plan.seed, **options)
    said = f"fitted in {time.perf_counter() - started:.1f} s. {fitted.note}"
    console.print(said, highlight=False, markup=False, emoji=False, soft_wrap=True)
    plan = replace(plan, stages=(replace(stage, options=options),))
    text = _to_toml(plan)
    run.clear()
    run.path.mkdir(parents=True, exist_ok=True)
    with written_whole(run.path / RECIPE) as partial:
        partial.write_text(text, encoding="utf-8")
    if checked is not None:
        checked.save(run.path / CHECK)
    known_by = fingerprint(dataset)
    write_method(run.path / BEST, fitted, {"data": dataset.name, "data_fingerprint": known_by, "recipe": text})
    return plan


def _options(method: str) -> dict[str, Any]:
    """Its options and their defaults, but for the seed, which is the run's."""
    return {name: value for name, value in describe_method(method)["options"].items() if name != "rng"}


def _samples(dataset: Dataset, console: Console) -> Iterator[Sample]:
    from rich.progress import track

    keys = dataset.splits["train"]
    for key in track(keys, "reading", console=console, transient=True, disable=not console.is_terminal):
        yield dataset.read(key)


def _to_toml(plan: Recipe) -> str:
    """The recipe without settings of networks; `load_recipe` reads it back to an equal one."""
    (stage,) = plan.stages
    head = {"made_by": plan.made_by, "data": plan.data, "seed": plan.seed, "model": stage.model}
    options = {name: value for name, value in stage.options.items() if value is not None}
    return tomli_w.dumps({**{name: value for name, value in head.items() if value is not None}, "options": options})
