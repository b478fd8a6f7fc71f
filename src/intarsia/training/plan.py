"""Everything that a recipe leaves open is decided here, from the data and from a few measured steps, before training begins."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median

import torch
from torch import Tensor, nn

from intarsia.core import Batch, SettingsError
from intarsia.data.preprocessing import Preprocessing
from intarsia.recipes import Stage
from intarsia.training.interrupt import TrainingStopped
from intarsia.training.loaders import to_device
from intarsia.training.objects import ObjectLoss
from intarsia.training.progress import duration
from intarsia.training.schedule import make_optimizer
from intarsia.training.semantic import total_loss

__all__ = ["Cost", "choose_batch", "choose_sizes", "decide", "fit_to_budget", "measure", "smaller_batches"]

LONGEST_SIDE = 512
"""Larger images are fitted to this unless --imgsz says otherwise."""
CPU_BATCH, GPU_BATCH = 8, 16


@dataclass(frozen=True)
class Cost:
    """What training takes: seconds for a step and for a validation batch, and the peak memory of the process or the GPU."""

    step_s: float
    validation_s: float
    memory_bytes: int

    def total_s(self, steps: int, val_batches: int, epochs: int) -> float:
        """Seconds for a training of so many steps and validation batches in each epoch."""
        return epochs * (self.step_s * steps + self.validation_s * val_batches)

    def sentence(self, steps: int, val_batches: int, epochs: int) -> str:
        memory = f", {self.memory_bytes / 2**30:.1f} GB" if self.memory_bytes else ""
        return f"about {duration(self.total_s(steps, val_batches, epochs))} for {epochs} epochs{memory}"


def decide(stage: Stage, sizes_hw: Sequence[tuple[int, int]], train_images: int, *, pretrained: bool, gpu: bool) -> Stage:
    """Fill in sizes, batch, learning rate and precision; what is given stays.

    The precision is bfloat16 where the hardware has it, which doubled the speed of a U-Net on such a CPU, else 32 bits.
    The learning rate is a rule, not a search, so that a run can be repeated: from random weights 1e-2 for SGD and 1e-3 for
    others, a third of it from trained ones.
    """
    fit_hw, crop_hw = choose_sizes(stage, sizes_hw)
    base = 1e-2 if stage.optimizer == "sgd" else 1e-3
    return replace(
        stage,
        imgsz=fit_hw,
        crop=crop_hw,
        batch=stage.batch or choose_batch(train_images, gpu=gpu),
        lr=stage.lr or (base / 3 if pretrained else base),
        precision=stage.precision or ("bf16" if _has_bf16(gpu=gpu) else "32"),
        epochs=stage.epochs or (None if stage.time_s or stage.steps else 50),
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
    square of their median longest side, up to 512. The crop is as large as most fitted images: a network that looks far, such as
    DeepLab with dilations of hundreds of pixels, must see in training what it will see in use, or it makes things up there.
    A crop given without a box is cut from images at their own size.
    """
    if stage.imgsz is not None:
        box: tuple[int, int] | None = stage.imgsz
    elif stage.crop is not None or (len(set(sizes_hw)) == 1 and max(sizes_hw[0]) <= LONGEST_SIDE):
        box = None
    else:
        longest = min(LONGEST_SIDE, round(median(max(size) for size in sizes_hw)))
        box = (longest, longest)
    fitted = [Preprocessing((), (), box).fitted_size(size) for size in sizes_hw]
    usual = round(median(height for height, _ in fitted)), round(median(width for _, width in fitted))
    return box, stage.crop or stage.imgsz or usual


