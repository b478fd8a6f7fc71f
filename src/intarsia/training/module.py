"""What the training of every network has in common: steps, those that are skipped, averages, and how an epoch ends."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from intarsia.core import Batch, ClassSpace
from intarsia.ops.over_processes import batch_over_processes
from intarsia.recipes import Stage
from intarsia.recipes.run_files import NOT_FINITE, NOT_FINITE_STATE
from intarsia.training.interrupt import TrainingStopped
from intarsia.training.not_finite import write_dump
from intarsia.training.schedule import learning_rate_factor, make_optimizer

__all__ = ["NetworkModule"]

MOST_SKIPPED = 20
"""So many steps in a row without finite gradients are no accident. A gradient scaler needs at most 16 to come down to 1."""


class NetworkModule(L.LightningModule):
    """A network, its loss and its schedule; what is learnt and scored say the subclasses.

    Args:
        model: the network.
        loss: what it learns from.
        classes: of the truth.
        stage: settings, all decided.
        total_steps: optimizer steps of the whole training.
        seed: with epoch, batch and process it gives the random state of each batch, whatever was trained before it.
    """

    MONITOR: ClassVar[str]
    """The score whose highest epoch is the best."""

    def __init__(self, model: nn.Module, loss: nn.Module, classes: ClassSpace, stage: Stage, total_steps: int, seed: int) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last) if stage.channels_last else model
        self.loss, self.classes, self.stage, self.total_steps, self.seed = loss, classes, stage, total_steps, seed
        for name, parameter in self.model.named_parameters():
            if name.startswith(stage.frozen or ("\0",)):
                parameter.requires_grad_(False)
        self.average = _moving_average(model, stage.ema) if stage.ema else None
        self.step_model = torch.compile(self.model) if stage.compile else self.model
        self._evidence: list[Any] = []
        self._losses: dict[str, list[tuple[Tensor, int]]] = {}  # and numbers of images
        self._counted = 0
        self._before: list[Tensor] = []
        self._batch: Batch | None = None
        self.skipped_steps = 0
        self.skipped_in_a_row: list[dict[str, Any]] = []
        self.warning: str | None = None

    @abstractmethod
    def inputs(self, batch: Batch) -> tuple[Any, ...]:
        """What the network is called with."""

    @abstractmethod
    def learn(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of a batch in training, and the terms that it consists of where there are several."""

    @abstractmethod
    def scores(self) -> tuple[dict[str, float], str | None]:
        """The scores of the images that `validation_step` has observed in all processes, and what is suspicious about them."""

    @property
    def evaluated_model(self) -> nn.Module:
        """The weights that are scored and saved: the moving average where there is one."""
        return self.average.module if self.average is not None else self.model

    def setup(self, stage: str) -> None:
        # Each process measured for itself; the first one's choice holds for all.
        chosen = (self.total_steps, self.trainer.max_epochs, self.trainer.accumulate_grad_batches)
        chosen = self.trainer.strategy.broadcast(chosen)
        self.total_steps, self.trainer.fit_loop.max_epochs, self.trainer.accumulate_grad_batches = chosen

    def on_train_epoch_start(self) -> None:
        self._begin_epoch()
        for name, module in self.model.named_modules():
            if any(name.startswith(prefix.rstrip(".")) for prefix in self.stage.frozen):
                module.eval()  # frozen normalisation keeps its running statistics too

    def training_step(self, batch: Batch, index: int) -> Tensor:
        # Not once an epoch: loaders draw a number when they begin, which in a resumed run is at another time.
        state = np.random.SeedSequence((self.seed, self.current_epoch, index, self.global_rank))
        torch.manual_seed(int(state.generate_state(1, np.uint64)[0]))
        if index % self.trainer.accumulate_grad_batches == 0:  # a new optimizer step begins
            self._before = [buffer.clone() for buffer in self.model.buffers()]
            self._counted = len(self._losses.get("train/loss", ()))
        self._batch = batch
        with batch_over_processes():
            loss, terms = self.learn(batch)
        self.note("train", loss, terms, batch)
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """A step whose gradients are not finite is not taken; running statistics go back to what they were before it.

        With precision 16 the gradient scaler would skip the step as well, and takes note of it before.

        Raises:
            TrainingStopped: `MOST_SKIPPED` such steps in a row; files in the folder of the run say more.
        """
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
            self.skipped_in_a_row = []
            return
        keys = self._batch.keys if self._batch else ()
        losses = [str(loss.item()) for loss, _ in self._losses["train/loss"][self._counted :]]
        self.skipped_in_a_row.append({"step": self.global_step, "losses": losses, "last images": keys})
        if len(self.skipped_in_a_row) == MOST_SKIPPED:
            self._stop(optimizer)
        optimizer.zero_grad(set_to_none=True)
        for buffer, before in zip(self.model.buffers(), self._before, strict=True):
            buffer.copy_(before)
        for name, noted in self._losses.items():
            if name.startswith("train/"):
                del noted[self._counted :]
        self.skipped_steps += 1

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.average is not None:
            self.average.update_parameters(self.model)

    def on_validation_epoch_end(self) -> None:
        values, suspicion = self.scores()
        values["train/skipped_steps"] = float(self.skipped_steps)
        for name, losses in self._losses.items():
            none = torch.zeros(2, device=self.device)
            sums = torch.stack([none, *(torch.stack([loss * images, loss.new_tensor(images)]) for loss, images in losses)]).sum(0)
            total, images = self.over_processes(sums, "sum").tolist()
            if images:
                values[name] = total / images
        self.log_dict({name: torch.tensor(value) for name, value in values.items()})
        self.warning = suspicion if self.current_epoch > 0 else None
        self._begin_epoch()

    def configure_optimizers(self) -> Any:
        optimizer = make_optimizer(self.model.named_parameters(), self.stage)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, learning_rate_factor(self.stage, self.total_steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["skipped_in_a_row"] = self.skipped_in_a_row

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.skipped_in_a_row = checkpoint["skipped_in_a_row"]

    def _begin_epoch(self) -> None:
        self._evidence, self.skipped_steps = [], 0
        self._losses = {"train/loss": [], "val/loss": []}

    def note(self, split: str, loss: Tensor, terms: Mapping[str, Tensor], batch: Batch) -> None:
        """Keep a loss and its terms for the means over the epoch."""
        for name, value in {"": loss, **terms}.items():
            noted = self._losses.setdefault(f"{split}/loss/{name}".rstrip("/"), [])
            noted.append((value.detach().float(), len(batch.keys)))

    def _stop(self, optimizer: torch.optim.Optimizer) -> None:
        folder, rate = Path(self.trainer.default_root_dir), optimizer.param_groups[0]["lr"]
        if self.trainer.is_global_zero and self._batch is not None:
            facts = {"epoch": self.current_epoch + 1, "learning rate": rate, "precision": self.stage.precision}
            facts["steps that were skipped"] = self.skipped_in_a_row
            precision = self.trainer.precision_plugin.forward_context()
            write_dump(folder, self.model, self.inputs(self._batch), self._batch, self.classes, precision, facts)
        wider = "" if self.stage.precision == "32" else ", or --precision 32"
        raise TrainingStopped(
            f"The training stopped in epoch {self.current_epoch + 1}: the gradients of {MOST_SKIPPED} steps in a row were not "
            f"finite (loss {self.skipped_in_a_row[-1]['losses'][-1]}, learning rate {rate:.2g}, precision "
            f"{self.stage.precision}). {folder / NOT_FINITE} names the images, layers and weights concerned, and "
            f"{NOT_FINITE_STATE} beside it holds the batch and the weights. Try an --lr below {self.stage.lr:.2g}{wider}."
        )

    def over_processes(self, value: Tensor, how: str) -> Tensor:
        """What all processes have of a tensor, as one."""
        reduced: Tensor = self.trainer.strategy.reduce(value, reduce_op=how)
        return reduced

    def image(self, batch: Batch) -> Tensor:
        """The images as they lie in memory for this network."""
        return batch.image.contiguous(memory_format=torch.channels_last) if self.stage.channels_last else batch.image


def _moving_average(model: nn.Module, decay: float) -> AveragedModel:
    """Exponential average whose decay grows to `decay` as (1 + n) / (10 + n), so that the first, random weights fade soon."""

    def average(averaged: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
        keep = min(decay, (1 + int(steps)) / (10 + int(steps)))
        return averaged * keep + current * (1 - keep)

    return AveragedModel(model, avg_fn=average).requires_grad_(False)
