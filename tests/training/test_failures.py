"""What a training runs into: no memory, no room on the disk, gradients that are not finite, files that cannot be read."""

import io
import json
import math
import os
import resource
import signal
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from torch import nn

from intarsia.core import ClassSpace, DataError, LabelMap, Sample
from intarsia.recipes import Stage
from intarsia.training import Machine, TrainingInterrupted, TrainingStopped, read_history, train_stage
from intarsia.training.loaders import FittedSamples
from intarsia.training.plan import smaller_batches
from intarsia.training.semantic import SemanticModule, total_loss

SPACE = ClassSpace.from_names(["ground", "square"])
STAGE = Stage(options={"width": 4, "depth": 1}, epochs=3, batch=4, lr=5e-3, scale=(1.0, 1.0), precision="32")


class Squares:
    """A bright square on a dark ground."""

    name, task, classes, notes = "squares", "semantic", SPACE, ()
    splits = MappingProxyType({"train": [f"train/{i}" for i in range(8)], "val": ["val/0", "val/1"]})

    def read(self, key: str) -> Sample:
        rng = np.random.default_rng([len(key), int(key.split("/")[1])])
        label = np.zeros((16, 16), np.uint8)
        top, left = rng.integers(0, 8, 2)
        label[top : top + 8, left : left + 8] = 1
        image = (label[..., None] * 150 + rng.integers(0, 60, (16, 16, 3))).astype(np.uint8)
        return Sample(image, (LabelMap(label, SPACE),), key)


class Watcher(Console):
    """Acts when the line of an epoch is printed, and keeps all lines."""

    def __init__(self, acts=None):
        super().__init__(file=io.StringIO(), width=400)
        self.acts = acts or {}

    def print(self, *objects, **options):
        super().print(*objects, **options)
        for epoch, act in self.acts.items():
            if str(objects[0]).replace("  ", " ").startswith(f"epoch {epoch}/"):
                act()

    @property
    def said(self):
        return self.file.getvalue()


def run(out, stage=STAGE, *, acts=None, dataset=None, resume=False, decided=lambda stage: {}, workers=0):
    console = Watcher(acts)
    machine = Machine(device="cpu", workers=workers)
    run.console = console
    return train_stage(stage, dataset or Squares(), out, seed=0, machine=machine, console=console, resume=resume, decided=decided)


def equal(a, b):
    first, second = load_file(a), load_file(b)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def leave_memory_for(images, monkeypatch):
    """From now on convolutions that learn fail with more images than that."""
    forward = nn.Conv2d.forward

    def limited(self, x):
        if torch.is_grad_enabled() and len(x) > images:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB")
        return forward(self, x)

    monkeypatch.setattr(nn.Conv2d, "forward", limited)


@pytest.mark.parametrize(("batch", "fewer", "times"), [(2, 1, 2), (8, 4, 2), (6, 3, 2), (9, 3, 3), (15, 5, 3), (7, 1, 7)])
def test_smaller_batches_keep_the_images_of_a_step(batch, fewer, times):
    stage = smaller_batches(Stage(batch=batch, accumulate=3))
    assert (stage.batch, stage.accumulate) == (fewer, 3 * times)


def test_a_step_of_accumulated_batches_is_that_of_one_batch(tmp_path):
    """Without normalisation over the batch, and with as many pixels in each, the mean of the means is the mean."""
    plain = replace(STAGE, options={**STAGE.options, "norm": "none", "dropout": 0.0}, loss="cross_entropy", optimizer="sgd")
    whole = load_file(run(tmp_path / "whole", plain).last)
    parts = load_file(run(tmp_path / "parts", replace(plain, batch=1, accumulate=4)).last)
    assert all(torch.allclose(whole[name], parts[name], atol=1e-6) for name in whole)


