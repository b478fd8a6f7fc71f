"""The training loop: Lightning's, with what it may run into, and how it goes on from there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from rich.console import Console

from intarsia.core.errors import memory_ran_out
from intarsia.recipes import Stage
from intarsia.recipes.run_files import RESUME
from intarsia.training.checkpoints import Checkpoints, StateFiles
from intarsia.training.interrupt import TrainingStopped, interruptible
from intarsia.training.loaders import SegmentationData
from intarsia.training.machine import Machine
from intarsia.training.module import NetworkModule
from intarsia.training.plan import smaller_batches
from intarsia.training.progress import EpochLines

__all__ = ["run_loop"]

PRECISION: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def run_loop(
    stage: Stage,
    module: NetworkModule,
    data: SegmentationData,
    out: Path,
    *,
    machine: Machine,
    device: torch.device,
    loggers: list[Any] | bool,
    console: Console,
    checkpoints: Callable[[Stage], Checkpoints],
    say: Callable[[str], None],
    resume: bool,
) -> tuple[Stage, L.Trainer, Checkpoints]:
    """Train to the end. When memory runs out on the way, it goes on from the last saved state with smaller batches.

    Args:
        stage: all decided.
        module: what is trained.
        data: on what.
        out: folder of the run.
        machine: how many processes.
        device: where they run.
        loggers: Lightning's.
        console: where the progress is printed.
        say: prints a line.
        checkpoints: makes the callback that saves; called again when the stage changes on the way.
        resume: begin from the state in `out`.

    Returns:
        The stage as it ended, its trainer, and the callback that saved.

    Raises:
        TrainingInterrupted: Ctrl-C.
        TrainingStopped: it cannot go on.
    """
    while True:
        data.batch, data.accumulate = stage.batch or 1, stage.accumulate
        saved = checkpoints(stage)
        trainer = _trainer(stage, out, machine, device, loggers, [saved, EpochLines(console, saved)])
        try:
            with interruptible():
                trainer.fit(module, datamodule=data, ckpt_path=out / RESUME if resume else None)
            return stage, trainer, saved
        except Exception as error:
            if not memory_ran_out(error):
                _say_lost_worker(error)
                raise
            if trainer.world_size > 1:
                raise TrainingStopped(
                    f"Process {trainer.global_rank} of {trainer.world_size} ran out of memory with batches of {stage.batch}, and "
                    "the others cannot go on without it. Start again with a smaller --batch."
                ) from error
            epoch = trainer.current_epoch + 1
        # The exception is gone, and with it the tensors that its traceback held.
        stage, before = smaller_batches(stage), stage
        say(
            f"out of memory: batches of {stage.batch} in place of {before.batch}, {stage.accumulate} of them to a step, which "
            f"sees as many images as before; epoch {epoch} begins again"
        )
        module.zero_grad(set_to_none=True)
        module.trainer = None
        del trainer
        if device.type == "cuda":
            torch.cuda.empty_cache()
        resume = (out / RESUME).is_file()


def _trainer(
    stage: Stage, out: Path, machine: Machine, device: torch.device, loggers: list[Any] | bool, callbacks: list[L.Callback]
) -> L.Trainer:
    world = machine.devices * machine.nodes
    return L.Trainer(
        max_epochs=stage.epochs,
        accelerator={"cuda": "gpu"}.get(device.type, device.type),
        devices=machine.devices if device.index is None else [device.index],
        num_nodes=machine.nodes,
        strategy="ddp" if world > 1 else "auto",
        sync_batchnorm=world > 1 and device.type == "cuda",  # torch has it on GPUs only
        precision=PRECISION[stage.precision or "32"],
        accumulate_grad_batches=stage.accumulate,
        gradient_clip_val=stage.clip,
        logger=loggers,
        callbacks=callbacks,
        plugins=[StateFiles()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        log_every_n_steps=1,
        default_root_dir=out,
    )


def _say_lost_worker(error: Exception) -> None:
    """A worker that was killed could not say why; the system does that when memory runs out."""
    if isinstance(error, RuntimeError) and "DataLoader worker" in str(error):
        raise TrainingStopped(
            "A process that prepares batches was ended from outside, as systems do when memory runs out. What was saved is "
            "whole: go on with --resume and fewer --workers."
        ) from error
