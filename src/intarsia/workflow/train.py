"""train: a data set in, a run folder with a measured model out. A classical method is fitted without torch, see `fit`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intarsia import __version__
from intarsia.classical import CLASSICAL, describe_method
from intarsia.core import ClassSpaceError, DataError, Dataset, IntarsiaError, Predictor, SettingsError, Task, UnknownNameError
from intarsia.recipes import Recipe, Stage, load_recipe
from intarsia.recipes.run_files import BEST, CHECK, LAST, RECIPE, RESUME
from intarsia.workflow.fit import fit, refuse_network_settings
from intarsia.workflow.run_folder import RunFolder
from intarsia.workflow.sources import lasting_source

if TYPE_CHECKING:
    from rich.console import Console

    from intarsia.data.check import Check
    from intarsia.evaluation import Evaluation, ObjectEvaluation, ScoreRefused
    from intarsia.training import Machine

__all__ = ["Run", "train"]

NEEDED: dict[Task, str] = {
    "instance": "numbered objects, such as PNG files in instances/ beside images/ (0 = none, 1, 2, ... = objects)",
    "panoptic": "panoptic maps: a segment for each object and each region, with its class",
}


@dataclass(frozen=True)
class Run:
    """What a training left behind.

    out: the run's folder.
    best: the best model file.
    recipe: with every setting filled in.
    outcome: scores of the best model on the validation images, at their own size, or why there are none.
    report: the HTML page.
    """

    out: Path
    best: Path
    recipe: Recipe
    outcome: Evaluation | ObjectEvaluation | ScoreRefused
    report: Path

    @property
    def evaluation(self) -> Evaluation | ObjectEvaluation:
        """The scores.

        Raises:
            ScoreRefused: there are none that would mean what they seem to; the model is trained and saved all the same.
        """
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


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
    semantic: str | Path | None = None,
    console: Console | None = None,
    **settings: Any,
) -> Run:
    """Train on a folder of images and masks, or on a data set by name.

    A network is trained; a classical method that learns, such as `model="random_forest"`, is fitted, and of the settings takes
    `options` alone.

    Args:
        data: a folder, `data.yaml`, `NAME`, `NAME:PATH` or `NAME:option=value,...`, or a data set; may be left out when the
            recipe or the run to resume names it.
        recipe: a recipe file, the name of one that comes along, or a recipe.
        out: folder of the run; runs/DATA-MODEL when left out.
        resume: go on where the run in `out` was interrupted.
        overwrite: replace a run that is in `out` already, once all that was given is found to be usable.
        seed: of initial weights, order and augmentation; 0 when neither given here nor by the recipe.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        devices: processes on each machine, one for each GPU.
        nodes: machines.
        workers: processes that prepare batches.
        loggers: "tensorboard", "wandb", "mlflow", beside results.csv.
        semantic: a model or classical method that tells an instance network where the classes are when the trained one is scored,
            if it is trained to be told (`deep_watershed` with the option semantic="given").
        console: where to print; a terminal when left out.
        **settings: fields of `recipes.Stage`, such as `model="unet"`, `epochs=50`, `imgsz=(360, 480)`.

    Returns:
        The run, with the best model scored on the validation images.

    Raises:
        IntarsiaError: data, settings or files that cannot be used, in words.
    """
    from rich.console import Console

    main = _is_main_process()
    if not main:
        console = Console(quiet=True)
    elif console is None:
        console = Console(stderr=True, markup=False, emoji=False)
    plan = _recipe(recipe, out, resume, settings, seed)
    _check_counts(devices=devices, nodes=nodes, workers=workers)
    classical = plan.stages[0].model in CLASSICAL
    if classical:
        refuse_network_settings(
            plan,
            resume=resume,
            device=device not in ("auto", "cpu"),
            devices=devices > 1,
            nodes=nodes > 1,
            workers=workers,
            loggers=loggers,
            semantic=semantic,
        )
    source = data if data is not None else plan.data
    if source is None:
        raise SettingsError("There is no data to train on: name a folder with images/ and masks/, or a data set such as scenes.")
    dataset = _open(source, _task_of(plan))
    plan = replace(plan, data=lasting_source(source) if isinstance(source, str | Path) else plan.data, made_by=__version__)
    run = RunFolder(Path(out) if out is not None else Path("runs") / f"{dataset.name}-{plan.stages[-1].model}")
    if main and resume:
        run.refuse_resume()
        run.tidy()
    elif main:
        read = None if isinstance(recipe, Recipe) else recipe
        run.refuse_new(overwrite=overwrite, inits=[stage.init for stage in plan.stages], recipe=read)

    checked = _check(dataset, console) if _is_first_on_machine() else None
    warnings = [f"warning: {warning.message}" for warning in checked.warnings] if checked is not None else []
    counts = f"data: {dataset.name}, {_counts(dataset)}; {len(dataset.classes)} classes"
    for line in (counts, *dataset.notes, *warnings):
        console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)

    if classical:
        return _score(fit(plan, dataset, run, checked=checked, console=console), dataset, run.path, device)

    from intarsia.training import Machine, TrainingInterrupted
    from intarsia.workflow.predictors import open_gate

    gate = open_gate(plan.stages[-1], dataset.classes, semantic, device=device)
    machine = Machine(device, devices, nodes, workers, tuple(loggers))
    resume_line = _resume_line(run.path, machine, semantic)
    interrupted = TrainingInterrupted(f"Interrupted; everything up to the last whole epoch is saved. To go on: {resume_line}")
    try:
        plan = _train_stages(plan, dataset, run, machine=machine, console=console, resume=resume, main=main, checked=checked)
    except TrainingInterrupted:
        raise interrupted from None
    try:
        return _score(plan, dataset, run.path, device, gate, semantic)
    except KeyboardInterrupt:
        raise interrupted from None


def _train_stages(
    plan: Recipe,
    dataset: Dataset,
    run: RunFolder,
    *,
    machine: Machine,
    console: Console,
    resume: bool,
    main: bool,
    checked: Check | None,
) -> Recipe:
    """Train what is left to train, each stage from the one before, and return the recipe with every choice filled in."""
    from intarsia.data.stats import fingerprint
    from intarsia.training import leave_processes, train_stage

    known_by = fingerprint(dataset)
    if resume:
        _refuse_other_data(run, dataset, known_by)
    previous: Path | None = None
    leads, cleared = main, resume
    for number, stage in enumerate(plan.stages):
        place = run.place(number, len(plan.stages))
        if resume and (place / BEST).exists() and not (place / RESUME).exists():
            previous = place / BEST
            continue
        if len(plan.stages) > 1:
            console.print(f"stage {number + 1} of {len(plan.stages)}", highlight=False)

        def decided(filled: Stage, number: int = number, init: str | None = stage.init) -> dict[str, Any]:
            nonlocal plan, cleared
            plan = replace(plan, stages=(*plan.stages[:number], replace(filled, init=init), *plan.stages[number + 1 :]))
            if main:
                if not cleared:
                    run.clear()
                    cleared = True
                run.path.mkdir(parents=True, exist_ok=True)
                plan.save(run.path / RECIPE)
                if checked is not None:
                    checked.save(run.path / CHECK)
            return {"data": dataset.name, "data_fingerprint": known_by, "recipe": plan.to_toml()}

        result = train_stage(
            replace(stage, init=str(previous)) if stage.init == "previous" else stage,
            dataset,
            place,
            seed=plan.seed,
            machine=machine,
            console=console,
            resume=resume,
            decided=decided,
        )
        leads, previous = result.is_main, result.best
    leave_processes()
    if not leads:
        raise SystemExit(0)  # one process of a parallel training evaluates and reports; the others were needed in every stage
    return plan


def _score(
    plan: Recipe,
    dataset: Dataset,
    out: Path,
    device: str,
    gate: Predictor | None = None,
    semantic: str | Path | None = None,
) -> Run:
    """Score the best model on the validation images and write the report."""
    from intarsia.evaluation import ScoreRefused
    from intarsia.inference import load
    from intarsia.workflow.evaluate import evaluate
    from intarsia.workflow.results import Results, recipe_settings, write_page

    predictor = load(out / BEST, device=device, semantic=gate)
    outcome: Evaluation | ObjectEvaluation | ScoreRefused
    try:
        outcome = evaluate(dataset, model=predictor)
    except ScoreRefused as refused:
        outcome = refused
    settings = {"data": " ".join(dataset.notes), **recipe_settings(plan)}
    if "initial_weights" in predictor.card.history:
        settings["initial weights"] = str(predictor.card.history["initial_weights"])
    inputs = {} if semantic is None else {"semantic": str(Path(semantic).absolute() if Path(semantic).exists() else semantic)}
    results = Results.now(outcome, predictor, settings=settings, inputs=inputs)
    results.save(out)
    return Run(out, out / BEST, plan, outcome, write_page(out, results, predictor, dataset))


def _recipe(
    recipe: str | Path | Recipe | None, out: str | Path | None, resume: bool, settings: dict[str, Any], seed: int | None
) -> Recipe:
    if resume:
        if out is None or not (Path(out) / RECIPE).is_file():
            raise SettingsError(
                f"There is no run to resume at {out}: --out must name a folder that holds {RECIPE}. A run that was stopped "
                "before it had decided its settings leaves none: start it again without --resume."
            )
        kept = load_recipe(Path(out) / RECIPE)
        changed = [name for name, value in settings.items() if value is not None]
        if changed or recipe is not None or seed is not None:
            names = [*changed, *(["recipe"] if recipe is not None else []), *(["seed"] if seed is not None else [])]
            raise SettingsError(
                f"A resumed run keeps its settings, and {', '.join(names)} was given. Leave it out, or start a new run with "
                f"--init {Path(out) / LAST}."
            )
        return kept
    plan = recipe if isinstance(recipe, Recipe) else load_recipe(recipe) if recipe is not None else Recipe((Stage(),))
    plan = plan.override(**settings)
    return replace(plan, seed=seed) if seed is not None else plan


def _task_of(plan: Recipe) -> Task:
    """What the plan trains for; methods that are fitted learn classes of pixels.

    Raises:
        UnknownNameError: neither a network nor a method.
        SettingsError: stages for different tasks, which learn from different truths.
    """
    from intarsia.models import network_catalog

    try:
        tasks = {
            stage.model: "semantic" if stage.model in CLASSICAL else network_catalog(stage.model)[0] for stage in plan.stages
        }
    except UnknownNameError as error:
        fitted = [name for name in CLASSICAL.names if describe_method(name)["result"] == "learned"]
        raise UnknownNameError(f"{error} Methods that learn without one: {', '.join(fitted)}.") from None
    task: Task = tasks[plan.stages[-1].model]
    if len(set(tasks.values())) > 1:
        listed = ", ".join(f"{model} ({task})" for model, task in tasks.items())
        raise SettingsError(
            f"The stages of a run learn from one kind of truth, and these differ: {listed}. Train them one by one."
        )
    return task


def _open(source: str | Path | Dataset, task: Task) -> Dataset:
    """The data, whose split into train and val must not depend on the training's seed: whoever evaluates does not know it."""
    if not isinstance(source, str | Path):
        return source
    from intarsia.data.check import check_dataset
    from intarsia.data.datasets import open_dataset

    try:
        return open_dataset(source, view=task)
    except (DataError, ClassSpaceError, SettingsError) as error:
        if task == "semantic" and not isinstance(error, SettingsError):
            check_dataset(source).raise_errors()  # all that is wrong, where opening tells what it met first
        if task == "semantic" or not _can_open(source):
            raise
        raise DataError(
            f"{source} can be read as maps of classes, and not for {task} segmentation, which learns from {NEEDED[task]}. {error}"
        ) from error


