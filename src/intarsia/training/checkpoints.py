"""What a training leaves on disk after every epoch: best and last model file, the state to resume from, results.csv."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L

from intarsia.core import SettingsError
from intarsia.inference.model_file import ModelCard, write_model
from intarsia.recipes.run_files import BEST, HISTORY, LAST, RESUME
from intarsia.training.semantic import SemanticModule

__all__ = ["Checkpoints", "read_history"]


class Checkpoints(L.Callback):
    """Writes a run's files, each to a temporary name first, so that a crash never leaves half a file under the final name.

    Args:
        out: folder of the run.
        card: what the model files say; the scores of the epoch are added.
        monitor: the value whose highest epoch is the best.
    """

    def __init__(self, out: Path, card: ModelCard, monitor: str = "val/miou") -> None:
        self.out, self.card, self.monitor = out, card, monitor
        self.best: float = -math.inf
        self.best_epoch: int = -1
        self.history: list[dict[str, float]] = []

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.out.mkdir(parents=True, exist_ok=True)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch == 0:
            self._save_state(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # runs after the epoch's validation, which Lightning makes part of the training epoch
        scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
        row = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step, "lr": _lr(trainer), **scores}
        self.history.append(row)
        value = scores.get(self.monitor, math.nan)
        better = value > self.best or self.best_epoch < 0
        if better:
            self.best, self.best_epoch = (-math.inf if math.isnan(value) else value), trainer.current_epoch
        if trainer.is_global_zero:
            self._write_history()
            card = self._card(trainer, scores)
            module = _semantic(pl_module)
            write_model(self.out / LAST, module.evaluated_model, card)
            if better:
                write_model(self.out / BEST, module.evaluated_model, card)
        self._save_state(trainer)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if trainer.is_global_zero and trainer.global_step > 0 and self.out.is_dir():
            write_model(self.out / LAST, _semantic(pl_module).evaluated_model, self._card(trainer, {}))

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch, "history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.best_epoch, self.history = state_dict["best"], state_dict["best_epoch"], state_dict["history"]

    def _card(self, trainer: L.Trainer, scores: Mapping[str, float]) -> ModelCard:
        finite = {name: value for name, value in scores.items() if math.isfinite(value)}
        return replace(self.card, scores=finite, history={**self.card.history, "epoch": trainer.current_epoch + 1})

    def _save_state(self, trainer: L.Trainer) -> None:
        partial = self.out / f".{RESUME}.part"
        trainer.save_checkpoint(partial)  # every process takes part
        if trainer.is_global_zero:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            partial.replace(self.out / RESUME)

    def _write_history(self) -> None:
        names = list(dict.fromkeys(name for row in self.history for name in row))
        partial = self.out / f".{HISTORY}.part"
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(
                {name: value if isinstance(value, int) else f"{value:.6g}" for name, value in row.items()} for row in self.history
            )
        partial.replace(self.out / HISTORY)


def read_history(run: Path) -> list[dict[str, float]]:
    """The rows of a run's results.csv; empty when there is none."""
    path = run / HISTORY
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def _lr(trainer: L.Trainer) -> float:
    return float(trainer.optimizers[0].param_groups[0]["lr"])


def _semantic(module: L.LightningModule) -> SemanticModule:
    if not isinstance(module, SemanticModule):
        raise SettingsError(f"{type(module).__name__} has no network that these checkpoints know how to save.")
    return module
