"""A run that is killed with SIGKILL at any moment and resumed equals one that was not, bit for bit."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from intarsia.recipes.run_files import RUN_FILES

SETTINGS = {
    "model": "unet",
    "options": {"width": 4, "depth": 1, "dropout": 0.2},
    "epochs": 4,
    "lr": 5e-3,
    "ema": 0.9,
    "patience": 3,
}


def runs(folder, plan):
    """Files by run, after each was killed at its moments and resumed to its end."""
    script = Path(__file__).with_name("killed_runs.py")
    command = [sys.executable, script, folder, json.dumps(plan)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in plan:
        assert {path.name for path in (folder / name).iterdir()} <= {*RUN_FILES}, "no partial file is left"


def assert_equal(one, other, where=""):
    """Nested states of any kind, NaN equal to NaN."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_equal(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_equal(a, b, f"{where}/{index}")
    else:
        np.testing.assert_equal(one, other, where)


def assert_same_run(folder, one, other):
    """Weights, scores, recipe, and the last state: optimizer, schedule, average, progress."""
    for name in ("best.safetensors", "last.safetensors", "results.csv", "recipe.toml"):
        assert (folder / one / name).read_bytes() == (folder / other / name).read_bytes(), f"{one} and {other} differ in {name}"
    states = [torch.load(folder / f"{name}.ckpt", weights_only=True) for name in (one, other)]
    assert {"state_dict", "optimizer_states", "lr_schedulers", "callbacks", "loops"} <= states[0].keys()
    assert_equal(*states)


def test_killed_before_while_and_after_its_state_is_written(tmp_path):
    kills = [
        {"file": "last.ckpt", "nth": 1, "when": "half"},  # the state before the first step
        {"file": "last.ckpt", "nth": 2, "when": "before"},  # the model files of epoch 1 are written, its state is not
        {"file": "last.ckpt", "nth": 2, "when": "after"},  # epoch 1 is done
        {"file": "last.ckpt", "nth": 1, "when": "half"},  # epoch 2 is not
        {"file": "best.safetensors", "nth": 2, "when": "after"},  # epoch 2 is done, and half of what is written after epoch 3
    ]
    budget = {**SETTINGS, "time_s": 3600.0}
    runs(tmp_path, {"killed": {"settings": budget, "kills": kills}, "whole": {"settings": SETTINGS, "kills": []}})
    assert_same_run(tmp_path, "killed", "whole")
    (stage,) = tomllib.loads((tmp_path / "killed" / "recipe.toml").read_text())["stages"]
    assert stage["epochs"] == 4
    assert "time_s" not in stage, "the choice that a time budget made is frozen"
    said = (tmp_path / "killed.txt").read_text()
    assert said.count("there is no saved state to go on from: the training starts from the beginning") == 1
    assert "starts from the beginning" not in (tmp_path / "whole.txt").read_text()


@pytest.mark.slow
def test_twenty_random_kills(tmp_path):
    """Half of them at any time, half around the writing of the state, five to a run."""
    rng = np.random.default_rng(2026)
    kills = [{"share": float(rng.uniform(0, 0.6))} for _ in range(10)]
    kills += [{"file": "last.ckpt", "nth": int(rng.integers(1, 3)), "delay_s": float(rng.uniform(0, 0.02))} for _ in range(10)]
    rng.shuffle(kills)
    settings = {**SETTINGS, "epochs": 12, "patience": 0}
    plan = {f"killed{number}": {"settings": settings, "kills": kills[number::4]} for number in range(4)}
    runs(tmp_path, {"whole": {"settings": settings, "kills": []}, **plan})
    for name in plan:
        assert_same_run(tmp_path, name, "whole")
