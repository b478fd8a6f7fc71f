"""Training of semantic networks: what one step does, and how an epoch is scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from intarsia.core import Array, Batch, ClassSpace, DataError, LabelMap, Output
from intarsia.losses import loss_targets, target_loss
from intarsia.metrics.confusion import ConfusionEvidence, observe_confusion, score_confusion
from intarsia.ops.over_processes import batch_over_processes
from intarsia.recipes import Stage
from intarsia.recipes.run_files import NOT_FINITE, NOT_FINITE_STATE
from intarsia.training.interrupt import TrainingStopped
from intarsia.training.not_finite import write_dump
from intarsia.training.schedule import learning_rate_factor, make_optimizer

__all__ = ["SemanticModule", "needed_targets", "total_loss"]

MOST_SKIPPED = 20
"""So many steps in a row without finite gradients are no accident. A gradient scaler needs at most 16 to come down to 1."""
SUSPICIOUS_SHARE = 0.99
"""Of the predictions, for one class."""


class SemanticModule(L.LightningModule):
    """A network, its loss and its schedule.

    Args:
        model: the network.
        loss: takes (logits, label).
        classes: what the logits mean.
        stage: settings, all decided.
        total_steps: optimizer steps of the whole training.
        seed: with epoch, batch and process it gives the random state of each batch, whatever was trained before it.
    """

    def __init__(self, model: nn.Module, loss: nn.Module, classes: ClassSpace, stage: Stage, total_steps: int, seed: int) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last) if stage.channels_last else model
        self.loss, self.classes, self.stage, self.total_steps, self.seed = loss, classes, stage, total_steps, seed
        for name, parameter in self.model.named_parameters():
            if name.startswith(stage.frozen or ("\0",)):
                parameter.requires_grad_(False)
        self.average = _moving_average(model, stage.ema) if stage.ema else None
        self.step_model = torch.compile(self.model) if stage.compile else self.model
        self._evidence: list[ConfusionEvidence] = []
        self._losses: dict[str, list[tuple[Tensor, int]]] = {"train/loss": [], "val/loss": []}  # and numbers of images
        self._counted = 0
        self._before: list[Tensor] = []
        self._batch: Batch | None = None
        self.skipped_steps = 0
        self.skipped_in_a_row: list[dict[str, Any]] = []
        self.warning: str | None = None

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
            self._counted = len(self._losses["train/loss"])
        self._batch = batch
        with batch_over_processes():
            loss = total_loss(self.step_model(self._image(batch)), batch, self.loss)
        self._note("train/loss", loss, batch)
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
        del self._losses["train/loss"][self._counted :]
        self.skipped_steps += 1

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.average is not None:
            self.average.update_parameters(self.model)

    def validation_step(self, batch: Batch, _index: int) -> None:
        if batch.label is None:
            return
        logits = self.evaluated_model(self._image(batch)).logits
        targets = {name: (batch.targets or {})[name] for name in loss_targets(self.loss)}
        self._note("val/loss", self.loss(logits, batch.label, **targets), batch)
        predicted = logits.argmax(1) if logits.shape[1] > 1 else (logits[:, 0] > 0).long()
        dtype = self.classes.id_dtype
        pairs = zip(predicted.cpu().numpy().astype(dtype), batch.label.cpu().numpy().astype(dtype), batch.keys, strict=True)
        for ids, truth, key in pairs:
            self._evidence.append(observe_confusion(LabelMap(ids, self.classes), LabelMap(truth, self.classes), key))

    def on_validation_epoch_end(self) -> None:
        kinds = len(self.classes)
        evidence = ConfusionEvidence.concatenate(self._evidence) if self._evidence else None
        counts = torch.from_numpy(evidence.pooled if evidence else np.zeros((kinds, kinds + 1), np.int64)).to(self.device)
        ignored = torch.tensor([int(evidence.ignored.sum()) if evidence else 0], device=self.device)
        counts, ignored = self._over_processes(counts, "sum"), self._over_processes(ignored, "sum")
        scores = score_confusion(ConfusionEvidence(self.classes, ("all",), counts.cpu().numpy()[None], ignored.cpu().numpy()))
        values = {"val/miou": scores.miou, "val/accuracy": scores.pixel_accuracy, "val/share_scored": scores.share_scored}
        values |= {f"val/iou/{name}": float(iou) for name, iou in zip(self.classes.names, scores.iou, strict=True)}
        values["train/skipped_steps"] = float(self.skipped_steps)
        for name, losses in self._losses.items():
            none = torch.zeros(2, device=self.device)
            sums = torch.stack([none, *(torch.stack([loss * images, loss.new_tensor(images)]) for loss, images in losses)]).sum(0)
            total, images = self._over_processes(sums, "sum").tolist()
            if images:
                values[name] = total / images
        self.log_dict({name: torch.tensor(value) for name, value in values.items()})
        self.warning = _one_class_takes_all(counts.cpu().numpy(), self.classes) if self.current_epoch > 0 else None
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
        self._losses = {name: [] for name in self._losses}

    def _note(self, name: str, loss: Tensor, batch: Batch) -> None:
        self._losses[name].append((loss.detach().float(), len(batch.keys)))

    def _stop(self, optimizer: torch.optim.Optimizer) -> None:
        folder, rate = Path(self.trainer.default_root_dir), optimizer.param_groups[0]["lr"]
        if self.trainer.is_global_zero and self._batch is not None:
            facts = {"epoch": self.current_epoch + 1, "learning rate": rate, "precision": self.stage.precision}
            facts["steps that were skipped"] = self.skipped_in_a_row
            precision = self.trainer.precision_plugin.forward_context()
            write_dump(folder, self.model, self._batch, self.classes, precision, facts)
        wider = "" if self.stage.precision == "32" else ", or --precision 32"
        raise TrainingStopped(
            f"The training stopped in epoch {self.current_epoch + 1}: the gradients of {MOST_SKIPPED} steps in a row were not "
            f"finite (loss {self.skipped_in_a_row[-1]['losses'][-1]}, learning rate {rate:.2g}, precision "
            f"{self.stage.precision}). {folder / NOT_FINITE} names the images, layers and weights concerned, and "
            f"{NOT_FINITE_STATE} beside it holds the batch and the weights. Try an --lr below {self.stage.lr:.2g}{wider}."
        )

    def _over_processes(self, value: Tensor, how: str) -> Tensor:
        reduced: Tensor = self.trainer.strategy.reduce(value, reduce_op=how)
        return reduced

    def _image(self, batch: Batch) -> Tensor:
        return batch.image.contiguous(memory_format=torch.channels_last) if self.stage.channels_last else batch.image


def _one_class_takes_all(counts: Array, classes: ClassSpace) -> str | None:
    """A warning when nearly all predictions are of one class; counts (K, K + 1) are truth by prediction."""
    predicted, truth = counts[:, :-1].sum(0), counts.sum(1)
    most = int(predicted.argmax())
    share = predicted[most] / max(1, predicted.sum())
    if share <= SUSPICIOUS_SHARE:
        return None
    return (
        f"{share:.2%} of the predicted pixels are {classes.names[most]!r}, which is {truth[most] / max(1, truth.sum()):.2%} of "
        "the truth. A score for saying one thing everywhere means little: look at the IoU of each class."
    )


def _moving_average(model: nn.Module, decay: float) -> AveragedModel:
    """Exponential average whose decay grows to `decay` as (1 + n) / (10 + n), so that the first, random weights fade soon."""

    def average(averaged: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
        keep = min(decay, (1 + int(steps)) / (10 + int(steps)))
        return averaged * keep + current * (1 - keep)

    return AveragedModel(model, avg_fn=average).requires_grad_(False)


def total_loss(output: Output, batch: Batch, loss: nn.Module) -> Tensor:
    """The loss of the main head plus that of every auxiliary head times its weight.

    A head that learns the label has the loss of the main head; one that learns another target has that target's loss.
    """
    if batch.label is None:
        raise DataError(f"The samples {', '.join(batch.keys)} have no truth; a network cannot learn from them.")
    targets = batch.targets or {}
    total: Tensor = loss(output.logits, batch.label, **{name: targets[name] for name in loss_targets(loss)})
    for head in output.auxiliary:
        if head.target != "label":
            total = total + head.weight * target_loss(head.target)(head.logits, targets[head.target])
            continue
        logits, label = head.logits, batch.label
        if head.resize == "label":
            label = F.interpolate(label[:, None].float(), logits.shape[-2:], mode="nearest-exact")[:, 0].long()
        elif logits.shape[-2:] != label.shape[-2:]:
            logits = F.interpolate(logits, label.shape[-2:], mode="bilinear", align_corners=False)
        resized = {
            name: F.interpolate(targets[name][:, None].float(), label.shape[-2:], mode="nearest-exact")[:, 0]
            for name in loss_targets(loss)
        }
        total = total + head.weight * loss(logits, label, **resized)
    return total


def needed_targets(model: nn.Module, loss: nn.Module, in_channels: int) -> tuple[str, ...]:
    """Names of the targets beside the label that the loss and the network's auxiliary heads ask for."""
    was_training = model.training
    with torch.inference_mode():
        output: Output = model.eval()(torch.zeros(1, in_channels, 32, 32, device=next(model.parameters()).device))
    model.train(was_training)
    heads = (head.target for head in output.auxiliary if head.target != "label")
    return tuple(dict.fromkeys([*loss_targets(loss), *heads]))