def choose_batch(train_images: int, *, gpu: bool) -> int:
    """8 on a CPU and 16 on a GPU, less when that would leave fewer than four steps in an epoch, but two where there are two.

    A single image can leave a normalisation one value, which has no variance.
    """
    return max(min(2, train_images), min(GPU_BATCH if gpu else CPU_BATCH, train_images // 4))


def measure(
    model: nn.Module,
    loss: nn.Module,
    stage: Stage,
    training_batch: Callable[[int], Batch],
    validation_batch: Batch,
    device: torch.device,
    *,
    workers: int = 0,
    steps: int = 4,
) -> Cost:
    """Time a few training steps on a copy of the network, after one to warm up; the network and the random state stay.

    Args:
        model: the network.
        loss: takes (logits, label), or is an `ObjectLoss`.
        stage: optimizer and precision.
        training_batch: makes the batch of step 0, 1, ...; what that takes counts, shared among the workers.
        validation_batch: one batch, for the forward pass alone.
        device: where it runs.
        workers: processes that prepare batches beside the training; without any, the step waits.
        steps: how many to time.

    Raises:
        torch.OutOfMemoryError: the batch does not fit on the device.
    """
    state = torch.get_rng_state()
    model, loss = copy.deepcopy(model).to(device).train(), copy.deepcopy(loss).to(device)
    optimizer = make_optimizer(model.named_parameters(), stage)
    precision = {"bf16": torch.bfloat16, "16": torch.float16}.get(stage.precision or "32")
    times: dict[str, list[float]] = {"prepare": [], "step": [], "validate": []}
    for step in range(steps + 1):
        with _timed(times["prepare"], device):
            batch = training_batch(step)
        with _timed(times["step"], device), torch.autocast(device.type, dtype=precision, enabled=precision is not None):
            batch = to_device(batch, device)
            value = _loss(model, batch, loss)
            optimizer.zero_grad()
            torch.autograd.backward(value)
            optimizer.step()
    model.eval()
    batch = to_device(validation_batch, device)
    inputs = (batch.image, batch.targets) if isinstance(loss, ObjectLoss) else (batch.image,)
    with torch.inference_mode(), torch.autocast(device.type, dtype=precision, enabled=precision is not None):
        for _ in range(2):  # the first time warms up
            with _timed(times["validate"], device):
                model(*inputs)
    torch.set_rng_state(state)
    prepare, step_s = (sum(times[name][1:]) / steps for name in ("prepare", "step"))
    total = max(step_s, prepare / workers) if workers else step_s + prepare
    return Cost(total, times["validate"][1], _peak_memory(device))


def smaller_batches(stage: Stage) -> Stage:
    """Half the batch or less, and as many more batches in an optimizer step, so that a step still sees as many images.

    Raises:
        TrainingStopped: the batch is one image.
    """
    batch = stage.batch or 1
    if batch == 1:
        raise TrainingStopped(
            "There is not enough memory for a training step on one image of "
            + "{}x{}. Use smaller images (--imgsz, --crop), or a smaller network.".format(*(stage.crop or ("?", "?")))
        )
    fewer = max(count for count in range(1, batch // 2 + 1) if batch % count == 0)
    return replace(stage, batch=fewer, accumulate=stage.accumulate * (batch // fewer))


def _loss(model: nn.Module, batch: Batch, loss: nn.Module) -> Tensor:
    """The loss of a batch.

    Raises:
        SettingsError: a batch or crop so small that a normalisation has a single value, which has no variance.
    """
    try:
        if isinstance(loss, ObjectLoss):
            return torch.stack(list(loss(model(batch.image, batch.targets), batch.targets).values())).sum()
        return total_loss(model(batch.image), batch, loss)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        count, _, height, width = batch.image.shape
        raise SettingsError(
            f"{count} image{'s' * (count > 1)} of {height} x {width} leave a normalisation of this network one value for each "
            "channel, which has no variance. Give a larger --batch, --imgsz or --crop."
        ) from error


def fit_to_budget(stage: Stage, cost: Cost, steps: int, val_batches: int) -> Stage:
    """The number of epochs that a time budget pays for, at least one and at most those asked for.

    The budget is then gone from the stage: the choice is frozen, and a resumed run keeps it.
    """
    if stage.time_s is None:
        return stage
    paid = max(1, int(stage.time_s / cost.total_s(steps, val_batches, 1)))
    return replace(stage, epochs=min(paid, stage.epochs or paid), time_s=None)


@contextmanager
def _timed(into: list[float], device: torch.device) -> Iterator[None]:
    """Append the seconds that the block takes, the device's queue included."""
    started = time.perf_counter()
    yield
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    into.append(time.perf_counter() - started)


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # Windows has no such count
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
