"""What a training leaves on disk after every epoch: best and last model file, the state to resume from, results.csv."""

from __future__ import annotations

import csv
import math
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins import TorchCheckpointIO

from intarsia.core import SettingsError
from intarsia.core.whole_file import written_whole
from intarsia.inference.model_file import ModelCard, write_model
from intarsia.recipes.run_files import BEST, HISTORY, LAST, RESUME
from intarsia.training.interrupt import TrainingInterrupted, TrainingStopped
from intarsia.training.module import NetworkModule

__all__ = ["SCORE_NAMES", "Checkpoints", "StateFiles", "read_history"]

SCORE_NAMES = {"val/miou": "mIoU", "val/ap": "AP", "val/pq": "PQ"}
"""What people call the score by which the best epoch is chosen."""


class Checkpoints(L.Callback):
    """Writes a run's files, the state last: after a kill at any moment, an epoch whose state is missing is trained again.

    Must come before callbacks whose state or output says that an epoch is over.

    Args:
        out: folder of the run.
        card: what the model files say; the scores of the epoch are added.
        monitor: the value whose highest epoch is the best; while it is 0, as long as a detector finds nothing, the epoch of the
            lowest loss on the validation images.
        patience: epochs without a better one before training stops; 0 never stops.
    """

    def __init__(self, out: Path, card: ModelCard, monitor: str = "val/miou", patience: int = 0) -> None:
        self.out, self.card, self.monitor, self.patience = out, card, monitor, patience
        self.best: float = -math.inf
        self.best_loss: float = math.inf
        self.best_epoch: int = -1
        self.history: list[dict[str, float]] = []

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        with self._writing():
            self.out.mkdir(parents=True, exist_ok=True)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch == 0:
            self._save_state(trainer)
        self._stop_without_progress(trainer)  # the state of the last epoch may be all that a kill has left

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # runs after the epoch's validation, which Lightning makes part of the training epoch
        scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
        row = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step, "lr": _lr(trainer), **scores}
        self.history.append(row)
        value = scores.get(self.monitor, math.nan)
        loss = scores.get("val/loss", math.nan)
        better = value > self.best or self.best_epoch < 0 or (value == self.best == 0 and loss < self.best_loss)
        if better:
            self.best, self.best_epoch = (-math.inf if math.isnan(value) else value), trainer.current_epoch
            self.best_loss = math.inf if math.isnan(loss) else loss
        if trainer.is_global_zero:
            card = self._card(trainer, scores)
            module = _network(pl_module)
            with self._writing():
                self._write_history()
                write_model(self.out / LAST, module.evaluated_model, card)
                if better:
                    write_model(self.out / BEST, module.evaluated_model, card)
        self._save_state(trainer)
        self._stop_without_progress(trainer)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Somebody who stops a training may want the network as it is."""
        if isinstance(exception, TrainingInterrupted) and trainer.is_global_zero and trainer.global_step > 0:
            with suppress(OSError):
                write_model(self.out / LAST, _network(pl_module).evaluated_model, self._card(trainer, {}))

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_loss": self.best_loss, "best_epoch": self.best_epoch, "history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.best_loss = state_dict["best"], state_dict["best_loss"]
        self.best_epoch, self.history = state_dict["best_epoch"], state_dict["history"]

    def _stop_without_progress(self, trainer: L.Trainer) -> None:
        if self.patience and len(self.history) - 1 - self.best_epoch >= self.patience:
            trainer.should_stop = True

    def _card(self, trainer: L.Trainer, scores: Mapping[str, float]) -> ModelCard:
        finite = {name: value for name, value in scores.items() if math.isfinite(value)}
        return replace(self.card, scores=finite, history={**self.card.history, "epoch": trainer.current_epoch + 1})

    def _save_state(self, trainer: L.Trainer) -> None:
        with self._writing():
            trainer.save_checkpoint(self.out / RESUME)  # every process takes part, and the first one writes

    def _write_history(self) -> None:
        names = list(dict.fromkeys(name for row in self.history for name in row))
        with written_whole(self.out / HISTORY) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(
                {name: value if isinstance(value, int) else f"{value:.6g}" for name, value in row.items()} for row in self.history
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            epoch = max(0, len(self.history) - 1)
            kept = f"What was saved up to epoch {epoch} is whole" if epoch else "No epoch was saved yet"
            raise TrainingStopped(
                f"The training stopped: its files in {self.out} cannot be written ({error}). Is the disk full, or the folder "
                f"read-only? {kept}. Make room, and go on with --resume."
            ) from error


class StateFiles(TorchCheckpointIO):
    """Reads and writes the state of a training, each file whole, without code in it."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a state.

        Raises:
            OSError: it cannot be written.
        """
        with written_whole(Path(path)) as partial, partial.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # what its archive writer makes of a full disk
                raise OSError(str(error).splitlines()[0]) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Callable[..., Any] | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a state onto the CPU.

        Raises:
            TrainingStopped: it cannot be read.
        """
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
            raise TrainingStopped(
                f"The state of the training, {path}, cannot be read: it is damaged, or not ours ({type(error).__name__}). Delete "
                "it to begin again with --resume."
            ) from error
        return state


def read_history(run: Path) -> list[dict[str, float]]:
    """The rows of a run's results.csv; empty when there is none."""
    path = run / HISTORY
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def _lr(trainer: L.Trainer) -> float:
    return float(trainer.optimizers[0].param_groups[0]["lr"])


def _network(module: L.LightningModule) -> NetworkModule:
    if not isinstance(module, NetworkModule):
        raise SettingsError(f"{type(module).__name__} has no network that these checkpoints know how to save.")
    return module
