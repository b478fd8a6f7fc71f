"""One stage of a recipe, from a data set to a best model file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from rich.console import Console
from torch import nn

from intarsia.core import Dataset, SettingsError
from intarsia.data.collate import collate
from intarsia.data.preprocessing import Preprocessing
from intarsia.data.stats import ImageStatistics, auto_class_weights, class_pixels, image_statistics
from intarsia.data.transforms import Augmentation
from intarsia.encoders import normalization
from intarsia.inference import ModelCard, choose_device, initialise, read_model_card
from intarsia.losses import create_loss, takes_class_weight
from intarsia.models import ModelSpec
from intarsia.recipes import Stage
from intarsia.training.checkpoints import BEST, LAST, RESUME, Checkpoints
from intarsia.training.interrupt import interruptible
from intarsia.training.loaders import FittedSamples, SegmentationData, TrainingSamples
from intarsia.training.machine import Machine, quiet_lightning
from intarsia.training.plan import Cost, decide, fit_to_budget, measure_step
from intarsia.training.progress import EpochLines
from intarsia.training.semantic import SemanticModule

__all__ = ["StageResult", "train_stage"]


PRECISION: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


@dataclass(frozen=True)
class StageResult:
    """What a stage left behind; `is_main` is true in one process of a parallel training."""

    stage: Stage
    best: Path
    last: Path
    best_epoch: int
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
        dataset: with the splits "train" and "val", and label maps as truths.
        out: folder for the files of `Checkpoints`.
        seed: of initial weights, order and augmentation.
        machine: where it runs.
        console: where it prints what it decided and how it goes.
        resume: go on from the state in `out`.
        decided: called with the filled-in stage before the first step, so that it can be kept even if something fails; what it
            returns is stored in the model files.

    Raises:
        TrainingInterrupted: Ctrl-C, after everything was saved.
        SettingsError: a split is missing, or there is nothing to resume.
    """
    say = _speaker(console)
    for split in ("train", "val"):
        if not dataset.splits.get(split):
            raise SettingsError(f"{dataset.name} has no split {split!r}; it has {', '.join(dataset.splits) or 'none'}.")
    train_keys, val_keys = dataset.splits["train"], dataset.splits["val"]
    device = choose_device(machine.device)
    quiet_lightning()
    torch.manual_seed(seed)

    look = image_statistics(dataset, train_keys)
    spec = ModelSpec(
        stage.model,
        num_classes=len(dataset.classes),
        in_channels=look.channels,
        encoder=stage.encoder,
        output_stride=stage.output_stride,
        options=dict(stage.options),
    )
    before = read_model_card(out / LAST) if resume and (out / LAST).exists() else None
    model = spec.build(encoder_weights="none" if stage.init or before else stage.encoder_weights)
    note = str(before.history["initial_weights"]) if before else str(model.weights_note)
    pretrained = not note.startswith("random")
    if stage.init and before is None:
        note = initialise(model, spec, dataset.classes, stage.init)
    stage = decide(stage, look.sizes_hw, len(train_keys), pretrained=pretrained or bool(stage.init), gpu=device.type == "cuda")
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    say(f"{stage.model}{f' on {spec.encoder}' if spec.encoder else ''}: {count / 1e6:.1f} million parameters, {note}")

    preprocessing = before.preprocessing if before else _preprocessing(look, stage, model, spec, pretrained)
    train, val = FittedSamples(dataset, train_keys, preprocessing), FittedSamples(dataset, val_keys, preprocessing)
    stage = _class_weights(stage, dataset, train_keys, say)
    loss = create_loss(
        stage.loss,
        ignore_id=dataset.classes.ignore_id,
        class_weight=None if isinstance(stage.class_weights, str) else stage.class_weights,
        **stage.loss_options,
    )
    augmentation = Augmentation(stage.crop or (0, 0), stage.scale, stage.flip, stage.color)
    module = SemanticModule(model, loss, dataset.classes, stage, total_steps=1, seed=seed)
    stage, steps_per_epoch = _measure(stage, module, train, val, augmentation, seed, machine, device, say)
    module.stage, module.total_steps = stage, steps_per_epoch * (stage.epochs or 1)
    _describe(stage, preprocessing, augmentation, device, say)
    history = {"initial_weights": note, "parameters": count, **decided(stage)}

    card = ModelCard(spec, dataset.classes, preprocessing, history=history)
    checkpoints = Checkpoints(out, card)
    data = SegmentationData(
        train,
        val,
        augmentation,
        batch=stage.batch or 1,
        seed=seed,
        workers=machine.workers_for(device),
        pin_memory=device.type == "cuda",
    )
    callbacks: list[Callback] = [EpochLines(console), checkpoints]
    if stage.patience:
        callbacks.append(EarlyStopping("val/miou", patience=stage.patience, mode="max", check_finite=False))
    trainer = L.Trainer(
        max_epochs=stage.epochs,
        accelerator={"cuda": "gpu"}.get(device.type, device.type),
        devices=machine.devices if device.index is None else [device.index],
        num_nodes=machine.nodes,
        strategy="ddp" if machine.devices * machine.nodes > 1 else "auto",
        precision=PRECISION[stage.precision or "32"],
        logger=machine.open_loggers(out),
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        log_every_n_steps=max(1, min(50, steps_per_epoch)),
        default_root_dir=out,
    )
    with interruptible():
        trainer.fit(module, datamodule=data, ckpt_path=out / RESUME if resume else None)
    if trainer.is_global_zero:
        (out / RESUME).unlink(missing_ok=True)  # a finished run has nothing to resume
    return StageResult(stage, out / BEST, out / LAST, checkpoints.best_epoch, trainer.is_global_zero, checkpoints.history)


