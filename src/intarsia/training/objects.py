"""Training of instance and panoptic networks: what one step does, and how an epoch is scored."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from intarsia.core import Batch, ClassSpace, Instances, Output, Panoptic, SettingsError, Task, thing_ids_of
from intarsia.inference.objects import arrays_of_image
from intarsia.losses import is_object_loss, object_loss
from intarsia.metrics.coco_ap import CocoApEvidence, coco_ap_of_draws, observe_coco_ap
from intarsia.metrics.panoptic_quality import PanopticEvidence, observe_panoptic_quality, score_panoptic_quality
from intarsia.postprocess import create_decoder
from intarsia.recipes import Stage
from intarsia.training.module import NetworkModule
from intarsia.training.semantic import SemanticModule

__all__ = ["MODULES", "InstanceModule", "ObjectLoss", "ObjectModule", "PanopticModule", "own_loss"]

NOTHING_FOUND = "No object was found in any validation image. Detectors need some epochs before the first; else lower --lr."
STILL = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)


class ObjectLoss(nn.Module):
    """The loss of an instance or panoptic network as a Module.

    Args:
        name: a file of `losses`, see `object_loss`.
        options: of that loss.
    """

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.function = object_loss(name, **options)

    def forward(self, output: Output, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self.function(output, targets)


def own_loss(stage: Stage, model: nn.Module) -> Stage:
    """The stage with the one loss that the network has; what stages have when nobody chose, a loss of label maps, makes way.

    Raises:
        SettingsError: another loss, or class weights, which are of label maps.
    """
    own = str(model.LOSS)
    if stage.loss != own and stage.loss != Stage().loss:
        kind = "one of other networks" if isinstance(stage.loss, str) and is_object_loss(stage.loss) else "one of label maps"
        raise SettingsError(
            f"{stage.model} learns from its own loss, {own}, and {stage.loss!r} was asked for, {kind}. Leave the loss out."
        )
    if stage.class_weights not in ("auto", "none"):
        raise SettingsError(f"{stage.model} takes no class weights, and {stage.class_weights!r} were asked for. Leave them out.")
    return replace(stage, loss=own, class_weights="none")


class ObjectModule(NetworkModule):
    """A network that finds objects, and its loss of (Output, targets)."""

    def __init__(self, model: nn.Module, loss: nn.Module, classes: ClassSpace, stage: Stage, total_steps: int, seed: int) -> None:
        super().__init__(model, loss, classes, stage, total_steps, seed)
        self.decode = create_decoder(str(model.DECODER))

    def inputs(self, batch: Batch) -> tuple[Any, ...]:
        return self.image(batch), batch.targets

    def learn(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        terms = self.loss(self.step_model(*self.inputs(batch)), batch.targets)
        return torch.stack(list(terms.values())).sum(), terms

    def validation_step(self, batch: Batch, index: int) -> None:
        model = self.evaluated_model
        output: Output = model(*self.inputs(batch))
        for number, (key, truth) in enumerate(zip(batch.keys, batch.truths, strict=True)):
            self._evidence.append(self.observe(output, number, truth, key))
        if "boxes_xyxy" in (output.parts or {}):  # detections; what the loss needs comes with proposals that are sampled
            torch.manual_seed(index)  # the same in each epoch
            with _as_in_training(model):
                output = model(*self.inputs(batch))
        terms = self.loss(output, batch.targets)
        self.note("val", torch.stack(list(terms.values())).sum(), terms, batch)

    @abstractmethod
    def observe(self, output: Output, number: int, truth: Any, key: str) -> Any:
        """Evidence of one image of a batch, at the size of the network."""

    def gathered(self) -> list[Any]:
        """The evidence of all processes."""
        if self.trainer.world_size == 1:
            return self._evidence
        found: list[list[Any] | None] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(found, self._evidence)
        return [evidence for part in found for evidence in part or ()]


class InstanceModule(ObjectModule):
    """Objects, scored by the average precision of their masks."""

    MONITOR: ClassVar[str] = "val/ap"

    def observe(self, output: Output, number: int, truth: Instances, key: str) -> CocoApEvidence:
        logits, parts = arrays_of_image(output, number)
        masks, class_index, score = self.decode(logits, parts, truth.size_hw)
        class_id = np.array(thing_ids_of(self.classes), np.int32)[class_index]
        return observe_coco_ap(Instances(masks, class_id, self.classes, score), truth, key)

    def scores(self) -> tuple[dict[str, float], str | None]:
        evidence = CocoApEvidence.concatenate(self.gathered())
        found = evidence.score(coco_ap_of_draws(evidence)).values
        values = {f"val/{name}": float(found[name]) for name in ("ap", "ap_50", "ap_75")}
        values |= {f"val/ap/{self.classes.names[i]}": float(found["ap_of_class"][i]) for i in thing_ids_of(self.classes)}
        empty = not any(image.predicted for image in evidence.images)
        return values, NOTHING_FOUND if empty else None


class PanopticModule(ObjectModule):
    """Things and stuff, scored by panoptic quality."""

    MONITOR: ClassVar[str] = "val/pq"

    def observe(self, output: Output, number: int, truth: Panoptic, key: str) -> PanopticEvidence:
        logits, parts = arrays_of_image(output, number)
        given = {"thing_ids": thing_ids_of(self.classes), "num_classes": len(self.classes)}
        ids, segments = self.decode(logits, parts, truth.size_hw, **given)
        return observe_panoptic_quality(Panoptic(ids, tuple(segments), self.classes), truth, key)

    def scores(self) -> tuple[dict[str, float], str | None]:
        found = score_panoptic_quality(PanopticEvidence.concatenate(self.gathered())).values
        values = {f"val/{name}": float(found[name]) for name in ("pq", "pq_things", "pq_stuff", "sq", "rq")}
        values |= {f"val/pq/{name}": float(pq) for name, pq in zip(self.classes.names, found["pq_of_class"], strict=True)}
        things = list(thing_ids_of(self.classes))
        empty = not (found["found_of_class"] + found["invented_of_class"])[things].any()
        return values, NOTHING_FOUND if empty else None


MODULES: dict[Task, type[NetworkModule]] = {"semantic": SemanticModule, "instance": InstanceModule, "panoptic": PanopticModule}
"""What trains a network for a task."""


@contextmanager
def _as_in_training(model: nn.Module) -> Iterator[None]:
    """Let a detector sample proposals as in training, while normalisation and dropout stay as in evaluation."""
    before = {module: module.training for module in model.modules()}
    model.train()
    for module in model.modules():
        if isinstance(module, STILL):
            module.eval()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training
