"""What a person sees while a network trains: a bar inside the epoch in a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import lightning as L
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from intarsia.training.checkpoints import SCORE_NAMES, Checkpoints
from intarsia.training.module import NetworkModule

__all__ = ["EpochLines", "duration"]


class EpochLines(L.Callback):
    """One line an epoch, and inside the epoch a bar, or a line every ten seconds where nobody watches a terminal.

    Args:
        console: where to print.
        checkpoints: know the best epoch; what is printed here is on the disk when they come first.
        every_s: seconds between the lines inside an epoch when the output is not a terminal.
        clock: for tests.
    """

    def __init__(
        self, console: Console, checkpoints: Checkpoints, every_s: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.console, self.checkpoints, self.every_s, self.clock = console, checkpoints, every_s, clock
        self._started = self._said = 0.0
        self._first_epoch = 0
        self._bar: Progress | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._started = self._said = self.clock()
        self._first_epoch = trainer.current_epoch

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.console.is_terminal and trainer.is_global_zero:
            self._bar = Progress(
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(bar_width=30),
                TextColumn("{task.completed:.0f}/{task.total:.0f} loss {task.fields[loss]}"),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            label = f"{trainer.current_epoch + 1}/{trainer.max_epochs}"
            self._bar.add_task("", total=trainer.num_training_batches, epoch=label, loss="...")
            self._bar.start()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._bar is not None:
            loss = f"{float(outputs['loss']):.3f}" if isinstance(outputs, dict) else "..."
            self._bar.update(self._bar.task_ids[0], advance=1, loss=loss)
        elif self.clock() - self._said >= self.every_s and trainer.is_global_zero:
            self._said = self.clock()
            loss = f", loss {float(outputs['loss']):.3f}" if isinstance(outputs, dict) else ""
            where = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: step {batch_idx + 1}/{trainer.num_training_batches}"
            self.console.print(f"  {where}{loss}", highlight=False)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop_bar()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop_bar()
        if not trainer.is_global_zero:
            return
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        saved, epoch = self.checkpoints, trainer.current_epoch + 1
        done = epoch - self._first_epoch
        elapsed = self.clock() - self._started
        left = elapsed / done * ((trainer.max_epochs or epoch) - epoch)
        self._said = self.clock()
        width = len(str(trainer.max_epochs))
        skipped = int(values.get("train/skipped_steps", 0))
        self.console.print(
            f"epoch {epoch:{width}}/{trainer.max_epochs}  loss {values.get('train/loss', math.nan):.3f}  "
            f"val loss {values.get('val/loss', math.nan):.3f}  "
            f"{SCORE_NAMES[saved.monitor]} {values.get(saved.monitor, math.nan):.3f}  "
            f"best {saved.best:.3f} (epoch {saved.best_epoch + 1})  "
            f"{duration(elapsed)} gone, {duration(left)} left"
            + (f"  ({skipped} steps skipped: their gradients were not finite)" if skipped else ""),
            highlight=False,
            soft_wrap=True,
        )
        if isinstance(pl_module, NetworkModule) and pl_module.warning:
            self.console.print(f"  warning: {pl_module.warning}", highlight=False, markup=False, emoji=False, soft_wrap=True)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._stop_bar()

    def _stop_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def duration(seconds: float) -> str:
    """Seconds as a person says them: 42 s, 3 min 20 s, 2 h 5 min."""
    if not math.isfinite(seconds):
        return "unknown time"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 3600:
        return f"{round(whole / 60)} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
