"""Training of semantic networks: what one step does, and how an epoch is scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Array, Batch, ClassSpace, DataError, LabelMap, Output
from intarsia.losses import loss_targets, target_loss
from intarsia.metrics.confusion import ConfusionEvidence, observe_confusion, score_confusion
from intarsia.training.module import NetworkModule

__all__ = ["SemanticModule", "needed_targets", "total_loss"]

SUSPICIOUS_SHARE = 0.99
"""Of the predictions, for one class."""


class SemanticModule(NetworkModule):
    """A network that says the class of each pixel; its loss takes (logits, label), and classes are what the logits mean."""

    MONITOR: ClassVar[str] = "val/miou"

    def inputs(self, batch: Batch) -> tuple[Tensor]:
        return (self.image(batch),)

    def learn(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        return total_loss(self.step_model(*self.inputs(batch)), batch, self.loss), {}

    def validation_step(self, batch: Batch, _index: int) -> None:
        if batch.label is None:
            return
        logits = self.evaluated_model(*self.inputs(batch)).logits
        targets = {name: (batch.targets or {})[name] for name in loss_targets(self.loss)}
        self.note("val", self.loss(logits, batch.label, **targets), {}, batch)
        predicted = logits.argmax(1) if logits.shape[1] > 1 else (logits[:, 0] > 0).long()
        dtype = self.classes.id_dtype
        pairs = zip(predicted.cpu().numpy().astype(dtype), batch.label.cpu().numpy().astype(dtype), batch.keys, strict=True)
        for ids, truth, key in pairs:
            self._evidence.append(observe_confusion(LabelMap(ids, self.classes), LabelMap(truth, self.classes), key))

    def scores(self) -> tuple[dict[str, float], str | None]:
        kinds = len(self.classes)
        evidence = ConfusionEvidence.concatenate(self._evidence) if self._evidence else None
        counts = torch.from_numpy(evidence.pooled if evidence else np.zeros((kinds, kinds + 1), np.int64)).to(self.device)
        ignored = torch.tensor([int(evidence.ignored.sum()) if evidence else 0], device=self.device)
        counts, ignored = self.over_processes(counts, "sum"), self.over_processes(ignored, "sum")
        scores = score_confusion(ConfusionEvidence(self.classes, ("all",), counts.cpu().numpy()[None], ignored.cpu().numpy()))
        values = {"val/miou": scores.miou, "val/accuracy": scores.pixel_accuracy, "val/share_scored": scores.share_scored}
        values |= {f"val/iou/{name}": float(iou) for name, iou in zip(self.classes.names, scores.iou, strict=True)}
        return values, _one_class_takes_all(counts.cpu().numpy(), self.classes)


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
