"""train: a data set in, a run folder with a measured model out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intarsia import __version__
from intarsia.core import Dataset, SettingsError
from intarsia.recipes import Recipe, Stage, load_recipe

if TYPE_CHECKING:
    from rich.console import Console

    from intarsia.evaluation import Evaluation

__all__ = ["Run", "train"]

BEST, RESUME, RECIPE = "best.safetensors", "last.ckpt", "recipe.toml"


@dataclass(frozen=True)
class Run:
    """What a training left behind.

    out: the run's folder.
    best: the best model file.
    recipe: with every setting filled in.
    evaluation: of the best model on the validation images, at their own size.
    report: the HTML page.
    """

    out: Path
    best: Path
    recipe: Recipe
    evaluation: Evaluation
    report: Path


def train(
    data: str | Path | Dataset | None = None,
    *,
    recipe: str | Path | Recipe | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    seed: int | None = None,
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    workers: int | None = None,
    loggers: Sequence[str] = (),
    console: Console | None = None,
    **settings: Any,
) -> Run:
    """Train on a folder of images and masks, or on a data set by name.

    Args:
        data: a folder, `data.yaml`, `NAME`, `NAME:PATH` or `NAME:option=value,...`, or a data set; may be left out when the
            recipe or the run to resume names it.
        recipe: a recipe file, the name of one that comes along, or a recipe.
        out: folder of the run; runs/DATA-MODEL when left out.
        resume: go on where the run in `out` was interrupted.
        overwrite: replace a run that is in `out` already.
        seed: of everything random; 0 when neither given here nor by the recipe.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        devices: processes on each machine, one for each GPU.
        nodes: machines.
        workers: processes that prepare batches.
        loggers: "tensorboard", "wandb", "mlflow", beside results.csv.
        console: where to print; a terminal when left out.
        **settings: fields of `recipes.Stage`, such as `model="unet"`, `epochs=50`, `imgsz=(360, 480)`.

    Returns:
        The run, with the best model scored on the validation images.

    Raises:
        IntarsiaError: data, settings or files that cannot be used, in words.
    """
    from rich.console import Console

    console = console or Console(stderr=True)
    plan = _recipe(recipe, out, resume, settings, seed)
    source = data if data is not None else plan.data
    if source is None:
        raise SettingsError("There is no data to train on: name a folder with images/ and masks/, or a data set such as scenes.")
    dataset = _open(source, plan.seed)
    plan = replace(plan, data=plan.data if isinstance(source, Dataset) else str(source), made_by=__version__)
    folder = Path(out) if out is not None else Path("runs") / f"{dataset.name}-{plan.stages[-1].model}"
    _guard(folder, resume=resume, overwrite=overwrite)

    for line in (f"data: {dataset.name}, {_counts(dataset)}; {len(dataset.classes)} classes", *dataset.notes):
        console.print(line, highlight=False, soft_wrap=True)

    from intarsia.data.stats import fingerprint
    from intarsia.training import Machine, TrainingInterrupted, train_stage

    known_by = fingerprint(dataset)
    machine = Machine(device, devices, nodes, workers, tuple(loggers))
    previous: Path | None = None
    for number, stage in enumerate(plan.stages):
        place = folder if number == len(plan.stages) - 1 else folder / f"stage-{number + 1}"
        if resume and (place / BEST).exists() and not (place / RESUME).exists():
            previous = place / BEST
            continue
        if len(plan.stages) > 1:
            console.print(f"stage {number + 1} of {len(plan.stages)}", highlight=False)
        start = replace(stage, init=str(previous)) if stage.init == "previous" else stage

        def decided(filled: Stage, number: int = number, stage: Stage = stage) -> dict[str, Any]:
            nonlocal plan
            filled = replace(filled, init=stage.init)
            plan = replace(plan, stages=(*plan.stages[:number], filled, *plan.stages[number + 1 :]))
            folder.mkdir(parents=True, exist_ok=True)
            plan.save(folder / RECIPE)
            return {"data": dataset.name, "data_fingerprint": known_by, "recipe": plan.to_toml()}

        try:
            result = train_stage(
                start,
                dataset,
                place,
                seed=plan.seed,
                machine=machine,
                console=console,
                resume=resume and (place / RESUME).exists(),
                decided=decided,
            )
        except TrainingInterrupted:
            raise TrainingInterrupted(
                f"Interrupted; everything up to the last whole epoch is saved. To go on: intarsia train --resume --out {folder}"
            ) from None
        if not result.is_main:
            raise SystemExit(0)  # one process of a parallel training evaluates and reports
        previous = result.best

    from intarsia.inference import load
    from intarsia.training import read_history
    from intarsia.workflow.evaluate import evaluate, write_results

    predictor = load(folder / BEST, device=device)
    evaluation = evaluate(dataset, model=predictor)
    weights = {"initial weights": str(predictor.card.history["initial_weights"])}
    write_results(folder, evaluation, predictor, dataset, history=read_history(folder), settings=weights | _settings(plan))
    return Run(folder, folder / BEST, plan, evaluation, folder / "report.html")


def _recipe(
    recipe: str | Path | Recipe | None, out: str | Path | None, resume: bool, settings: dict[str, Any], seed: int | None
) -> Recipe:
    if resume:
        if out is None or not (Path(out) / RECIPE).is_file():
            raise SettingsError(f"There is no run to resume at {out}: --out must name a folder that holds {RECIPE}.")
        kept = load_recipe(Path(out) / RECIPE)
        changed = [name for name, value in settings.items() if value is not None]
        if changed or recipe is not None or seed is not None:
            names = [*changed, *(["recipe"] if recipe is not None else []), *(["seed"] if seed is not None else [])]
            raise SettingsError(
                f"A resumed run keeps its settings, and {', '.join(names)} was given. Leave it out, or start a new run with "
                f"--init {Path(out) / 'last.safetensors'}."
            )
        return kept
    plan = recipe if isinstance(recipe, Recipe) else load_recipe(recipe) if recipe is not None else Recipe((Stage(),))
    plan = plan.override(**settings)
    return replace(plan, seed=seed) if seed is not None else plan


def _settings(plan: Recipe) -> dict[str, str]:
    """The last stage of a recipe as it stands in the report."""
    chosen = {name: str(value) for name, value in vars(plan.stages[-1]).items() if value not in (None, (), {}, False)}
    return {**chosen, "seed": str(plan.seed)}


def _open(source: str | Path | Dataset, seed: int) -> Dataset:
    if not isinstance(source, str | Path):
        return source
    from intarsia.data.datasets import open_dataset

    return open_dataset(source, view="semantic", seed=seed)


def _guard(folder: Path, *, resume: bool, overwrite: bool) -> None:
    if resume and not (folder / RESUME).exists() and (folder / BEST).exists():
        raise SettingsError(f"The run in {folder} is finished; there is nothing to resume. Its model is {folder / BEST}.")
    if resume or not ((folder / BEST).exists() or (folder / RESUME).exists()):
        return
    if not overwrite:
        unfinished = " It was interrupted: --resume goes on with it." if (folder / RESUME).exists() else ""
        raise SettingsError(
            f"There is a run in {folder} already.{unfinished} Choose another --out, or --overwrite to replace it."
        )
    for name in (BEST, "last.safetensors", RESUME, "results.csv", "evaluation.json", "report.html", RECIPE):
        (folder / name).unlink(missing_ok=True)


def _counts(dataset: Dataset) -> str:
    return ", ".join(f"{len(keys)} {split}" for split, keys in dataset.splits.items())
