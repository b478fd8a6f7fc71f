"""Whole trainings of a tiny network on a few drawn squares."""

import io
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from intarsia.core import ClassSpace, LabelMap, Sample, SettingsError
from intarsia.evaluation import evaluate
from intarsia.inference import load, read_model_card
from intarsia.recipes import Stage
from intarsia.training import Machine, TrainingInterrupted, read_history, train_stage
from intarsia.training.semantic import total_loss

SPACE = ClassSpace.from_names(["ground", "square", "disc"])
STAGE = Stage(options={"width": 6, "depth": 2}, epochs=3, lr=5e-3, scale=(0.8, 1.25), precision="32")


class Shapes:
    """A square or a disc of random colour on another random colour."""

    name, task, classes, notes = "shapes", "semantic", SPACE, ()

    def __init__(self, train: int = 16, val: int = 4) -> None:
        splits = {"train": train, "val": val}
        self.splits = MappingProxyType({name: [f"{name}/{i}" for i in range(count)] for name, count in splits.items() if count})

    def read(self, key: str) -> Sample:
        rng = np.random.default_rng([len(key), int(key.split("/")[1])])
        y, x = np.mgrid[:32, :32]
        top, left, kind = *rng.integers(6, 26, 2), int(rng.integers(1, 3))
        inside = np.maximum(abs(y - top), abs(x - left)) < 6 if kind == 1 else (y - top) ** 2 + (x - left) ** 2 < 40
        label = np.where(inside, kind, 0).astype(np.uint8)
        colors = rng.integers(0, 256, (2, 3))
        image = colors[inside.astype(int)] + rng.integers(-20, 20, (32, 32, 3))
        return Sample(image.clip(0, 255).astype(np.uint8), (LabelMap(label, SPACE),), key)


def run(out, stage=STAGE, *, dataset=None, console=None, resume=False, seed=0, **machine):
    console = console or Console(file=io.StringIO())
    chosen = Machine(device="cpu", **machine)
    return train_stage(stage, dataset or Shapes(), out, seed=seed, machine=chosen, console=console, resume=resume)


def weights(path):
    return {name: tensor.numpy() for name, tensor in load_file(path).items()}


def equal(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    text = io.StringIO()
    out = tmp_path_factory.mktemp("run")
    return run(out, console=Console(file=text, width=200)), text.getvalue(), out


def test_a_training_leaves_its_files_and_says_what_it_does(finished):
    result, text, out = finished
    assert {p.name for p in out.iterdir()} == {"best.safetensors", "last.safetensors", "results.csv"}
    assert "million parameters, random initialisation" in text
    assert "for 3 epochs" in text
    assert "epoch 3/3  loss" in text
    assert result.stage.batch == 4
    assert result.stage.crop == (32, 32)
    assert result.stage.class_weights == "none", "the Dice term counts every class alike"


def test_plain_cross_entropy_gets_weights_from_the_pixels(tmp_path):
    text = io.StringIO()
    stage = run(tmp_path, replace(STAGE, loss="cross_entropy", epochs=1), console=Console(file=text, width=200)).stage
    assert len(stage.class_weights) == 3
    assert stage.class_weights[0] < min(stage.class_weights[1:]), "the ground is most of each image"
    assert "class weights (share of pixels, weight): ground" in text.getvalue()


def test_history_and_model_file_hold_the_scores(finished):
    result, _, out = finished
    history = read_history(out)
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert history[-1]["train/loss"] < history[0]["train/loss"]
    assert {"lr", "val/loss", "val/miou", "val/iou/disc", "val/share_scored"} <= history[0].keys()
    best = max(history, key=lambda row: row["val/miou"])
    card = read_model_card(result.best)
    assert card.scores["val/miou"] == pytest.approx(best["val/miou"], abs=1e-5)
    assert card.history["epoch"] == best["epoch"]
    assert card.classes == SPACE


def test_validation_score_is_that_of_the_saved_network(finished):
    """The mIoU of the log, computed in batches while training, is what the model file reaches on the images one by one."""
    result, _, _ = finished
    evaluation = evaluate(load(result.best, device="cpu"), Shapes(), "val")
    assert evaluation.scores.miou == pytest.approx(read_model_card(result.best).scores["val/miou"], abs=1e-3)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(finished, tmp_path):
    result, _, _ = finished
    assert equal(weights(run(tmp_path / "again").last), weights(result.last))
    assert not equal(weights(run(tmp_path / "other", seed=1).last), weights(result.last))


class Impatient(Console):
    """Presses Ctrl-C when it reads that the second epoch is over."""

    def print(self, *objects, **options):
        super().print(*objects, **options)
        if str(objects[0]).startswith("epoch 2/3"):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"ema": 0.9, "options": {"width": 6, "depth": 2, "dropout": 0.3}},
        {"optimizer": "sgd", "schedule": "cosine", "patience": 5, "batch": 2, "accumulate": 2},
    ],
)
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path, extra):
    stage = replace(STAGE, **extra)
    whole = run(tmp_path / "whole", stage)
    with pytest.raises(TrainingInterrupted):
        run(tmp_path / "broken", stage, console=Impatient(file=io.StringIO()))
    assert (tmp_path / "broken" / "last.ckpt").exists()
    torch.manual_seed(12345)  # whatever happened in between
    resumed = run(tmp_path / "broken", whole.stage, resume=True)
    assert equal(weights(resumed.last), weights(whole.last))
    assert equal(weights(resumed.best), weights(whole.best))
    assert [row["val/miou"] for row in resumed.history] == [row["val/miou"] for row in whole.history]


