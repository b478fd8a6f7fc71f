"""One stage of a recipe, from a data set to a best model file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import nn

from intarsia.core import Batch, Dataset, SettingsError, Task
from intarsia.core.errors import memory_ran_out
from intarsia.data.collate import collate
from intarsia.data.preprocessing import Preprocessing
from intarsia.data.stats import (
    ImageStatistics,
    auto_class_weights,
    count_classes,
    count_labels,
    image_statistics,
    log_class_weights,
    median_frequency_weights,
)
from intarsia.data.transforms import Augmentation
from intarsia.encoders import RANDOM, normalization
from intarsia.inference import ModelCard, choose_device, initialise, read_model_card
from intarsia.losses import counts_classes_alike, create_loss, takes_class_weight
from intarsia.models import ModelSpec, classes_learnt, network_catalog
from intarsia.recipes import Stage
from intarsia.recipes.run_files import BEST, LAST, RESUME
from intarsia.training.checkpoints import SCORE_NAMES, Checkpoints
from intarsia.training.loaders import FittedSamples, SegmentationData, TrainingSamples, ValidationSamples
from intarsia.training.loop import run_loop
from intarsia.training.machine import Machine, quiet_lightning
from intarsia.training.objects import MODULES, ObjectLoss, own_loss
from intarsia.training.plan import decide, fit_to_budget, measure, smaller_batches
from intarsia.training.semantic import needed_targets

__all__ = ["StageResult", "train_stage"]


@dataclass(frozen=True)
class StageResult:
    """What a stage left behind; `is_main` is true in one process of a parallel training."""

    stage: Stage
    best: Path
    last: Path
    is_main: bool
    history: list[dict[str, float]]


def train_stage(
    stage: Stage,
    dataset: Dataset,
    out: Path,
    *,
    seed: int,
    machine: Machine,
    console: Console,
    resume: bool = False,
    decided: Callable[[Stage], Mapping[str, Any]] = lambda stage: {},
) -> StageResult:
    """Train one network.

    Args:
        stage: settings; what is None is decided here.
        dataset: with the splits "train" and "val", and truths of the kind that the network learns from.
        out: folder for the files of `Checkpoints`.
        seed: of initial weights, order and augmentation.
        machine: where it runs.
        console: where it prints what it decided and how it goes.
        resume: go on from the state in `out`, or begin where there is none.
        decided: called with the filled-in stage before the first step, so that it can be kept even if something fails, and again
            when a lack of memory changes it; what it returns is stored in the model files.

    Raises:
        TrainingInterrupted: Ctrl-C, after everything was saved.
        TrainingStopped: it cannot go on; the message says why.
        SettingsError: a split is missing, or a setting does not fit the data.
    """
    say = _speaker(console)
    task, _ = network_catalog(stage.model)
    _need(dataset, task)
    device = choose_device(machine.device)
    quiet_lightning()
    torch.manual_seed(seed)
    if resume and not (out / RESUME).exists():
        say("there is no saved state to go on from: the training starts from the beginning")
        resume = False

    train_keys, val_keys = dataset.splits["train"], dataset.splits["val"]
    look = image_statistics(dataset, train_keys)
    spec = ModelSpec(
        stage.model,
        num_classes=classes_learnt(task, dataset.classes),
        in_channels=look.channels,
        encoder=stage.encoder,
        output_stride=stage.output_stride,
        options=dict(stage.options),
        thing_ids=dataset.classes.thing_ids if task == "panoptic" else (),
    )
    before = read_model_card(out / LAST) if resume and (out / LAST).exists() else None
    model, note, stage = _network(spec, stage, dataset, before)
    trained = bool(stage.init) or stage.encoder_weights != "none"
    stage = decide(stage, look.sizes_hw, len(train_keys), pretrained=trained, gpu=device.type == "cuda")
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    say(f"{spec.name}{f' on {spec.encoder}' if spec.encoder else ''}: {count / 1e6:.1f} million parameters, {note}")

    preprocessing = before.preprocessing if before else _preprocessing(look, stage, model, spec, dataset)
    train, val = (FittedSamples(dataset, keys, preprocessing) for keys in (train_keys, val_keys))
    stage, loss, targets = _learning(stage, model, train, look.channels, say)
    augmentation = Augmentation(stage.crop or (0, 0), stage.scale, stage.flip, stage.color)
    data = SegmentationData(
        train,
        val,
        augmentation,
        seed=seed,
        targets=targets,
        workers=machine.workers_for(device),
        pin_memory=device.type == "cuda",
    )
    stage, steps = _measure(stage, model, loss, data, machine, device, say)
    _describe(stage, preprocessing, augmentation, device, say)
    loggers = machine.open_loggers(out)
    module = MODULES[task](model, loss, dataset.classes, stage, total_steps=steps * (stage.epochs or 1), seed=seed)

    def checkpoints(stage: Stage) -> Checkpoints:
        history = {"initial_weights": note, "parameters": count, **decided(stage)}
        card = ModelCard(spec, dataset.classes, preprocessing, task, history=history)
        return Checkpoints(out, card, module.MONITOR, patience=stage.patience)

    stage, trainer, saved = run_loop(
        stage,
        module,
        data,
        out,
        machine=machine,
        device=device,
        loggers=loggers,
        console=console,
        checkpoints=checkpoints,
        say=say,
        resume=resume,
    )
    if stage.patience and trainer.current_epoch < (stage.epochs or 0):
        say(f"stopped early: no better {SCORE_NAMES[module.MONITOR]} in {stage.patience} epochs")
    if trainer.is_global_zero:
        (out / RESUME).unlink(missing_ok=True)  # a finished run has nothing to resume
    return StageResult(stage, out / BEST, out / LAST, trainer.is_global_zero, saved.history)


def _need(dataset: Dataset, task: Task) -> None:
    if dataset.task != task:
        raise SettingsError(
            f"{dataset.name} is opened for {dataset.task} segmentation, and the network learns {task} segmentation: "
            f'open the data with view="{task}".'
        )
    for split in ("train", "val"):
        if not dataset.splits.get(split):
            raise SettingsError(
                f"{dataset.name} has no image in the split {split!r}; its splits are {', '.join(dataset.splits) or 'none'}. "
                "Training needs images to learn from and others to be measured on: two at least."
            )
    if task == "semantic" and len(dataset.classes) < 2:
        raise SettingsError(
            f"{dataset.name} has one class, {dataset.classes.names[0]!r}, so that every pixel is right whatever is predicted. "
            "Declare a second one, such as background, in intarsia.toml."
        )


def _network(spec: ModelSpec, stage: Stage, dataset: Dataset, before: ModelCard | None) -> tuple[nn.Module, str, Stage]:
    """The network, where its weights come from, and the stage with that choice in place of "auto"."""
    if before is not None:  # resumed: the weights come with the state
        return spec.build(encoder_weights="none"), str(before.history["initial_weights"]), stage
    if stage.init:
        model = spec.build(encoder_weights="none")
        return model, initialise(model, spec, dataset.classes, stage.init), replace(stage, encoder_weights="none")
    model = spec.build(encoder_weights=stage.encoder_weights)
    note = str(model.weights_note)
    if stage.encoder_weights == "auto":
        stage = replace(stage, encoder_weights="none" if note.startswith(RANDOM) else "imagenet")
    return model, note, stage


def _learning(
    stage: Stage, model: nn.Module, train: FittedSamples, channels: int, say: Callable[[str], None]
) -> tuple[Stage, nn.Module, tuple[str, ...]]:
    """What the network learns from: the stage with it decided, the loss, and the names of its targets beside the label."""
    if train.dataset.task != "semantic":
        stage = own_loss(stage, model)
        _count_objects(train, say)
        return stage, ObjectLoss(str(stage.loss), stage.loss_options), tuple(getattr(model, "TARGETS", ()))
    stage = _class_weights(stage, train, say)
    weights = None if isinstance(stage.class_weights, str) else stage.class_weights
    loss = create_loss(stage.loss, ignore_id=train.dataset.classes.ignore_id, class_weight=weights, **stage.loss_options)
    return stage, loss, needed_targets(model, loss, channels)


def _count_objects(train: FittedSamples, say: Callable[[str], None]) -> None:
    """Say how many objects there are, and how many are lost at the network's size.

    Raises:
        SettingsError: there is none.
    """
    counts = [train.objects(index) for index in range(len(train))]
    before, after = (sum(side) for side in zip(*counts, strict=True))
    if not after:
        raise SettingsError(
            f"Not one object is left in the {len(train)} training images of {train.dataset.name}, of {before} at their own size. "
            "There must be objects to learn from: number them in instances/, or give a larger --imgsz."
        )
    lost = f"; {before - after} more are smaller than a pixel at this size and left out" if after < before else ""
    say(f"{after} objects in {len(train)} training images{lost}")


def _preprocessing(look: ImageStatistics, stage: Stage, model: nn.Module, spec: ModelSpec, dataset: Dataset) -> Preprocessing:
    """Images are brought to the scale that trained weights know, else to that of the training images."""
    mean, std = look.mean, tuple(max(s, 1e-6) for s in look.std)
    if stage.init:
        known = read_model_card(stage.init).preprocessing
        if known.in_channels == look.channels:
            mean, std = known.mean, known.std
        return Preprocessing(mean, std, stage.imgsz)
    # Photographs; the values of other images (float, or 12 bits in 16) need not be on that scale.
    photographs = look.channels == 3 and dataset.read(dataset.splits["train"][0]).image.dtype == np.uint8
    if stage.encoder_weights != "none" and photographs:
        trunks = (model, getattr(model, "encoder", None))
        own = next((name for trunk in trunks if (name := getattr(trunk, "imagenet", None))), None)
        mean, std = normalization(own or spec.encoder or "")
    return Preprocessing(mean, std, stage.imgsz)


def _class_weights(stage: Stage, train: FittedSamples, say: Callable[[str], None]) -> Stage:
    """Replace the name of a rule by numbers, so that the recipe holds what was used."""
    if stage.class_weights == "none" or not isinstance(stage.class_weights, str):
        return stage
    if stage.class_weights == "auto" and (not takes_class_weight(stage.loss) or counts_classes_alike(stage.loss)):
        return replace(stage, class_weights="none")
    classes = train.dataset.classes
    if stage.class_weights == "median_frequency":
        counts = count_classes(train.dataset, train.keys)
        pixels, balanced = counts.pixels, median_frequency_weights(counts)
    else:
        pixels = count_labels(train.labels(), classes)
        balanced = auto_class_weights(pixels) if stage.class_weights == "auto" else log_class_weights(pixels)
    weights = tuple(round(float(w), 4) for w in balanced)
    shares = pixels / max(1, pixels.sum())
    rows = [f"{n} {s:.1%} x{w:.2f}" for n, s, w in zip(classes.names, shares, weights, strict=True)]
    say(f"class weights (share of pixels, weight): {', '.join(rows)}")
    return replace(stage, class_weights=weights)


def _measure(
    stage: Stage,
    model: nn.Module,
    loss: nn.Module,
    data: SegmentationData,
    machine: Machine,
    device: torch.device,
    say: Callable[[str], None],
) -> tuple[Stage, int]:
    """Run a few steps: smaller batches while they do not fit, say what training will take, choose epochs for a time budget."""
    world = machine.devices * machine.nodes
    if device == torch.device("cuda"):
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    samples = TrainingSamples(data.train, data.augmentation, data.seed, data.targets)
    one = collate([ValidationSamples(data.val, data.targets)[0]])
    while True:
        size = stage.batch or 1

        def batch(
            step: int, size: int = size
        ) -> Batch:  # the same images each time: after the first they are decoded, as in training
            return collate([samples[step, index % len(samples)] for index in range(size)])

        try:
            cost = measure(model, loss, stage, batch, one, device, workers=data.workers)
            break
        except Exception as error:
            if not memory_ran_out(error):
                raise
        stage = smaller_batches(stage)
        say(f"out of memory: batches of {stage.batch} in place of {size}, {stage.accumulate} of them to a step")
    batches = max(1, len(data.train) // world // size)
    stage = replace(stage, accumulate=min(stage.accumulate, batches))
    steps = batches // stage.accumulate
    if stage.steps is not None:
        stage = replace(stage, epochs=-(-stage.steps // steps), steps=None)
    stage = fit_to_budget(stage, cost, batches, len(data.val))
    say(cost.sentence(batches, len(data.val), stage.epochs or 1))
    return stage, steps


def _describe(
    stage: Stage, preprocessing: Preprocessing, augmentation: Augmentation, device: torch.device, say: Callable[[str], None]
) -> None:
    size = "native size" if preprocessing.fit_hw is None else "fitted to {}x{}".format(*preprocessing.fit_hw)
    crop = "{}x{}".format(*augmentation.crop_hw)
    zoom = "no zoom" if augmentation.scale == (1, 1) else "zoom {:g} to {:g}".format(*augmentation.scale)
    say(
        f"images {size}, crops of {crop}, {zoom}, batch {stage.batch}; "
        f"{stage.optimizer}, peak learning rate {stage.lr:.2g}, {stage.schedule}; {stage.loss}; {device}, {stage.precision}"
    )


def _speaker(console: Console) -> Callable[[str], None]:
    return lambda text: console.print(text, highlight=False, markup=False, emoji=False, soft_wrap=True)