def _preprocessing(look: ImageStatistics, stage: Stage, model: nn.Module, spec: ModelSpec, pretrained: bool) -> Preprocessing:
    """Images are brought to the scale that trained weights know, else to that of the training images."""
    mean, std = look.mean, tuple(max(s, 1e-6) for s in look.std)
    if stage.init:
        known = read_model_card(stage.init).preprocessing
        if known.in_channels == look.channels:
            mean, std = known.mean, known.std
    elif pretrained and look.channels == 3:
        mean, std = normalization(getattr(model, "imagenet", None) or spec.encoder or "")
    return Preprocessing(mean, std, stage.imgsz)


def _class_weights(stage: Stage, dataset: Dataset, keys: Sequence[str], say: Callable[[str], None]) -> Stage:
    """Replace "auto" by numbers, so that the recipe holds what was used."""
    if stage.class_weights != "auto":
        if isinstance(stage.class_weights, str) and stage.class_weights != "none":
            raise SettingsError(f"class_weights is {stage.class_weights!r}; it can be auto, none, or a number for each class.")
        return stage
    if not takes_class_weight(stage.loss):
        return replace(stage, class_weights="none")
    pixels, _ = class_pixels(dataset, keys)
    weights = tuple(round(float(w), 4) for w in auto_class_weights(pixels))
    shares = pixels / max(1, pixels.sum())
    rows = [f"{n} {s:.1%} x{w:.2f}" for n, s, w in zip(dataset.classes.names, shares, weights, strict=True)]
    say(f"class weights (share of pixels, weight): {', '.join(rows)}")
    return replace(stage, class_weights=weights)


def _measure(
    stage: Stage,
    module: SemanticModule,
    train: FittedSamples,
    val: FittedSamples,
    augmentation: Augmentation,
    seed: int,
    machine: Machine,
    device: torch.device,
    say: Callable[[str], None],
) -> tuple[Stage, int]:
    """Run a few steps: halve the batch while it does not fit, say what training will take, choose epochs for a time budget."""
    world = machine.devices * machine.nodes
    samples = TrainingSamples(train, augmentation, seed)
    while True:
        batch = collate([samples[0, index % len(train)] for index in range(stage.batch or 1)])
        try:
            cost: Cost = measure_step(module, batch, device)
            break
        except torch.OutOfMemoryError:
            if (stage.batch or 1) == 1:
                raise
            stage = replace(stage, batch=(stage.batch or 1) // 2)
            say(f"out of memory: the batch is halved to {stage.batch}")
    steps = max(1, len(train) // world // (stage.batch or 1))
    val_batches = -(-len(val) // world // (stage.batch or 1))
    stage = fit_to_budget(stage, cost, steps, val_batches)
    say(cost.sentence(steps, val_batches, stage.epochs or 1))
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
    return lambda text: console.print(text, highlight=False, soft_wrap=True)
