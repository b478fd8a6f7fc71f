"""The command as a person types it, in a process of its own where exit codes and streams matter."""

import json
import subprocess
import sys

import numpy as np
import pytest

from intarsia.data.formats import write_image


def intarsia(*arguments, cwd=None):
    command = [sys.executable, "-m", "intarsia", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def test_bare_command_says_what_to_do_first():
    done = intarsia()
    assert done.returncode == 0
    assert "intarsia demo" in done.stdout
    assert "intarsia train FOLDER" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], "Did you mean 'train'"),
        (["train", "--epohcs", "3"], "--epochs"),
        (["models", "u-nett"], "Did you mean 'unet'"),
        (["train", "scenes:trian=4"], "train"),
        (["train", "no/such/folder"], "There is no data set 'no/such/folder'"),
        (["train", "scenes", "--imgsz", "big"], "size 'big' is not understood"),
        (["train", "scenes", "--set", "widht=3"], "width"),
        (["evaluate", "scenes", "--model", "missing.safetensors"], "missing.safetensors does not exist"),
    ],
)
def test_mistakes_answer_with_a_sentence_and_exit_code_2(arguments, words, tmp_path):
    done = intarsia(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback_wherever_it_is_typed():
    assert "Traceback" in intarsia("models", "nonet", "--debug").stderr
    assert "Traceback" in intarsia("--debug", "models", "nonet").stderr


def test_models_are_listed_and_described():
    done = intarsia("models", "--json")
    names = [row["name"] for row in json.loads(done.stdout)]
    assert {"fcn", "unet", "deeplab_v3plus"} <= set(names)
    assert "deeplab_v3plus" in intarsia("models").stdout
    assert "--set stride=" in intarsia("models", "fcn").stdout


def test_version():
    assert intarsia("--version").stdout.startswith("intarsia 0.")


def test_train_evaluate_predict(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(6):
        mask = np.zeros((32, 32, 1), np.uint8)
        mask[8:20, 4 + number : 20] = 1
        write_image(tmp_path / f"data/images/{number}.png", (mask * 150 + rng.integers(0, 50, mask.shape)).astype(np.uint8))
        write_image(tmp_path / f"data/masks/{number}.png", mask)
    size = ["--set", "width=4", "--set", "depth=1", "--device", "cpu", "--epochs", 2, "--out", "run"]
    done = intarsia("train", "data", "--model", "unet", *size, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mIoU" in done.stdout
    assert "run/best.safetensors" in done.stdout
    done = intarsia("evaluate", "data", "--model", "run/best.safetensors", "--json", cwd=tmp_path)
    assert 0 <= json.loads(done.stdout)["scores"]["miou"] <= 1
    (tmp_path / "data/images/broken.png").write_bytes(b"nothing")
    done = intarsia("predict", "data/images", "--model", "run", "--out", "out", cwd=tmp_path)
    assert done.returncode == 1
    assert "6 of 7 images segmented" in done.stdout
    assert "broken.png" in done.stderr