def test_memory_that_does_not_suffice_from_the_start_makes_batches_smaller(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        leave_memory_for(1, patched)
        little = run(tmp_path / "little")
    assert (little.stage.batch, little.stage.accumulate) == (1, 4)
    assert "out of memory: batches of 2 in place of 4, 2 of them to a step" in run.console.said
    assert "out of memory: batches of 1 in place of 2, 4 of them to a step" in run.console.said
    assert equal(little.last, run(tmp_path / "asked", replace(STAGE, batch=1, accumulate=4)).last)


def test_memory_that_runs_out_on_the_way_makes_batches_smaller_from_the_last_state_on(tmp_path, monkeypatch):
    """As somebody would do it by hand: stop after the first epoch, go on with half the batch and twice as many."""
    recorded = []
    with monkeypatch.context() as patched:
        result = run(
            tmp_path / "auto", acts={1: lambda: leave_memory_for(2, patched)}, decided=lambda s: recorded.append(s) or {}
        )
    assert (
        "out of memory: batches of 2 in place of 4, 2 of them to a step, which sees as many images as before" in run.console.said
    )
    assert "epoch 2 begins again" in run.console.said
    assert [(stage.batch, stage.accumulate) for stage in recorded] == [(4, 1), (2, 2)], "the recipe says what was done"
    assert result.stage == recorded[-1]
    assert [row["step"] for row in result.history] == [2, 4, 6]

    with pytest.raises(TrainingInterrupted):
        run(tmp_path / "hand", acts={1: lambda: os.kill(os.getpid(), signal.SIGINT)})
    by_hand = run(tmp_path / "hand", recorded[-1], resume=True)
    assert equal(result.last, by_hand.last)
    assert equal(result.best, by_hand.best)


def test_one_image_that_does_not_fit_is_said(tmp_path, monkeypatch):
    with pytest.raises(TrainingStopped, match="a training step on one image of 16x16"):
        run(tmp_path, replace(STAGE, batch=1), acts={1: lambda: leave_memory_for(0, monkeypatch)})
    with pytest.raises(TrainingStopped, match="a training step on one image of 16x16"):
        run(tmp_path)


def test_a_step_of_accumulated_batches_is_skipped_whole(tmp_path, monkeypatch):
    """Its third batch of four is NaN; the running statistics are those before its first one."""
    clean, calls, statistics = total_loss, [0], []

    def spoilt(output, batch, loss):
        calls[0] += 1
        return clean(output, batch, loss) * (math.nan if calls[0] == 3 else 1.0)

    monkeypatch.setattr("intarsia.training.semantic.total_loss", spoilt)
    before = SemanticModule.on_before_optimizer_step

    def noted(self, optimizer):
        before(self, optimizer)
        statistics.append([buffer.clone() for buffer in self.model.buffers() if buffer.ndim])

    monkeypatch.setattr(SemanticModule, "on_before_optimizer_step", noted)
    result = run(tmp_path, replace(STAGE, batch=1, accumulate=4, epochs=1))
    assert result.history[0]["train/skipped_steps"] == 1
    assert math.isfinite(result.history[0]["train/loss"])
    first, second = statistics
    assert all(
        set(mean.tolist()) == {0.0} and set(var.tolist()) == {1.0} for mean, var in zip(first[::2], first[1::2], strict=True)
    ), "as at the beginning"
    assert not any(set(mean.tolist()) == {0.0} for mean in second[::2])


def test_twenty_steps_in_a_row_that_are_not_finite_end_the_training_with_a_dump(tmp_path):
    """The first step at such a rate throws the weights to infinity."""
    with pytest.raises(TrainingStopped, match=r"epoch 11: the gradients of 20 steps in a row .*\(loss nan, learning") as stopped:
        run(tmp_path, replace(STAGE, epochs=40, optimizer="sgd", lr=1e38, warmup=0.0))
    assert str(tmp_path / "not_finite.json") in str(stopped.value)
    said = json.loads((tmp_path / "not_finite.json").read_text())
    assert len(said["steps that were skipped"]) == 20
    assert said["steps that were skipped"][-1]["losses"] == ["nan"]
    assert set(said["keys"]) <= set(Squares.splits["train"])
    assert said["image"]["shape"] == [4, 3, 16, 16]
    assert said["image"]["not finite"] == 0
    assert said["label pixels"]["square"] == 4 * 64
    assert said["logits"]["not finite"] == 4 * 2 * 16 * 16
    assert said["first layer whose output is not finite"].startswith("down.0")
    assert said["weights that are not finite"]
    kept = torch.load(tmp_path / "not_finite.ckpt", weights_only=True)
    assert kept["image"].shape == (4, 3, 16, 16)
    assert set(said["weights that are not finite"]) <= set(kept["state_dict"])


def test_steps_in_a_row_are_counted_across_a_resume(tmp_path):
    stage = replace(STAGE, epochs=40, optimizer="sgd", lr=1e38, warmup=0.0)
    with pytest.raises(TrainingInterrupted):
        run(tmp_path, stage, acts={6: lambda: os.kill(os.getpid(), signal.SIGINT)})
    with pytest.raises(TrainingStopped, match="epoch 11: the gradients of 20 steps"):
        run(tmp_path, stage, resume=True)


class Broken(Squares):
    """One image cannot be read once training has begun."""

    broken = False

    def read(self, key):
        if self.broken and key == "train/3":
            raise OSError("the cable was pulled")
        return super().read(key)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_cannot_be_read_is_named(tmp_path, monkeypatch, workers):
    dataset = Broken()
    fitted = FittedSamples.__init__
    monkeypatch.setattr(FittedSamples, "__init__", lambda self, *given: fitted(self, *given, cache_bytes=0))
    with pytest.raises(DataError) as failed:
        run(tmp_path, dataset=dataset, workers=workers, decided=lambda stage: vars(dataset).update(broken=True) or {})
    assert str(failed.value) == "train/3 cannot be read or prepared: OSError: the cable was pulled"
    assert "self.dataset.read(" in failed.value.__notes__[0], "the traceback of the worker is kept for those who ask"


def test_a_worker_that_is_killed_is_said(tmp_path, monkeypatch):
    class Deadly(Broken):
        def read(self, key):
            if self.broken and torch.utils.data.get_worker_info():
                os.kill(os.getpid(), signal.SIGKILL)
            return super().read(key)

    dataset = Deadly()
    waiting = torch.utils.data.dataloader._MultiProcessingDataLoaderIter._try_get_data
    monkeypatch.setattr(waiting, "__defaults__", (0.1,))  # 5 s as it comes
    fitted = FittedSamples.__init__
    monkeypatch.setattr(FittedSamples, "__init__", lambda self, *given: fitted(self, *given, cache_bytes=0))
    with pytest.raises(TrainingStopped, match="A process that prepares batches was ended from outside"):
        run(tmp_path, dataset=dataset, workers=1, decided=lambda stage: vars(dataset).update(broken=True) or {})


def test_a_full_disk_leaves_what_was_saved_and_the_run_can_go_on(tmp_path):
    """After the first epoch no file may be longer than a few kilobytes, as on a disk that fills up while it is written."""
    whole = run(tmp_path / "whole")
    limits, kept = resource.getrlimit(resource.RLIMIT_FSIZE), {}
    files = ("best.safetensors", "last.safetensors", "last.ckpt")

    def fill_up():
        kept.update({name: (tmp_path / "full" / name).read_bytes() for name in files})
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))

    try:
        with pytest.raises(TrainingStopped, match=r"cannot be written .* What was saved up to epoch 1 is whole\. Make room"):
            run(tmp_path / "full", acts={1: fill_up})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {name: (tmp_path / "full" / name).read_bytes() for name in files} == kept
    assert {path.name for path in (tmp_path / "full").iterdir()} == {*files, "results.csv"}
    resumed = run(tmp_path / "full", resume=True)
    assert equal(resumed.last, whole.last)
    assert resumed.history == whole.history


