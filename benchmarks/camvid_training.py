"""One training of the CamVid bench: it can be stopped at any step, and goes on from there as if it had not been."""

from __future__ import annotations

import copy
import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from camvid_data import Batches, Device, ResidentSplit
from torch import Tensor, nn

from intarsia.core import Array, Batch, IntarsiaError, LabelMap
from intarsia.core.whole_file import written_whole
from intarsia.metrics.confusion import ConfusionEvidence, ConfusionScores, observe_confusion, score_confusion
from intarsia.recipes import Stage
from intarsia.training.schedule import learning_rate_factor, make_optimizer
from intarsia.training.semantic import total_loss

SAVE_EVERY_S = 60.0
VALIDATIONS = 30
"""At most so many in a training."""


class Diverged(IntarsiaError):
    """The loss is not finite."""


class Stopped(Exception):
    """The time of the command is up, or somebody pressed Ctrl-C; everything is saved."""


class Clock:
    """Says when to stop: at a deadline, and after Ctrl-C or SIGTERM."""

    def __init__(self, limit_s: float | None = None) -> None:
        self._deadline = math.inf if limit_s is None else time.monotonic() + limit_s
        self._asked = False

    def listen(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, *_: Any) -> None:
        self._asked = True

    @property
    def is_over(self) -> bool:
        return self._asked or time.monotonic() >= self._deadline


@dataclass
class Progress:
    """How far a training is; saved with the weights.

    epoch, batch: what comes next.
    loss: sum over the batches of this epoch.
    best, best_epoch: the highest mIoU on the validation images, and after which epoch.
    training_s, images: of the training steps alone.
    peak_bytes: of memory.
    observed: counts and ignored pixels of the images that the evaluation under way has seen.
    """

    epoch: int = 0
    batch: int = 0
    loss: float = 0.0
    best: float = -1.0
    best_epoch: int = 0
    training_s: float = 0.0
    images: int = 0
    peak_bytes: int = 0
    observed: list[tuple[list[list[int]], int]] = field(default_factory=list)