def _can_open(source: str | Path) -> bool:
    from intarsia.data.datasets import open_dataset

    try:
        open_dataset(source, view="semantic")
    except IntarsiaError:
        return False
    return True


def _check(dataset: Dataset, console: Console) -> Check:
    """What is wrong with the data, before the first step.

    Raises:
        DataFaults: something that must not be trained on.
    """
    from intarsia.workflow.check import check

    found = check(dataset, console=console)
    found.raise_errors()
    return found


def _refuse_other_data(run: RunFolder, dataset: Dataset, known_by: str) -> None:
    from intarsia.inference import read_model_card

    for file in run.last_models():
        before = read_model_card(file).history
        if before.get("data_fingerprint", known_by) != known_by:
            raise SettingsError(
                f"The run in {run.path} learnt from other data than {dataset.name} as it is now: classes, splits or samples "
                f"differ (fingerprint {before['data_fingerprint']}, now {known_by}). Resume it with its own data, or start a new "
                f"run with --init {file}."
            )


def _check_counts(**counts: int | None) -> None:
    for name, count in counts.items():
        least = 0 if name == "workers" else 1
        if count is not None and count < least:
            raise SettingsError(f"{name} is {count}; it can be a whole number, {least} or greater.")


def _is_main_process() -> bool:
    """Whether this process is the first of a parallel training, by what its launcher says, or the only one."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))


def _is_first_on_machine() -> bool:
    """Whether this process is the one that looks at the data for all of its machine."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def _resume_line(folder: Path, machine: Machine, semantic: str | Path | None) -> str:
    words = ["intarsia", "train", "--resume", "--out", str(folder), *(["--semantic", str(semantic)] if semantic else [])]
    for name, usual in (("device", "auto"), ("devices", 1), ("nodes", 1), ("workers", None)):
        value = getattr(machine, name)
        words += [] if value == usual else [f"--{name}", str(value)]
    for logger in machine.loggers:
        words += ["--logger", logger]
    return shlex.join(words)


def _counts(dataset: Dataset) -> str:
    return ", ".join(f"{len(keys)} {split}" for split, keys in dataset.splits.items())