def test_the_moving_average_is_what_is_saved(tmp_path):
    plain, averaged = run(tmp_path / "a"), run(tmp_path / "b", replace(STAGE, ema=0.9))
    assert not equal(weights(plain.last), weights(averaged.last))
    assert weights(plain.last).keys() == weights(averaged.last).keys()


def test_a_step_that_is_not_finite_is_skipped_and_said(tmp_path, monkeypatch):
    """The loss of the third step is NaN: weights and running statistics go on as if it had not been."""
    calls = [0]
    clean = total_loss

    def spoilt(output, batch, loss):
        calls[0] += 1
        return clean(output, batch, loss) * (math.nan if calls[0] == 3 else 1.0)

    monkeypatch.setattr("intarsia.training.semantic.total_loss", spoilt)
    text = io.StringIO()
    result = run(tmp_path, replace(STAGE, epochs=2), console=Console(file=text, width=200))
    assert "(1 steps skipped: their gradients were not finite)" in text.getvalue()
    assert [row["train/skipped_steps"] for row in result.history] == [1, 0]
    assert all(np.isfinite(tensor).all() for tensor in weights(result.last).values())
    assert math.isfinite(result.history[0]["train/loss"])


def test_steps_become_whole_epochs_and_batches_accumulate(tmp_path):
    """16 images in batches of 2, two of them a step, are 4 steps an epoch; 9 steps are 3 epochs."""
    stage = replace(STAGE, epochs=None, steps=9, batch=2, accumulate=2, class_weights="median_frequency", loss="cross_entropy")
    result = run(tmp_path, stage)
    assert (result.stage.epochs, result.stage.steps) == (3, None)
    assert [row["step"] for row in result.history] == [4, 8, 12]
    assert all(weight > 0 for weight in result.stage.class_weights)


def test_frozen_parameters_stay_and_initialisation_is_said(finished, tmp_path):
    result, _, _ = finished
    text = io.StringIO()
    start = weights(result.best)
    first = next(iter(start)).split(".")[0]
    stage = replace(STAGE, init=str(result.best), frozen=(first,), epochs=1)
    done = weights(run(tmp_path, stage, console=Console(file=text, width=200)).last)
    assert "initialised from best.safetensors" in text.getvalue()
    frozen = [name for name in start if name.startswith(first)]
    assert all(np.array_equal(start[name], done[name]) for name in frozen)
    assert any(not np.array_equal(start[name], done[name]) for name in start if name not in frozen)


def test_workers_change_nothing(finished, tmp_path):
    result, _, _ = finished
    assert equal(weights(run(tmp_path, workers=1).last), weights(result.last))


def test_patience_stops_early(tmp_path):
    stage = replace(STAGE, lr=1e-9, patience=1, epochs=8, schedule="constant", warmup=0.0)
    assert len(run(tmp_path, stage).history) < 8


def test_a_missing_split_is_named(tmp_path):
    with pytest.raises(SettingsError, match="shapes has no image in the split 'val'; its splits are train"):
        run(tmp_path, dataset=Shapes(val=0))


def test_one_class_is_refused(tmp_path):
    class Alone(Shapes):
        classes = ClassSpace.from_names(["everything"])

    with pytest.raises(SettingsError, match="shapes has one class, 'everything'"):
        run(tmp_path, dataset=Alone())


@pytest.mark.parametrize("kind", ["uint16", "float32", "five channels"])
def test_other_images_than_photographs_train_as_well(tmp_path, kind):
    class Other(Shapes):
        def read(self, key: str) -> Sample:
            sample = super().read(key)
            image = {
                "uint16": sample.image.astype(np.uint16) * 16,
                "float32": sample.image.astype(np.float32) * 10 - 300,
                "five channels": np.concatenate([sample.image, sample.image[..., :2]], 2),
            }[kind]
            return Sample(image, sample.truths, key)

    result = run(tmp_path, dataset=Other())
    assert result.history[-1]["train/loss"] < result.history[0]["train/loss"]
    predicted = load(result.best, device="cpu").predict(Other().read("val/0").image)
    assert predicted.size_hw == (32, 32)


def test_bfloat16_with_a_moving_average_learns(tmp_path):
    history = run(tmp_path, replace(STAGE, precision="bf16", ema=0.99)).history
    assert history[-1]["train/loss"] < history[0]["train/loss"]
    assert history[-1]["val/loss"] < history[0]["val/loss"], "the average has left its random beginning"


@pytest.mark.slow
def test_two_processes_train_and_validate_every_image_once(tmp_path):
    """A process of its own, since Lightning starts the second one by running the same script again."""
    script = tmp_path / "train.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "import test_fit\n"
        f"test_fit.run(Path({str(tmp_path / 'run')!r}), devices=2)\n"
    )
    subprocess.run([sys.executable, script], check=True, timeout=300)
    result = load(tmp_path / "run" / "best.safetensors", device="cpu")
    logged = max(row["val/miou"] for row in read_history(tmp_path / "run"))
    assert evaluate(result, Shapes(), "val").scores.miou == pytest.approx(logged, abs=1e-3)


def test_class_weights_that_mean_nothing_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="class_weights is 'heavy'"):
        run(tmp_path, replace(STAGE, class_weights="heavy"))


def test_an_unknown_logger_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="no logger called 'notebook'"):
        run(tmp_path, loggers=("notebook",))


def test_tensorboard_gets_the_scores(tmp_path):
    run(tmp_path, replace(STAGE, epochs=1), loggers=("tensorboard",))
    (events,) = (tmp_path / "tensorboard").glob("events.out.tfevents.*")
    assert b"val/miou" in events.read_bytes()