class Training:
    """A network with its optimizer and schedule, and the file that they are saved in.

    Args:
        model: the network, on its device.
        loss: takes (logits, label).
        stage: settings, all decided but the number of epochs, which `plan` may still lower.
        batches: of the training images.
        runs: the device.
        state: file to save to.

    `notes` are plain values that are saved beside.
    """

    def __init__(self, model: nn.Module, loss: nn.Module, stage: Stage, batches: Batches, runs: Device, state: Path) -> None:
        self.model = model
        self.loss, self.batches, self.runs, self.state = loss, batches, runs, state
        self.notes: dict[str, Any] = {}
        self.step_model = torch.compile(self.model, mode=runs.compile) if runs.compile else self.model
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False) if stage.ema else None
        # Running statistics are averaged as well.
        self._mean, self._now = (
            [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]
            for network in (self.evaluated, self.model)
        )
        self.progress = Progress()
        self._sum = torch.zeros((), device=runs.device)
        self._saved_at = time.monotonic()
        self.begin(stage)

    @property
    def evaluated(self) -> nn.Module:
        """The moving average of the weights where there is one."""
        return self.model if self.average is None else self.average

    def begin(self, stage: Stage) -> None:
        """Take these settings, with a new optimizer."""
        self.stage, self.epochs = stage, stage.epochs or 1
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(parameter.requires_grad and not name.startswith(stage.frozen or ("\0",)))
        self.optimizer = make_optimizer(self.model.named_parameters(), stage)
        self.optimizer.zero_grad()
        self._rates = [group["lr"] for group in self.optimizer.param_groups]
        self._factor = learning_rate_factor(stage, self.epochs * self._steps)

    @property
    def _steps(self) -> int:
        """Optimizer steps in an epoch."""
        return max(1, len(self.batches) // self.stage.accumulate)

    def trial(self, batches: Iterator[Batch], warm_up: int, steps: int) -> float:
        """Images a second over some training steps, after which the network is as before; the optimizer is not."""
        before = copy.deepcopy(self.model.state_dict())
        self._train()
        for number in range(warm_up):
            self._step(next(batches), 0, number)
        self.runs.wait()
        started, images = time.perf_counter(), 0
        for number in range(steps):
            batch = next(batches)
            self._step(batch, 0, number)
            images += len(batch.keys)
        self.runs.wait()
        rate = images / (time.perf_counter() - started)
        self.model.load_state_dict(before)
        if self.average is not None:
            self.average.load_state_dict(before)
        self._sum.zero_()
        return rate

    def plan(self, images_per_s: float, validation_s: float) -> None:
        """Choose the epochs that the time of the stage pays for, validations included, at most those asked for."""
        stage = self.stage
        if stage.steps is not None:
            stage = replace(stage, epochs=math.ceil(stage.steps / self._steps), steps=None)
        if stage.time_s is not None:
            epoch_s = len(self.batches) * self.batches.batch / images_per_s
            paid = stage.time_s / (epoch_s + validation_s)
            if paid > VALIDATIONS:
                paid = (stage.time_s - VALIDATIONS * validation_s) / epoch_s
            stage = replace(stage, epochs=max(1, min(int(paid), stage.epochs or int(paid))), time_s=None)
        self.begin(stage)

    def run(
        self, validation: ResidentSplit, keep: Callable[[nn.Module, float], None], clock: Clock, say: Callable[[str], None]
    ) -> None:
        """Train to the end, or until `patience` epochs have not been better.

        Args:
            validation: measured on at most `VALIDATIONS` times.
            keep: called with the weights and their mIoU when it is the highest so far.
            clock: says when to stop.
            say: prints a line.

        Raises:
            Stopped: it was time to.
            Diverged: the loss is not finite.
        """
        progress = self.progress
        patience = self.stage.patience or self.epochs
        while progress.epoch < min(self.epochs, progress.best_epoch + patience):
            self._train_epoch(clock)
            epoch, loss = progress.epoch + 1, progress.loss / len(self.batches)
            if not math.isfinite(loss):
                raise Diverged(f"the loss is {loss} in epoch {epoch}")
            if epoch % math.ceil(self.epochs / VALIDATIONS) == 0 or epoch == self.epochs:
                miou = self.evaluate(self.evaluated, validation, clock).miou
                rate = progress.images / progress.training_s
                say(f"epoch {epoch}/{self.epochs}, loss {loss:.3f}, val mIoU {miou:.4f}, {rate:.1f} images/s")
                if miou > progress.best:
                    progress.best, progress.best_epoch = miou, epoch
                    keep(self.evaluated, miou)
            progress.epoch, progress.batch, progress.loss = epoch, 0, 0.0
            if self._is_overdue:
                self.save()
        self.save()

    def _train_epoch(self, clock: Clock) -> None:
        """What is left of the epoch; nothing where it only waits for its validation."""
        progress, accumulate = self.progress, self.stage.accumulate
        self._train()
        started = time.perf_counter()
        for number, batch in enumerate(self.batches.of_epoch(progress.epoch, progress.batch), progress.batch):
            self._step(batch, progress.epoch, number)
            progress.images += len(batch.keys)
            progress.batch = number + 1
            is_over = clock.is_over
            if (is_over or self._is_overdue) and progress.batch % accumulate == 0 and progress.batch < len(self.batches):
                self.runs.wait()
                progress.training_s += time.perf_counter() - started
                self._pause(is_over)
                started = time.perf_counter()
        self.runs.wait()
        progress.training_s += time.perf_counter() - started
        self._take_sum()

    def _train(self) -> None:
        """Training mode, in which what is frozen keeps its running statistics too."""
        for name, module in self.model.train().named_modules():
            if any(name.startswith(prefix.rstrip(".")) for prefix in self.stage.frozen):
                module.eval()

    def _step(self, batch: Batch, epoch: int, number: int) -> None:
        """One batch, and after `accumulate` of them a step of the optimizer."""
        state = np.random.SeedSequence((self.batches.seed, epoch, number)).generate_state(1, np.uint64)
        torch.manual_seed(int(state[0]))  # so that a training taken up again drops what the whole one drops
        accumulate = self.stage.accumulate
        with self.runs.cast():
            loss = total_loss(self.step_model(batch.image), batch, self.loss)
        torch.autograd.backward(loss / accumulate)
        self._sum += loss.detach().float()
        if (number + 1) % accumulate:
            return
        done = epoch * self._steps + number // accumulate
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * self._factor(done)
        if self.stage.clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.stage.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average is not None and self.stage.ema:
            keep = min(self.stage.ema, (1 + done) / (10 + done))
            with torch.no_grad():
                torch._foreach_lerp_(self._mean, self._now, 1 - keep)

    def evaluate(self, model: nn.Module, split: ResidentSplit, clock: Clock) -> ConfusionScores:
        """Scores of the pixels of all images of a split at their own size.

        Raises:
            Stopped: it was time to; what was seen so far is saved.
        """
        observed, size = self.progress.observed, self.batches.batch
        while len(observed) < len(split):
            seen = slice(len(observed), len(observed) + size)
            maps = self.predict(model, split, seen)
            for ids, truth, key in zip(maps, split.truths[seen], split.keys[seen], strict=True):
                evidence = observe_confusion(LabelMap(ids, split.classes), truth, key)
                observed.append((evidence.counts[0].tolist(), int(evidence.ignored[0])))
            is_over = clock.is_over
            if (is_over or self._is_overdue) and len(observed) < len(split):
                self._pause(is_over)
        counts, ignored = (np.array(part, np.int64) for part in zip(*observed, strict=True))
        self.progress.observed = []
        return score_confusion(ConfusionEvidence(split.classes, split.keys, counts, ignored))

    def predict(self, model: nn.Module, split: ResidentSplit, seen: slice) -> Array:
        """Class ids (N, H, W) of some images."""
        image = self.batches.scale(split.images[seen].float())
        with torch.inference_mode(), self.runs.cast():
            predicted: Tensor = model.eval()(self.runs.lay(image)).logits.argmax(1)
        return predicted.cpu().numpy().astype(split.classes.id_dtype)

    @property
    def _is_overdue(self) -> bool:
        return time.monotonic() - self._saved_at > SAVE_EVERY_S

    def _pause(self, is_over: bool) -> None:
        self.save()
        if is_over:
            raise Stopped

    def _take_sum(self) -> None:
        self.progress.loss += float(self._sum)
        self._sum.zero_()

    def save(self) -> None:
        self._take_sum()
        self.progress.peak_bytes = max(self.progress.peak_bytes, self.runs.peak_bytes())
        weights = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        if self.average is not None:
            weights["average"] = self.average.state_dict()
        rest = {"stage": asdict(self.stage), "progress": asdict(self.progress), "notes": self.notes}
        self.state.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(self.state) as partial:
            torch.save(weights | rest, partial)
        self._saved_at = time.monotonic()

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what `save` wrote."""
        self.begin(Stage(**state["stage"]))
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.progress, self.notes = Progress(**state["progress"]), state["notes"]
