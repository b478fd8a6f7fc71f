"""What is left to look at when a training makes only steps that are not finite."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.core import Batch, ClassSpace, Output
from intarsia.core.whole_file import written_whole
from intarsia.recipes.run_files import NOT_FINITE, NOT_FINITE_STATE

__all__ = ["write_dump"]


def write_dump(
    folder: Path,
    model: nn.Module,
    inputs: tuple[Any, ...],
    batch: Batch,
    classes: ClassSpace,
    precision: AbstractContextManager[Any],
    facts: Mapping[str, Any],
) -> None:
    """Write what one asks first (not_finite.json), and the batch with the weights that it met (not_finite.ckpt, for torch.load).

    Args:
        folder: of the run.
        model: the network, in training mode, with the gradients of the step.
        inputs: what the network was called with.
        batch: the last one of the step.
        classes: of the label.
        precision: context in which the network runs.
        facts: what else the JSON file should say, first.
    """
    weights = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    gradients = [name for name, p in model.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()]
    logits, layer = _forward(model, inputs, precision)
    labels = dict(zip([*classes.names, "ignored"], _label_pixels(batch.label, classes), strict=True))
    said = {
        **facts,
        "keys": batch.keys,
        "image": _statistics(batch.image),
        "label pixels": labels,
        "logits": _statistics(logits),
        "first layer whose output is not finite": layer,
        "gradients that are not finite": gradients,
        "weights that are not finite": [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()],
    }
    with written_whole(folder / NOT_FINITE) as partial:
        partial.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    with written_whole(folder / NOT_FINITE_STATE) as partial:
        label = None if batch.label is None else batch.label.cpu()
        targets = {name: target.cpu() for name, target in (batch.targets or {}).items()}
        kept = {"keys": batch.keys, "image": batch.image.cpu(), "label": label, "targets": targets, "state_dict": weights}
        torch.save(kept, partial)


def _forward(model: nn.Module, inputs: tuple[Any, ...], precision: AbstractContextManager[Any]) -> tuple[Tensor, str | None]:
    """The logits, and the name of the first layer in order of running whose output is not finite."""
    found: list[str] = []

    def note(name: str) -> Any:
        def hook(_layer: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not torch.isfinite(output).all():
                found.append(name)

        return hook

    leaves = [(name, layer) for name, layer in model.named_modules() if not any(layer.children())]
    hooks = [layer.register_forward_hook(note(name)) for name, layer in leaves]
    with torch.no_grad(), precision:
        output: Output = model(*inputs)
    for hook in hooks:
        hook.remove()
    return output.logits, found[0] if found else None


def _statistics(values: Tensor) -> dict[str, Any]:
    """Over the finite values, and how many there are of the others."""
    finite = values.detach().double()[torch.isfinite(values)]
    some = {"min": finite.min().item(), "max": finite.max().item(), "mean": finite.mean().item()} if len(finite) else {}
    return {"shape": list(values.shape), "not finite": values.numel() - len(finite), **some}


def _label_pixels(label: Tensor | None, classes: ClassSpace) -> list[int]:
    if label is None:
        return [0] * (len(classes) + 1)
    return [int((label == value).sum()) for value in (*range(len(classes)), classes.ignore_id)]