def test_a_state_that_does_not_fit_on_the_disk_is_said(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        with pytest.raises(TrainingStopped, match=r"cannot be written .* No epoch was saved yet"):
            run(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"nonsense"])
def test_a_state_that_is_damaged_is_said(tmp_path, damage):
    with pytest.raises(TrainingInterrupted):
        run(tmp_path, acts={1: lambda: os.kill(os.getpid(), signal.SIGINT)})
    state = tmp_path / "last.ckpt"
    state.write_bytes(damage(state.read_bytes()))
    with pytest.raises(TrainingStopped, match=r"last\.ckpt, cannot be read: it is damaged, or not ours"):
        run(tmp_path, resume=True)


def test_patience_that_ended_a_run_still_ends_it_when_it_is_resumed(tmp_path):
    """Stopped after the last epoch's state was written, and before anybody knew that it was the last."""
    stage = replace(STAGE, lr=1e-9, patience=1, epochs=8, schedule="constant", warmup=0.0)
    whole = run(tmp_path / "whole", stage)
    last = len(whole.history)
    assert last < 8
    for epoch in (last - 1, last):
        with pytest.raises(TrainingInterrupted):
            run(tmp_path / f"{epoch}", stage, acts={epoch: lambda: os.kill(os.getpid(), signal.SIGINT)})
        assert run(tmp_path / f"{epoch}", stage, resume=True).history == whole.history
        assert equal(tmp_path / f"{epoch}/last.safetensors", whole.last)


def test_one_class_that_takes_all_predictions_is_warned_of_from_the_second_epoch_on(tmp_path):
    run(tmp_path / "one", replace(STAGE, loss="cross_entropy", class_weights=(1.0, 0.0), lr=0.5))
    lines = run.console.said.splitlines()
    (first,) = [number for number, line in enumerate(lines) if line.startswith("epoch 1/3")]
    assert "warning: 100.00% of the predicted pixels are 'ground', which is 75.00% of the truth." in "\n".join(lines[first + 2 :])
    assert "warning" not in "\n".join(lines[: first + 2])
    run(tmp_path / "both", replace(STAGE, lr=2e-2))
    assert "warning" not in run.console.said
    assert read_history(tmp_path / "both")[-1]["val/iou/square"] > 0.5
