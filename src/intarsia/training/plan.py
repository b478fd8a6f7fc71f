"""Everything that a recipe leaves open is decided here, from the data and from a few measured steps, before training begins."""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import torch
from torch import nn

from intarsia.core import Batch
from intarsia.recipes import Stage
from intarsia.training.progress import duration
from intarsia.training.semantic import SemanticModule

__all__ = ["Cost", "choose_batch", "choose_sizes", "decide", "fit_to_budget", "measure_step"]

LONGEST_SIDE = 512
"""Larger images are fitted to this unless --imgsz says otherwise."""
CPU_BATCH, GPU_BATCH = 8, 16


@dataclass(frozen=True)
class Cost:
    """What a training step takes: seconds, and the peak memory of the process (CPU) or the device (GPU) in bytes."""

    step_s: float
    memory_bytes: int

    def total_s(self, steps_per_epoch: int, val_batches: int, epochs: int) -> float:
        """Seconds for a training; a validation batch is a forward pass, about a third of a step."""
        return epochs * self.step_s * (steps_per_epoch + val_batches / 3)

    def sentence(self, steps_per_epoch: int, val_batches: int, epochs: int) -> str:
        total = duration(self.total_s(steps_per_epoch, val_batches, epochs))
        memory = f", {self.memory_bytes / 2**30:.1f} GB" if self.memory_bytes else ""
        return f"about {total} for {epochs} epochs{memory}"


def decide(stage: Stage, sizes_hw: Sequence[tuple[int, int]], train_images: int, *, pretrained: bool, gpu: bool) -> Stage:
    """Fill in sizes, batch, learning rate and precision; what is given stays.

    The precision is bfloat16 where the hardware has it, which doubled the speed of a U-Net on such a CPU, else 32 bits.
    The learning rate is a rule, not a search, so that a run can be repeated: 1e-3 for AdamW and 1e-2 for SGD from random weights,
    a third of it from trained ones.
    """
    fit_hw, crop_hw = choose_sizes(stage, sizes_hw)
    base = {"adamw": 1e-3, "sgd": 1e-2}[stage.optimizer]
    return replace(
        stage,
        imgsz=fit_hw,
        crop=crop_hw,
        batch=stage.batch or choose_batch(train_images, gpu=gpu),
        lr=stage.lr or (base / 3 if pretrained else base),
        precision=stage.precision or ("bf16" if _has_bf16(gpu=gpu) else "32"),
        epochs=stage.epochs or (None if stage.time_s else 50),
    )


def _has_bf16(*, gpu: bool) -> bool:
    """Whether the hardware multiplies bfloat16 itself; where it only imitates it, that is slower than float32."""
    if gpu:
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    probes = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(probe() for probe in probes if probe is not None)


def choose_sizes(stage: Stage, sizes_hw: Sequence[tuple[int, int]]) -> tuple[tuple[int, int] | None, tuple[int, int]]:
    """The box that images are fitted into (None: native sizes) and the training crop.

    Images of one size up to 512 pixels stay as they are; larger ones are fitted to 512. Images of mixed sizes are fitted into a
    square of their median longest side, up to 512. The crop is the whole box: a network that looks far, such as DeepLab with
    dilations of hundreds of pixels, must see in training what it will see in use, or it makes things up there.
    """
    if stage.imgsz is not None:
        return stage.imgsz, stage.crop or stage.imgsz
    longest = min(LONGEST_SIDE, round(median(max(size) for size in sizes_hw)))
    if len(set(sizes_hw)) > 1:
        return (longest, longest), stage.crop or (longest, longest)
    scale = longest / max(sizes_hw[0])
    fitted = round(sizes_hw[0][0] * scale), round(sizes_hw[0][1] * scale)
    return (None if scale == 1 else fitted), stage.crop or fitted


def choose_batch(train_images: int, *, gpu: bool) -> int:
    """8 on a CPU and 16 on a GPU, less when that would leave fewer than four steps in an epoch."""
    return max(1, min(GPU_BATCH if gpu else CPU_BATCH, train_images // 4)) if train_images > 4 else max(1, min(2, train_images))


def measure_step(module: SemanticModule, batch: Batch, device: torch.device, *, steps: int = 2) -> Cost:
    """Time a few training steps on a copy of the network, after one to warm up; the network and the random state stay.

    Raises:
        torch.OutOfMemoryError: the batch does not fit on the device.
    """
    state = torch.get_rng_state()
    model: nn.Module = copy.deepcopy(module.model).to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9)
    image = batch.image.to(device)
    label = batch.label.to(device) if batch.label is not None else None
    precision = {"bf16": torch.bfloat16, "16": torch.float16}.get(module.stage.precision or "32")
    loss = copy.deepcopy(module.loss).to(device)
    started = math.nan
    for step in range(steps + 1):
        if step == 1:
            _wait(device)
            started = time.perf_counter()
        with torch.autocast(device.type, dtype=precision, enabled=precision is not None):
            value = loss(model(image).logits, label)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    _wait(device)
    seconds = (time.perf_counter() - started) / steps
    torch.set_rng_state(state)
    return Cost(seconds, _peak_memory(device))


def fit_to_budget(stage: Stage, cost: Cost, steps_per_epoch: int, val_batches: int) -> Stage:
    """The number of epochs that a time budget pays for, at least one and at most those asked for.

    The budget is then gone from the stage: the choice is frozen, and a resumed run keeps it.
    """
    if stage.time_s is None:
        return stage
    paid = max(1, int(stage.time_s / cost.total_s(steps_per_epoch, val_batches, 1)))
    return replace(stage, epochs=min(paid, stage.epochs or paid), time_s=None)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # Windows has no such count
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
